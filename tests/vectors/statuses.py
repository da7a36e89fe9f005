"""Statuses: a row and the entry that made it, those that hold and forged ones.

See docs/spec/status.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vectors.attacks import get_at, leaves, other, set_at
from vectors.cases import FALSE, STANDING, UNREADABLE, Case
from vectors.chain import KEEPERS, Chain, note_of, plain
from vectors.world import NOW, World, bill

from tallystick.protocol.canonical import encode
from tallystick.protocol.status import EntryProof

STEP_OF_FIELD = {
    "entry": 7,
    "state/block_leaf": 11,
    "state/block_path": 11,
    "state/key": 12,
    "state/page/code": 12,
    "state/page/number": 12,
    "state/page/path": 13,
    "state/row/kind": 12,
    "state/row/id": 12,
    "state/row": 13,
    "state/map": 13,
}
UNREADABLE_WHEN_CHANGED = ("format", "entry/leaf/kind", "state/block_leaf/kind", "state/map/bitmap")
ASKED: dict[str, Any] = {"now": NOW}


def passing(world: World) -> Iterator[Case]:
    """Of every kind of row, whatever its verdict; and of rows that are not there."""
    chain, note = world.chain, world.note()
    for key in [*STANDING.values(), "demo.member/org-00"]:
        yield Case(f"status of {key}", "status", _of(chain, key, note), "GOOD", "stands", **ASKED)
    for key, verdict, why in (
        (bill(100_002), "NOT_GOOD", "reversed in the last block"),
        ("demo.pass/card-2", "EXPIRED", "it has run out"),
        ("demo.pass/card-4", "ABSENT", "never there"),
        (bill(100_003), "ABSENT", "an empty slot of a page that has bills"),
        (bill(5_000_000), "ABSENT", "a page that is not there"),
    ):
        data = _of(chain, key, note)
        yield Case(f"status {verdict} {key}", "status", data, verdict, why, **ASKED)
    data = _of(chain, bill(100_001), note)
    late = NOW + 10_000
    yield Case("status stale", "status", data, "STALE", "older than the policy allows", now=late)
    about = bill(100_004).partition("/")[2]
    why = "another number was asked for"
    yield Case("status of another", "status", data, "OTHER", why, about=about, **ASKED)
    early = note_of(chain.checkpoint(), dict.fromkeys(KEEPERS, NOW - 3_000))
    why = "newer co-signatures of the same checkpoint are at hand"
    stale = _of(chain, bill(100_001), early)
    yield Case("status refreshed", "status", stale, "GOOD", why, checkpoint="fresh", **ASKED)
    first = world.after[0]
    small = _of(first, bill(100_001), note_of(first.checkpoint(), dict.fromkeys(KEEPERS, NOW)))
    yield Case("status in a log of two", "status", small, "GOOD", "the shortest paths", **ASKED)


def _of(chain: Chain, key: str, note: str) -> bytes:
    return encode(chain.status(key, note))


def failing(world: World) -> Iterator[Case]:
    """Everything that must not be believed."""
    chain, note = world.chain, world.note()
    good = plain(chain.status(bill(200_500), note))
    seen: set[str] = set()
    for members in (good, plain(chain.status("demo.pass/card-1", note))):
        for path in leaves(members):
            text = "/".join(map(str, path))
            if path[0] == "checkpoint" or (text in seen and path[0] != "state"):
                continue
            seen.add(text)
            changed = encode(set_at(members, path, other(get_at(members, path))))
            key = members["state"]["key"].partition("/")[0]
            name, why = f"status {key} {text} changed", f"one field changed: {text}"
            if text in UNREADABLE_WHEN_CHANGED:
                yield Case(name, "status", changed, UNREADABLE, why)
            else:
                yield Case(name, "status", changed, FALSE, why, step=_step_of(text))
    yield from _swapped(world, good)
    yield from _shapes(good)


def _step_of(text: str) -> int:
    found = [name for name in STEP_OF_FIELD if text == name or text.startswith(name + "/")]
    return STEP_OF_FIELD[max(found, key=len)]


def _swapped(world: World, good: dict[str, Any]) -> Iterator[Case]:
    chain, note = world.chain, world.note()

    def no(name: str, members: Any, why: str, step: int = 14) -> Case:
        return Case(f"status {name}", "status", encode(members), FALSE, why, step=step)

    another = plain(chain.status(bill(100_001), note))
    yield no("entry of another bill", good | {"entry": another["entry"]}, "the row names its entry")
    hidden = {name: value for name, value in good.items() if name != "entry"}
    yield no("entry hidden", hidden, "an entry made the row, and is not shown")
    absent = plain(chain.status(bill(100_003), note))
    yield no("entry without row", absent | {"entry": good["entry"]}, "no row, hence no entry")
    founded = plain(chain.status("demo.member/org-00", note))
    yield no("entry of a founded row", founded | {"entry": good["entry"]}, "no entry made this row")
    index = world.at["refused"]
    leaf = chain.leaves[index]
    proof = EntryProof(leaf=leaf, index=index, path=chain.log_path(index))  # type: ignore[arg-type]  # an entry
    yield no("refused entry", good | {"entry": plain(proof)}, "a true entry, but not of the row")
    steps = good["entry"]["path"]
    for how, path in {"shortened": steps[:-1], "reversed": steps[::-1], "emptied": []}.items():
        changed = set_at(good, ("entry", "path"), path)
        yield no(f"log path {how}", changed, f"the path is {how}", 7)
    lone = plain(chain.status(bill(200_500), note_of(chain.checkpoint(), {"hospital-01": NOW})))
    yield no("lone", lone, "one keeper alone", 10)


def _shapes(good: dict[str, Any]) -> Iterator[Case]:
    for name, members in {
        "without state": {name: good[name] for name in good if name != "state"},
        "without index": set_at(
            good, ("entry",), {k: v for k, v in good["entry"].items() if k != "index"}
        ),
        "with an item": good | {"item": {}},
        "with no entry spelled out": good | {"entry": None},
        "with another format": good | {"format": "tallystick/status/v2"},
        "with no such second": set_at(good, ("entry", "leaf", "at"), "2026-03-02T01:00:60Z"),
        "with a fraction in its row": set_at(good, ("state", "row", "amounts", "total"), 1.5),
    }.items():
        yield Case(f"status {name}", "status", encode(members), UNREADABLE, name)
    data = encode(good)
    yield Case("status cut off", "status", data[:-1], UNREADABLE, "the last byte is missing")
    yield Case("status with a newline", "status", data + b"\n", UNREADABLE, "trailing data")
    longer = data[:-1] + b" " * 33_000 + b"}"
    yield Case("status too long", "status", longer, UNREADABLE, "32 KiB at most")
