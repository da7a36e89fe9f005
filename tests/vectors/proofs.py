"""Notes and proofs of equivocation: those that hold, and those that prove nothing.

See docs/spec/checkpoint.md and docs/spec/equivocation.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from vectors.cases import FALSE, UNREADABLE, Case, replace_root
from vectors.chain import KEEPERS, START, Chain, Key, keeper_name, note_of, policy
from vectors.world import ATOMIC, NOW, World, fresh_times

from tallystick.protocol import merkle
from tallystick.protocol.canonical import encode
from tallystick.protocol.checkpoint import Checkpoint, VerifierKey, format_vkey
from tallystick.protocol.entry import BlockLeaf
from tallystick.protocol.equivocation import (
    policy_keys,
    prove_equivocation,
    prove_two_leaves,
)
from tallystick.protocol.values import format_instant


def notes(world: World) -> Iterator[Case]:
    """Checkpoints as notes; a passing one gives its as-of."""
    head, now = world.chain.checkpoint(), fresh_times()
    good = note_of(head, now)
    two = {"finance-33": NOW - 700, "insurer-01": NOW - 2}

    def case(name: str, note: str | bytes, expect: str, why: str, step: int | None = None) -> Case:
        data = note.encode() if isinstance(note, str) else note
        return Case(name, "note", data, expect, why, step=step)

    yield case("three keepers", good, str(NOW - 6), "the second newest; finance is newer")
    yield case("two keepers", note_of(head, two), str(NOW - 700), "the older of two")
    late = {"finance-33": NOW - 700, "hospital-01": NOW, "insurer-01": NOW}
    yield case("finance is behind", note_of(head, late), str(NOW - 700), "finance is required")
    small = world.after[0].checkpoint()
    yield case("a small log", note_of(small, now), str(NOW - 6), "size two")
    yield case("lines in another order", _reversed_lines(good), str(NOW - 6), "any order")
    yield case("no log key", note_of(head, now, log=Key("thief")), FALSE, "a thief's", 9)
    lone = note_of(head, {"insurer-01": NOW})
    yield case("one keeper", lone, FALSE, "finance is required", 10)
    yield case("finance alone", note_of(head, {"finance-33": NOW}), FALSE, "one of two", 10)
    elsewhere = Checkpoint("elsewhere", head.size, head.root)
    yield case("elsewhere", note_of(elsewhere, now), FALSE, "another origin", 8)
    yield from _unreadable_notes(good)


def _reversed_lines(note: str) -> str:
    text, _, block = note.partition("\n\n")
    return text + "\n\n" + "".join(reversed(block.splitlines(keepends=True)))


def _unreadable_notes(good: str) -> Iterator[Case]:
    text, _, block = good.partition("\n\n")
    origin, size, root = text.split("\n")
    lines = block.splitlines(keepends=True)
    spellings: dict[str, tuple[str | bytes, str]] = {
        "empty note": ("", "no text"),
        "no signatures": (text + "\n\n", "at least one"),
        "no empty line": (good.replace("\n\n", "\n"), "the signatures' place"),
        "no newline at the end": (good[:-1], "the last line ends"),
        "carriage returns": (good.replace("\n", "\r\n"), "newlines only"),
        "space after the size": (good.replace(f"\n{size}\n", f"\n{size} \n"), "one spelling"),
        "size with zero": (good.replace(f"\n{size}\n", f"\n0{size}\n"), "one spelling"),
        "size with sign": (good.replace(f"\n{size}\n", f"\n+{size}\n"), "one spelling"),
        "size in other digits": (good.replace(f"\n{size}\n", "\n१०\n"), "ASCII digits"),
        "huge size": (good.replace(f"\n{size}\n", f"\n{2**53}\n"), "2^53 - 1 at most"),
        "size of 500 digits": (good.replace(f"\n{size}\n", "\n" + "9" * 500 + "\n"), "as above"),
        "short root": (good.replace(root, "AAAA"), "32 bytes"),
        "root without padding": (good.replace(root, root.rstrip("=")), "padded"),
        "extension line": (good.replace(text, text + "\nmore"), "three lines"),
        "two lines": (good.replace(f"\n{root}", ""), "three lines"),
        "space in origin": (good.replace(origin, "a b"), "a key name"),
        "plus in origin": (good.replace(origin, "a+b"), "a key name"),
        "hyphen for the dash": (good.replace("\N{EM DASH}", "-"), "an em dash"),
        "line twice": (good + lines[0], "a key signs once"),
        "65 lines": (text + "\n\n" + lines[1] * 65, "64 at most"),
        "line without name": (good.replace(f"\N{EM DASH} {origin}", "\N{EM DASH}"), "name first"),
        "line without base64": (good + "\N{EM DASH} name !!!!\n", "not base64"),
        "line without signature": (good + "\N{EM DASH} name AAAAAA==\n", "a key id alone"),
        "not UTF-8": (b"\xff" + good.encode(), "UTF-8"),
        "longer than the limit": (good + "\N{EM DASH} " + "n" * 17_000 + " AAAAAAAA\n", "16 KiB"),
    }
    for name, (note, why) in spellings.items():
        data = note.encode() if isinstance(note, str) else note
        yield Case(f"note: {name}", "note", data, UNREADABLE, why)


class Forked:
    """Two histories of one network that share two blocks, and notes of them by the same signers."""

    def __init__(self, world: World) -> None:
        self.shared = deepcopy(world.after[1])
        self.one, self.two = deepcopy(self.shared), deepcopy(self.shared)
        self.one.send([(500, 1)])
        self.two.send([(500, 1)], ["demo.number_taken"])
        for chain in (self.one, self.two):
            chain.block(START + 200)
        self.longer = deepcopy(self.two)
        self.longer.send([(501, 1), (502, 1), (503, 1), (504, 1)], ATOMIC)
        self.longer.block(START + 260)
        self.index = self.shared.size
        self.keys = policy_keys(policy())
        self.keepers = self.keys[1:]

    def note(self, chain: Chain, at: int = START + 300) -> bytes:
        return note_of(chain.checkpoint(), dict.fromkeys(KEEPERS, at)).encode()

    def prefix(self, small: Chain, large: Chain) -> tuple[bytes, list[bytes]]:
        """What `large` has at the size of `small`, with its consistency path."""
        hashes = large.hashes()
        nodes = merkle.consistency_nodes(small.size, large.size)
        path = [merkle.root(hashes[at << level : (at + 1) << level]) for level, at in nodes]
        return merkle.root(hashes[: small.size]), path

    def block(self, at: int) -> tuple[Chain, tuple[int, BlockLeaf, list[bytes]]]:
        """A log with one block more than the shared one, of that time; and that block's proof."""
        chain = deepcopy(self.shared)
        chain.send([(600, 1)])
        chain.block(at)
        leaf = chain.leaves[-1]
        assert isinstance(leaf, BlockLeaf)
        return chain, (chain.size - 1, leaf, chain.log_path(chain.size - 1))


def equivocations(world: World) -> Iterator[Case]:
    """Proofs that convict, and what only looks like one."""
    forked = Forked(world)
    for keys, who in ((forked.keys, "the log"), (forked.keepers, "a keeper")):
        for kind, data in _proofs(forked, keys).items():
            yield Case(f"{kind} by {who}", "equivocation", data, kind, f"convicts {who}")
    hidden = _hidden(forked, START + 200, START + 261)
    yield Case("hidden by a keeper", "equivocation", hidden, "hidden", "a second beyond the slack")
    yield from _no_proofs(forked)


def _proofs(forked: Forked, keys: list[VerifierKey]) -> dict[str, bytes]:
    one, two, longer = (forked.note(c) for c in (forked.one, forked.two, forked.longer))
    prefix = forked.prefix(forked.one, forked.longer)
    receipts = [
        chain.receipt(forked.index, forked.note(chain).decode())
        for chain in (forked.one, forked.longer)
    ]
    return {
        "two_roots": prove_equivocation(one, two, keys),
        "other_prefix": prove_equivocation(one, longer, keys, prefix=prefix),
        "two_leaves": prove_two_leaves(receipts[0], receipts[1], keys),
    }


def _hidden(forked: Forked, block_at: int, cosigned_at: int) -> bytes:
    chain, block = forked.block(block_at)
    first = forked.note(forked.shared, cosigned_at)
    return prove_equivocation(first, forked.note(chain), forked.keepers, block=block)


def _no_proofs(forked: Forked) -> Iterator[Case]:
    proofs = _proofs(forked, forked.keepers)
    two_roots, prefix = json.loads(proofs["two_roots"]), json.loads(proofs["other_prefix"])
    leaves = json.loads(proofs["two_leaves"])
    hidden = json.loads(_hidden(forked, START + 200, START + 261))
    alone = note_of(forked.two.checkpoint(), {}).encode().decode()
    stranger = format_vkey(VerifierKey("stranger", 4, Key("stranger").public_key))
    consistent = forked.prefix(forked.shared, forked.longer)
    shared = forked.note(forked.shared).decode()
    elsewhere = Checkpoint("elsewhere", forked.two.size, bytes(32))
    chain, block = forked.block(START + 240)
    log = format_vkey(forked.keys[0])

    def no(name: str, members: Any, why: str, expect: str = FALSE) -> Case:
        return Case(name, "equivocation", encode(members), expect, why)

    yield no("one note twice", two_roots | {"second": two_roots["first"]}, "one root")
    yield no("sizes differ", two_roots | {"second": prefix["second"]}, "not decidable")
    yield no("signed by one of them", two_roots | {"second": alone}, "the keeper did not sign")
    yield no("a stranger", two_roots | {"signer": stranger}, "no key that was asked about")
    other_log = note_of(elsewhere, dict.fromkeys(KEEPERS, NOW))
    yield no("two logs", two_roots | {"second": other_log}, "a keeper may serve two logs")
    forged = note_of(
        replace_root(forked.two.checkpoint()), {"finance-33": NOW}, keys={"finance-33": Key("x")}
    )
    yield no("a forged note", two_roots | {"second": forged}, "the keeper did not sign")
    roots = {"prefix_root": encode(consistent[0]).decode().strip('"'), "first": shared}
    path = {"path": json.loads(encode(consistent[1]))}
    yield no("a log that grew", prefix | roots | path, "the larger begins with the smaller")
    yield no("the path of another size", prefix | path, "it joins nothing")
    swapped = {"first": prefix["second"], "second": prefix["first"]}
    yield no("the larger first", prefix | swapped, "the smaller comes first")
    yield no("prefix root changed", prefix | roots | {"first": prefix["first"]}, "joins nothing")
    yield no("path shortened", prefix | {"path": prefix["path"][:-1]}, "joins nothing")
    yield no("one leaf twice", leaves | {"second_leaf": leaves["first_leaf"]}, "one leaf")
    yield no("leaf of nowhere", leaves | {"second_leaf": "A" * 43 + "="}, "its path ends nowhere")
    yield no("another index", leaves | {"index": leaves["index"] + 1}, "its path ends nowhere")
    yield no("leaf path shortened", leaves | {"first_path": []}, "its path ends nowhere")
    at = START + 240 + 60
    members = {
        "block_leaf": json.loads(encode(block[1])),
        "path": json.loads(encode(block[2])),
        "first": forked.note(forked.shared, at).decode(),
        "second": forked.note(chain).decode(),
    }
    yield no("within the slack", hidden | members, "an honest clock may be a minute off")
    yield no("block within", hidden | {"first": hidden["second"]}, "the checkpoint has the block")
    changed = hidden["block_leaf"] | {"at": format_instant(START)}
    yield no("block of another time", hidden | {"block_leaf": changed}, "the time is in the leaf")
    yield no("hidden by the log", hidden | {"signer": log}, "a log key says no time")
    yield no("no such kind", two_roots | {"proof": "three_roots"}, "unknown", UNREADABLE)
    yield no("no kind", {k: v for k, v in two_roots.items() if k != "proof"}, "none", UNREADABLE)
    yield no("a member more", two_roots | {"index": 1}, "closed", UNREADABLE)
    yield no("no key", two_roots | {"signer": keeper_name("finance-33")}, "no vkey", UNREADABLE)
    wrong_id = "+00000000+".join(two_roots["signer"].split("+")[::2])
    yield no("wrong key id", two_roots | {"signer": wrong_id}, "not the key's id", UNREADABLE)
    spaced = proofs["two_roots"].replace(b":", b": ", 1)
    yield Case("white space in a proof", "equivocation", spaced, UNREADABLE, "canonical")
