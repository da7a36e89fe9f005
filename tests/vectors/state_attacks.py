"""Checkpoints and state proofs that must fail, in a receipt or by themselves.

See docs/spec/README.md.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

from vectors.attacks import false, receipt
from vectors.cases import Case, replace_root
from vectors.chain import CODE, KEEPERS, START, Chain, Key, note_of, plain
from vectors.world import NOW, World, bill, fresh_times

from tallystick.protocol.checkpoint import Checkpoint, format_checkpoint, sign_note


def failing_below(world: World) -> Iterator[Case]:
    """Receipts whose item is true, but whose checkpoint or state is not."""
    yield from _checkpoints(world)
    yield from _state_proofs(world)
    yield from _policies(world)


def _checkpoints(world: World) -> Iterator[Case]:
    first, chain = receipt(world, "first", bill(100_001)), world.chain
    head = chain.checkpoint()

    def noted(name: str, note: str, step: int, why: str, **more: Any) -> Case:
        return false(name, first | {"checkpoint": note}, step, why, **more)

    now = fresh_times()
    yield noted("root of nowhere", note_of(replace_root(head), now), 7, "signed, but another root")
    for size, step in ((head.size - 1, 11), (2**53 - 1, 7), (1, 7)):
        moved = Checkpoint(head.origin, size, head.root)
        yield noted(f"size is {size}", note_of(moved, now), step, "signed, but another size")
    yield noted(
        "checkpoint before the entry", note_of(world.after[0].checkpoint(), now), 7, "an older log"
    )
    yield noted("the empty log", note_of(chain.checkpoint(0), now), 7, "there is no entry in it")
    elsewhere = Checkpoint("example.org/other/0123456789abcdef", head.size, head.root)
    yield noted("another origin", note_of(elsewhere, now), 8, "the log of another network")
    yield noted("another log key", note_of(head, now, log=Key("thief")), 9, "not a log key")
    thief = sign_note(format_checkpoint(head), head.origin, Key("thief"))
    keepers = note_of(head, now).split("\n\n", 1)[1].split("\n", 1)[1]
    yield noted("no log signature", format_checkpoint(head) + "\n" + keepers, 9, "keepers only")
    yield noted(
        "log signature of a thief",
        format_checkpoint(head) + "\n" + thief + keepers,
        9,
        "not a log key",
    )
    good = world.note()
    yield noted("log signature changed", _flip_line(good, 0), 9, "the log's signature is false")
    for n, org in enumerate(KEEPERS):
        lone = {other: time for other, time in now.items() if other == org}
        yield noted(f"co-signed by {org} alone", note_of(head, lone), 10, "one of two")
        if org != "finance-33":
            continue
        without = {other: time for other, time in now.items() if other != org}
        yield noted(
            "finance is missing", note_of(head, without), 10, "two, but not the required one"
        )
        yield noted("finance's line changed", _flip_line(good, n + 1), 10, "a false line is none")
        keys = {org: Key("thief")}
        yield noted("finance's name, a thief's key", note_of(head, now, keys=keys), 10, "a thief's")
        yield noted(
            "time of a line changed", _flip_line(good, n + 1, at=6), 10, "the time is signed"
        )
    yield noted("no co-signature", note_of(head, {}), 10, "none of two")
    yield noted("lines of another checkpoint", _other_lines(world), 10, "they sign the text")
    yield noted("a keeper as a log", _keeper_signs_note(world), 10, "a note is no co-signature")
    why = "a note at hand that is vouched for has another root at this size"
    yield noted("forked", good, 8, why, checkpoint="forked")
    yield noted("too few at hand", good, 10, "the note at hand stands in", checkpoint="too-few")


def _flip_line(note: str, line: int, at: int = 40) -> str:
    """One bit of a signature line changed, behind its key id."""
    text, _, block = note.partition("\n\n")
    lines = block.splitlines(keepends=True)
    start, encoded = lines[line].rsplit(" ", 1)
    data = bytearray(b64decode(encoded))
    data[at] ^= 1
    lines[line] = f"{start} {b64encode(bytes(data)).decode()}\n"
    return text + "\n\n" + "".join(lines)


def _other_lines(world: World) -> str:
    """The log signs the newest head, the keepers an older one."""
    head, old = world.chain.checkpoint(), world.after[3].checkpoint()
    own = note_of(head, {})
    return own + note_of(old, fresh_times()).split("\n\n", 1)[1].split("\n", 1)[1]


def _keeper_signs_note(world: World) -> str:
    head = world.chain.checkpoint()
    line = sign_note(format_checkpoint(head), "finance-33/keeper", Key("keeper finance-33"))
    return note_of(head, {"hospital-01": NOW, "insurer-01": NOW}) + line


def _state_proofs(world: World) -> Iterator[Case]:
    chain, note = world.chain, world.note()
    old = world.after[4]
    now_reversed = receipt(world, "reversed", bill(100_002))
    stale = plain(old.state(bill(100_002)))
    yield false(
        "stale state under a fresh checkpoint",
        now_reversed | {"state": stale},
        11,
        "the block leaf of an older block, with its path of then",
    )
    index = old.size - 1
    path = [b64encode(digest).decode() for digest in chain.log_path(index)]
    yield false(
        "stale block leaf with its path of now",
        now_reversed | {"state": stale | {"block_path": path}},
        11,
        "a block leaf that is not the last leaf",
    )
    leaf = stale["block_leaf"] | {"state": stale["block_leaf"]["state"]}
    last = now_reversed["state"] | {"block_leaf": leaf}
    yield false(
        "stale block leaf in the last one's place",
        now_reversed | {"state": last},
        11,
        "the path is of the last leaf",
    )
    root = now_reversed["state"]["block_leaf"] | {"state": stale["block_leaf"]["state"]}
    yield false(
        "stale state root",
        now_reversed | {"state": stale | {"block_leaf": root}},
        11,
        "the root is in the leaf",
    )
    rows = now_reversed["state"] | {"row": stale["row"]}
    yield false("stale row", now_reversed | {"state": rows}, 13, "an older row, a newer path")
    entry = receipt(world, "first", bill(100_001))
    other_row = plain(chain.state(bill(100_004)))
    yield false("row of another entry", entry | {"state": other_row}, 14, "another item's bill")
    yield false(
        "row that no entry made",
        entry | {"state": plain(chain.state("demo.member/org-01"))},
        14,
        "a row without an entry",
    )
    yield false(
        "row for a refused item",
        receipt(world, "refused") | {"state": entry["state"]},
        14,
        "of the first taker",
    )
    absent = plain(chain.state("demo.pass/card-3"))
    yield false(
        "absence in a receipt",
        receipt(world, "dropped") | {"state": absent},
        14,
        "a row that is not there was made by nobody",
    )
    yield from _documents(world, note)
    yield from _misplaced(world, note)


def _document(world: World, key: str, **changed: Any) -> dict[str, Any]:
    members = plain(world.chain.document(key, world.note()))
    members["state"] |= changed
    members["state"] = {
        name: value for name, value in members["state"].items() if value is not None
    }
    return members


def _documents(world: World, note: str) -> Iterator[Case]:
    """Absences that are none, and presences that are none."""
    del note
    yield from _absences_of_numbers(world)
    yield from _absences_of_rows(world)
    yield from _presences(world)


def _state(world: World, key: str) -> dict[str, Any]:
    return plain(world.chain.state(key))


def _doc(world: World, name: str, key: str, step: int, why: str, **changed: Any) -> Case:
    """A state proof of `key` with members of it changed; None takes one away."""
    return false(name, _document(world, key, **changed), step, why, kind="state")


def _absences_of_numbers(world: World) -> Iterator[Case]:
    key, gone = bill(100_001), {"row": None}
    taken, empty = _state(world, key), _state(world, bill(100_003))
    no_page, other_code = _state(world, bill(5_000_000)), _state(world, bill(100_001, CODE + 1))
    absent_row = _state(world, "demo.pass/card-4")
    by_neighbour = taken["page"] | {"path": empty["page"]["path"]}
    no_path = taken["page"] | {"path": []}
    for name, step, why, changed in (
        ("taken slot shown as empty", 13, "the slot is not empty", {}),
        (
            *("absence by the neighbour's path", 13, "the path of another slot"),
            {"page": by_neighbour},
        ),
        (
            *("absence by the neighbour's slot", 12, "the page of another number"),
            {"page": empty["page"]},
        ),
        ("absence of a page that is there", 13, "the page is there", {"page": no_path}),
        (
            *("absence from the wrong page", 13, "another page is absent"),
            {"page": no_path, "map": no_page["map"]},
        ),
        (
            *("absence from the page of another number", 12, "another page"),
            {"page": no_page["page"], "map": no_page["map"]},
        ),
        (
            *("absence from another code", 12, "another code"),
            {"page": other_code["page"], "map": other_code["map"]},
        ),
        (
            *("absence of a number from the map", 12, "numbers lie in pages"),
            {"page": None, "map": absent_row["map"]},
        ),
    ):
        yield _doc(world, name, key, step, why, **gone, **changed)


def _absences_of_rows(world: World) -> Iterator[Case]:
    key, empty = "demo.pass/card-1", _state(world, bill(100_003))
    absent_row = _state(world, "demo.pass/card-4")
    yield _doc(
        *(world, "absence of a map row by a page", key, 12, "only numbers lie in pages"),
        row=None,
        page=empty["page"],
        map=empty["map"],
    )
    yield _doc(
        *(world, "absence of another key", key, 13, "the proof is for another key"),
        row=None,
        map=absent_row["map"],
    )
    yield _doc(world, "absence of what is there", key, 13, "the row is there", row=None)
    yield _doc(
        *(world, "presence by a proof of absence", key, 13, "it proves absence"),
        map=absent_row["map"],
    )


def _presences(world: World) -> Iterator[Case]:
    taken = _state(world, bill(100_001))

    def renamed(number: int) -> dict[str, Any]:
        row: dict[str, Any] = taken["row"] | {"id": bill(number).partition("/")[2]}
        return row

    for name, number, step, why, row in (
        ("a row in an empty slot", 100_003, 13, "the slot is empty", renamed(100_003)),
        ("the row of another number", 100_003, 12, "the row has another id", taken["row"]),
        ("a row in an absent page", 5_000_000, 13, "there is no page", renamed(5_000_000)),
    ):
        yield _doc(world, name, bill(number), step, why, row=row)
    for length in (1, 11):
        page = taken["page"] | {"path": taken["page"]["path"][:length]}
        name = f"page path of {length}"
        yield _doc(world, name, bill(100_001), 13, "twelve or none", page=page)


def _misplaced(world: World, note: str) -> Iterator[Case]:
    """Keys that are not where they belong, and a network of one's own."""
    pretender = build_with_number_in_map()
    own = note_of(pretender.checkpoint(), fresh_times())
    key = "demo.bill/33060126:000010000"
    data = plain(pretender.document(key, own))
    yield false(
        "nine digits for ten",
        _renamed(data, bill(100_000)),
        12,
        "the row has another id",
        kind="state",
    )
    shifted = plain(world.chain.document(bill(100_001), note))
    shifted["state"]["page"]["number"] += 4_096
    yield false(
        "key outside its page", shifted, 12, "the page follows from the number", kind="state"
    )
    shifted["state"]["key"] = bill(100_001 + 4_096)
    shifted["state"]["row"]["id"] = bill(100_001 + 4_096).partition("/")[2]
    yield false(
        "same slot of another page", shifted, 13, "the row says which number it is", kind="state"
    )
    foreign = Chain(network=bytes(32))
    foreign.send([(1, 1)])
    foreign.block(START)
    data = plain(foreign.document("demo.pass/card-1", note_of(foreign.checkpoint(), fresh_times())))
    yield false("block of another network", data, 11, "the leaf names its network", kind="state")
    empty = Chain()
    head = note_of(empty.checkpoint(), fresh_times())
    members = plain(world.chain.document("demo.pass/card-1", note)) | {"checkpoint": head}
    members["state"]["block_path"] = []
    yield false("state of the empty log", members, 11, "it has no last leaf", kind="state")


def build_with_number_in_map() -> Chain:
    """A ledger that put something like a number into the map."""
    chain = Chain()
    chain.send([(1, 1)])
    chain.put("demo.bill", "33060126:000010000", entry=0)
    chain.block(START)
    return chain


def _renamed(members: dict[str, Any], key: str) -> dict[str, Any]:
    members["state"]["key"] = key
    members["state"]["page"] = {"code": CODE, "number": int(key.partition(":")[2]), "path": []}
    return members


def _policies(world: World) -> Iterator[Case]:
    data = receipt(world, "first", bill(100_001))
    yield false("of another network", data, 3, "the policy's network", policy="trust-other-network")
    yield false("of another log", data, 8, "the policy's origin", policy="trust-other-origin")
    yield false(
        "by an unlisted log key", data, 9, "the policy's log keys", policy="trust-other-log-key"
    )
    yield false("by a retired keeper", data, 10, "it counts below size 4", policy="trust-retired")
    yield false(
        "by a keeper before its time", data, 10, "it counts from size 100000", policy="trust-young"
    )
    two = data | {
        "checkpoint": note_of(world.chain.checkpoint(), {"finance-33": NOW, "insurer-01": NOW})
    }
    yield false("two where three are asked for", two, 10, "each is required", policy="trust-all")
    none = data | {"checkpoint": note_of(world.chain.checkpoint(), {})}
    yield false("none where one is asked for", none, 10, "any one", policy="trust-one")
