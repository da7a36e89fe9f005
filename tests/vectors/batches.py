"""Batch receipts: those that hold, beside the transactions that they are of, and forged ones.

See docs/spec/batch.md.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from vectors.attacks import get_at, leaves, other, set_at
from vectors.cases import FALSE, UNREADABLE, Case
from vectors.chain import KEEPERS, START, note_of, plain
from vectors.world import World

from tallystick.protocol.canonical import encode

OF = {"one": "first", "three": "reversed", "atomic": "atomic", "thousand": "thousand 0"}
"""Transactions by name, and the item that each begins with."""

STEP_OF_FIELD = {"first": 7, "block": 7, "at": 7, "refused": 7, "path": 7}


def transactions(world: World) -> dict[str, bytes]:
    """What a reader of a batch receipt has; those spoilt are of the three items."""
    made = {name: world.chain.transaction(world.at[item]) for name, item in OF.items()}
    three = json.loads(made["three"])
    spoilt: dict[str, Any] = {
        "three-swapped": three
        | {"items": [three["items"][1], three["items"][0], *three["items"][2:]]},
        "three-fewer": three | {"items": three["items"][:2]},
        "three-more": three | {"items": [*three["items"], three["items"][0]]},
        "three-none": three | {"items": []},
        "three-changed": set_at(three, ("items", 2, "amount"), 1),
        "three-count": set_at(three, ("header", "count"), 2),
        "three-root": set_at(three, ("header", "root"), b64encode(bytes(32)).decode()),
        "three-network": set_at(three, ("header", "network"), b64encode(bytes(32)).decode()),
        "three-sender": set_at(three, ("header", "sender"), "insurer-01"),
        "three-signature": three | {"signature": json.loads(made["one"])["signature"]},
        "three-fraction": set_at(three, ("items", 2, "amount"), 1.5),
        "three-huge": set_at(three, ("items", 2, "amount"), 2**53),
        "three-deep-huge": set_at(three, ("items", 2, "amount"), [2**53]),
        "three-name": set_at(three, ("items", 2, "é"), 1),
        "three-item-is-list": set_at(three, ("items", 2), []),
        "three-extra": three | {"zeal": 1},
    }
    made |= {name: encode(members) for name, members in spoilt.items()}
    made["three-spaced"] = made["three"].replace(b'"amount":', b'"amount": ', 1)
    made["three-newline"] = made["three"] + b"\n"
    return made


def passing(world: World) -> Iterator[Case]:
    """Each transaction under the newest checkpoint, and under each since it was entered."""
    for name, item in OF.items():
        first, verdict = world.at[item], "REFUSED" if name in ("three", "atomic") else "ACCEPTED"
        for blocks, chain in enumerate(world.after, 1):
            if first >= chain.size or (name == "thousand" and blocks > 4):
                continue
            times = dict.fromkeys(KEEPERS, START + 60 * blocks + 3)
            note = note_of(chain.checkpoint(), times)
            data = encode(chain.batch(first, note))
            what = f"{name} after block {blocks}"
            why = "every item accepted" if verdict == "ACCEPTED" else "an item was refused"
            yield Case(what, "batch", data, verdict, why, transaction=name)
    data = encode(world.chain.batch(world.at["thousand 0"], world.note()))
    yield Case("thousand now", "batch", data, "ACCEPTED", "all accepted", transaction="thousand")
    early = note_of(world.chain.checkpoint(), {})
    stale = encode(world.chain.batch(world.at["first"], early))
    refreshed: dict[str, Any] = {"transaction": "one", "checkpoint": "fresh"}
    why = "co-signatures of the same checkpoint are at hand"
    yield Case("refreshed batch", "batch", stale, "ACCEPTED", why, **refreshed)


def failing(world: World) -> Iterator[Case]:
    """Everything that must not be believed."""
    good = plain(world.chain.batch(world.at["reversed"], world.note()))
    yield from _changed(good)
    yield from _shapes(good)
    yield from _transactions(world, good)
    yield from _notes(world)


def _no(name: str, members: Any, step: int, why: str, transaction: str = "three") -> Case:
    data = encode(members)
    return Case(f"batch {name}", "batch", data, FALSE, why, step=step, transaction=transaction)


def _unreadable(name: str, data: bytes, why: str, transaction: str = "three") -> Case:
    return Case(f"batch {name}", "batch", data, UNREADABLE, why, transaction=transaction)


def _changed(good: dict[str, Any]) -> Iterator[Case]:
    for path in leaves(good):
        text = "/".join(map(str, path))
        if path[0] in ("checkpoint", "format"):
            continue
        changed = set_at(good, path, other(get_at(good, path)))
        yield _no(f"{text} changed", changed, STEP_OF_FIELD[path[0]], f"one field: {text}")
    hidden = {name: value for name, value in good.items() if name != "refused"}
    yield _no("refusal hidden", hidden, 7, "the outcome is in the leaf")
    yield _no("refusal moved", good | {"refused": {"0": good["refused"]["1"]}}, 7, "another item")
    more = good["refused"] | {"2": "demo.number_taken"}
    yield _no("refusal added", good | {"refused": more}, 7, "an accepted item")
    yield _no("refusal of none", good | {"refused": {"3": "demo.number_taken"}}, 6, "of three")
    path = good["path"]
    for how, value in {
        "swapped": [path[1], path[0], *path[2:]],
        "shortened": path[:-1],
        "lengthened": [*path, path[-1]],
        "reversed": path[::-1],
        "emptied": [],
    }.items():
        yield _no(f"path {how}", good | {"path": value}, 7, f"the path is {how}")
    for first in (0, good["first"] - 1, 2**53 - 1):
        yield _no(f"first is {first}", good | {"first": first}, 7, "not their place")


def _shapes(good: dict[str, Any]) -> Iterator[Case]:
    for name in ("format", "first", "block", "at", "path", "checkpoint"):
        short = {member: value for member, value in good.items() if member != name}
        yield _unreadable(f"{name} missing", encode(short), f"no {name}")
    zero = b64encode(bytes(32)).decode()
    shapes: dict[str, dict[str, Any]] = {
        "another format": {"format": "tallystick/batch-receipt/v2"},
        "refused nothing, spelled out": {"refused": {}},
        "accepted, spelled out": {"refused": {"0": "accepted"}},
        "place with a zero before it": {"refused": {"01": "demo.number_taken"}},
        "place beyond the limit": {"refused": {"1000": "demo.number_taken"}},
        "free text as reason": {"refused": {"1": "sorry"}},
        "no instant": {"at": "2026-03-02T01:00:60Z"},
        "path too long": {"path": [zero] * 129},
        "short hash": {"path": ["AAAA"]},
        "first is negative": {"first": -1},
        "a member more": {"count": 3},
        "no checkpoint": {"checkpoint": ""},
    }
    for name, members in shapes.items():
        yield _unreadable(name, encode(good | members), name)
    yield _unreadable("with a newline", encode(good) + b"\n", "trailing data")
    yield _unreadable("with a space", encode(good).replace(b":", b": ", 1), "white space")
    yield _unreadable("too long", encode(good)[:-1] + b" " * 131_072 + b"}", "128 KiB at most")


def _transactions(world: World, good: dict[str, Any]) -> Iterator[Case]:
    for name, step in {
        "swapped": 2, "fewer": 2, "more": 2, "changed": 2, "count": 2, "root": 2,
        "network": 3, "sender": 5, "signature": 5,
    }.items():  # fmt: skip
        why = f"a transaction with another {name}"
        yield _no(f"of three {name}", good, step, why, transaction=f"three-{name}")
    for name in (
        "none", "fraction", "huge", "deep-huge", "name", "item-is-list", "extra", "spaced",
        "newline",
    ):  # fmt: skip
        why = f"the transaction is no transaction: {name}"
        yield _unreadable(f"of three {name}", encode(good), why, transaction=f"three-{name}")
    yield _no("of another transaction", good, 6, "it has one item", transaction="one")
    one = plain(world.chain.batch(world.at["first"], world.note()))
    yield _no("of another place", one, 7, "three items", transaction="three")


def _notes(world: World) -> Iterator[Case]:
    chain, first = world.chain, world.at["first"]
    lone = encode(chain.batch(first, note_of(chain.checkpoint(), {"hospital-01": START + 400})))
    yield Case("batch lone", "batch", lone, FALSE, "one keeper", step=10, transaction="one")
    data = encode(chain.batch(first, world.note()))
    named: dict[str, Any] = {"transaction": "one"}
    yield Case(
        "batch forked", "batch", data, FALSE, "at hand", step=8, checkpoint="forked", **named
    )
    for trusted, step in (("trust-other-origin", 8), ("trust-other-log-key", 9)):
        why = "not whom the reader trusts"
        name = f"batch {trusted}"
        yield Case(name, "batch", data, FALSE, why, step=step, policy=trusted, **named)
