"""What one vector is, and the receipts and state proofs that must pass.

What a vector must give is written here by hand, never taken from the verifier.
See docs/spec/README.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vectors.chain import CODE, KEEPERS, START, Chain, Key, note_of, policy
from vectors.world import ATOMIC, EDGE_NUMBERS, NOW, World, bill, fresh_times

from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.trust import TrustPolicy

FALSE = "VerificationFailed"
UNREADABLE = "Malformed"


@dataclass(frozen=True)
class Case:
    """One document, how it is looked at, and what must come of it."""

    name: str
    kind: str
    """receipt, state, status, batch, note, equivocation, presentation or slip."""
    data: bytes
    expect: str
    """The verdict where it passes (for a note its as-of, for a proof its kind), else the error."""
    why: str
    step: int | None = None
    """The step that must fail."""
    policy: str = "trust"
    status: bool = False
    now: int | None = None
    about: str | None = None
    """Id of the row that it must show."""
    checkpoint: str | None = None
    """Name of a note at hand."""
    audience: str | None = None
    purpose: str | None = None
    """Of a presentation: the reader who asks, and for what."""
    transaction: str | None = None
    """Of a batch receipt: the name of the transaction that the reader has."""

    @property
    def passes(self) -> bool:
        return self.expect not in (FALSE, UNREADABLE)


def policies() -> dict[str, TrustPolicy]:
    """The trust policies of the vectors."""
    usual = policy()
    finance, *others = usual.keepers
    return {
        "trust": usual,
        "trust-all": replace(usual, threshold=3, required=list(KEEPERS)),
        "trust-log-only": replace(usual, threshold=0, required=[], keepers=[]),
        "trust-one": replace(usual, threshold=1, required=[]),
        "trust-two-log-keys": replace(usual, log_keys=[Key("log 2").public_key, *usual.log_keys]),
        "trust-retired": replace(usual, keepers=[replace(finance, until_size=4), *others]),
        "trust-young": replace(usual, keepers=[replace(finance, from_size=100_000), *others]),
        "trust-patient": replace(usual, status_max_age_seconds=10_000_000),
        "trust-other-origin": replace(usual, origin="example.org/other/0123456789abcdef"),
        "trust-other-network": replace(usual, network=bytes(32)),
        "trust-other-log-key": replace(usual, log_keys=[Key("log 2").public_key]),
    }


def notes(world: World) -> dict[str, str]:
    """Checkpoints at hand."""
    head = world.chain.checkpoint()
    forked = replace_root(head)
    return {
        "fresh": note_of(head, dict.fromkeys(KEEPERS, NOW)),
        "too-few": note_of(head, {"hospital-01": NOW, "insurer-01": NOW}),
        "earlier": note_of(world.after[2].checkpoint(), dict.fromkeys(KEEPERS, NOW)),
        "forked": note_of(forked, dict.fromkeys(KEEPERS, NOW)),
        "forked-unsigned": note_of(forked, {}, log=Key("thief")),
    }


def replace_root(head: Any) -> Any:
    """The same size with another root."""
    return type(head)(head.origin, head.size, bytes(31) + b"\1")


def passing(world: World) -> Iterator[Case]:
    """Receipts and state proofs that verify, whatever their verdict."""
    yield from _without_status(world)
    yield from _with_status(world)
    yield from _not_to_be_acted_on(world)
    yield from _policies(world)
    yield from _states(world)


def _receipt(chain: Chain, index: int, note: str, key: str | None = None) -> bytes:
    return encode(chain.receipt(index, note, key))


def _without_status(world: World) -> Iterator[Case]:
    for blocks, chain in enumerate(world.after, 1):
        times = dict.fromkeys(KEEPERS, START + 60 * blocks + 3)
        note = note_of(chain.checkpoint(), times)
        for name in ("first", "third", "pass", "thousand 500", "edge 4096", "freezing"):
            if world.at[name] < chain.size:
                data = _receipt(chain, world.at[name], note)
                what = f"{name} after block {blocks}"
                yield Case(
                    what, "receipt", data, "ACCEPTED", f"an accepted item, log of {chain.size}"
                )
    for name in ("thousand 0", "thousand 999"):
        data = _receipt(world.chain, world.at[name], world.note())
        yield Case(name, "receipt", data, "ACCEPTED", "the longest path in a transaction")


STANDING = {
    "first": bill(100_001),
    "pass": "demo.pass/card-1",
    "thousand 0": bill(200_000),
    "thousand 500": bill(200_500),
    "thousand 999": bill(200_999),
    "other code": bill(100_001, CODE + 100),
} | {f"edge {number}": bill(number) for number in EDGE_NUMBERS}
"""Items whose row is good, and its key."""


def _with_status(world: World) -> Iterator[Case]:
    note = world.note()
    for name, key in STANDING.items():
        data = _receipt(world.chain, world.at[name], note, key)
        yield Case(
            f"{name} good now", "receipt", data, "GOOD", "status asked", status=True, now=NOW
        )
    data = _receipt(world.chain, world.at["first"], note, bill(100_001))
    yield Case("status unasked", "receipt", data, "ACCEPTED", "shown without being asked for")
    yield Case("status without now", "receipt", data, "GOOD", "nobody minds its age", status=True)
    old = NOW + 100_000
    yield Case("old but unasked", "receipt", data, "ACCEPTED", "nobody asked its age", now=old)
    last = NOW - 6 + 600
    why = "as old as the policy allows"
    yield Case("just fresh", "receipt", data, "GOOD", why, status=True, now=last)
    why = "the reader's clock is a minute behind"
    yield Case("clock behind", "receipt", data, "GOOD", why, status=True, now=NOW - 6 - 60)
    early = note_of(world.chain.checkpoint(), dict.fromkeys(KEEPERS, NOW - 3_000))
    stale = _receipt(world.chain, world.at["first"], early, bill(100_001))
    refreshed: dict[str, Any] = {"status": True, "now": NOW, "checkpoint": "fresh"}
    why = "newer co-signatures of the same checkpoint are at hand"
    yield Case("refreshed", "receipt", stale, "GOOD", why, **refreshed)
    patient: dict[str, Any] = {"policy": "trust-patient", "status": True, "now": NOW}
    yield Case("patient reader", "receipt", stale, "GOOD", "the policy decides", **patient)


def _not_to_be_acted_on(world: World) -> Iterator[Case]:
    note, chain, at = world.note(), world.chain, world.at
    asked: dict[str, Any] = {"status": True, "now": NOW}
    refused = _receipt(chain, at["refused"], note)
    yield Case("refused", "receipt", refused, "REFUSED", "a perfectly proven refusal")
    yield Case("refused asked", "receipt", refused, "REFUSED", "the refusal comes first", **asked)
    for n, outcome in enumerate(ATOMIC):
        data = _receipt(chain, at["atomic"] + n, note)
        yield Case(f"atomic {n}", "receipt", data, "REFUSED", f"refused with {outcome}")
    for name, key in (("reversed", bill(100_002)), ("third", bill(100_004))):
        data = _receipt(chain, at[name], note, key)
        yield Case(
            f"{name} no longer good", "receipt", data, "NOT_GOOD", "its row says so", **asked
        )
        yield Case(f"{name} unasked", "receipt", data, "NOT_GOOD", "shown, hence heard")
    data = _receipt(chain, at["expired"], note, "demo.pass/card-2")
    yield Case("run out", "receipt", data, "EXPIRED", "until is not after as-of", **asked)
    data = _receipt(chain, at["pass"], note, "demo.pass/card-1")
    later = START + 3_600
    why = "until has come on the reader's clock"
    patient: dict[str, Any] = {"policy": "trust-patient"}
    yield Case("runs out now", "receipt", data, "EXPIRED", why, now=later, **patient)
    yield Case("runs out soon", "receipt", data, "ACCEPTED", "until is exclusive", now=later - 1)
    data = _receipt(chain, at["first"], note)
    yield Case("no status", "receipt", data, "NO_STATUS", "asked, but there is no proof", **asked)
    data = _receipt(chain, at["first"], note, bill(100_001))
    why = "a second older than the policy allows"
    yield Case("stale", "receipt", data, "STALE", why, status=True, now=NOW - 6 + 601)
    why = "the keepers' clock and the reader's are too far apart"
    yield Case("from the future", "receipt", data, "STALE", why, status=True, now=NOW - 6 - 61)
    early = note_of(chain.checkpoint(), dict.fromkeys(KEEPERS, NOW - 3_000))
    data = _receipt(chain, at["first"], early, bill(100_001))
    why = "a note at hand of another size does not refresh"
    yield Case("not refreshed", "receipt", data, "STALE", why, checkpoint="earlier", **asked)
    why = "a forked note at hand that nobody vouches for refutes nothing"
    yield Case(
        "noise at hand", "receipt", data, "STALE", why, checkpoint="forked-unsigned", **asked
    )


def _policies(world: World) -> Iterator[Case]:
    chain, index, key = world.chain, world.at["first"], bill(100_001)
    full = world.note()
    two = note_of(chain.checkpoint(), {"finance-33": NOW, "insurer-01": NOW})
    none = note_of(chain.checkpoint(), {})
    small = world.after[0]
    by_four = note_of(small.checkpoint(), dict.fromkeys(KEEPERS, NOW))
    stranger = two + _line(chain, "stranger")
    rows = [
        ("two of three", two, "trust", "the required one and another"),
        ("all of three", full, "trust-all", "each is required"),
        ("the log alone", full, "trust-log-only", "the policy asks for no keeper"),
        ("nobody but the log", none, "trust-log-only", "as-of is then the block's time"),
        ("any one", two, "trust-one", "one of three, none required"),
        ("another log key", full, "trust-two-log-keys", "any listed log key suffices"),
        ("a line of a stranger", stranger, "trust", "unknown signature lines are left aside"),
    ]
    for name, note, trusted, why in rows:
        data = _receipt(chain, index, note, key)
        yield Case(name, "receipt", data, "ACCEPTED", why, policy=trusted)
    data = _receipt(small, index, by_four, key)
    why = "a retired key counts for sizes below its end"
    yield Case("retired later", "receipt", data, "ACCEPTED", why, policy="trust-retired")


def _line(chain: Chain, name: str) -> str:
    whole = note_of(chain.checkpoint(), {name: NOW})
    return whole.splitlines(keepends=True)[-1]


def _states(world: World) -> Iterator[Case]:
    note, chain = world.note(), world.chain
    asked: dict[str, Any] = {"status": True, "now": NOW}
    good = ["demo.member/org-00", "demo.member/org-39", *STANDING.values()]
    for key in good:
        data = encode(chain.document(key, note))
        yield Case(f"state of {key}", "state", data, "GOOD", "a row that stands", **asked)
    absent = {
        "demo.pass/card-3": "deleted",
        "demo.pass/card-4": "never there",
        "demo.member/org-40": "never there",
        bill(100_003): "an empty slot of a page that has bills",
        bill(200_001): "an empty slot beside a taken one",
        bill(5_000_000): "a page that is not there",
        bill(100_001, CODE + 1): "a code that is not there",
        bill(0): "the first slot",
    }
    for key, why in absent.items():
        data = encode(chain.document(key, note))
        yield Case(f"no {key}", "state", data, "ABSENT", why, **asked)
    data = encode(chain.document(bill(100_002), note))
    yield Case("state reversed", "state", data, "NOT_GOOD", "reversed in the last block", **asked)
    data = encode(chain.document(bill(100_003), note))
    later: dict[str, Any] = {"status": True, "now": NOW + 10_000}
    yield Case("stale absence", "state", data, "STALE", "it may have been issued since", **later)
    first = world.after[0]
    times = {org: time - 800 for org, time in fresh_times().items()}
    data = encode(first.document("demo.pass/card-1", note_of(first.checkpoint(), times)))
    yield Case("empty map", "state", data, "ABSENT", "one page and nothing else", status=True)
    yield from _about(world)


def _about(world: World) -> Iterator[Case]:
    """The reader names a thing: another's state, however good, is not what was asked for."""
    note, chain = world.note(), world.chain
    mine, other = (bill(number).partition("/")[2] for number in (100_001, 100_004))
    data = _receipt(chain, world.at["first"], note, bill(100_001))
    asked: dict[str, Any] = {"status": True, "now": NOW}
    yield Case("the bill asked for", "receipt", data, "GOOD", "its id", about=mine, **asked)
    yield Case("another bill asked for", "receipt", data, "OTHER", "not its", about=other, **asked)
    plain = _receipt(chain, world.at["first"], note)
    yield Case("a bill asked for, none shown", "receipt", plain, "NO_STATUS", "no row", about=mine)
    state = encode(chain.document(bill(100_003), note))
    gone = bill(100_003).partition("/")[2]
    yield Case("the absent one asked for", "state", state, "ABSENT", "its id", about=gone, **asked)
    yield Case("absence of another", "state", state, "OTHER", "not its id", about=mine, **asked)
