"""The vectors that ship with the code: each gives what it says, and all of them can be made again.

Invariant: what another implementation reads is what this one is tested with.
See docs/spec/README.md.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from vectors import generate

from tallystick.apps.bills.fields import commit_fields
from tallystick.apps.bills.presentation import Unfit, verify_presentation
from tallystick.apps.bills.slip import verify_slip
from tallystick.protocol import merkle, page, statemap
from tallystick.protocol.body import leaves, open_body, seal_body, verify_disclosure
from tallystick.protocol.canonical import decode, encode, narrow
from tallystick.protocol.checkpoint import (
    format_checkpoint,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    verify_cosignature,
    verify_note_signature,
)
from tallystick.protocol.entry import BlockLeaf, Entry, app_hash
from tallystick.protocol.equivocation import policy_keys, verify_equivocation
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.genesis import log_origin, read_genesis
from tallystick.protocol.keys import verify_signature
from tallystick.protocol.multiproof import root_from_some
from tallystick.protocol.row import row_hash
from tallystick.protocol.statemap import MapProof
from tallystick.protocol.transaction import item_hash, items_root, transaction_id
from tallystick.protocol.trust import (
    TrustPolicy,
    read_trust,
    verify_keepers,
    verify_log_signature,
    verify_origin,
)
from tallystick.protocol.values import format_instant, parse_instant
from tallystick.verify import (
    FailedStep,
    Verdict,
    verdict,
    verify_batch,
    verify_receipt,
    verify_state,
    verify_status,
)

VECTORS = Path(generate.__file__).parent
INDEX: list[dict[str, Any]] = json.loads((VECTORS / "index.json").read_bytes())
TOTAL_BYTES_MAX = 4_000_000


@cache
def trust(path: str) -> TrustPolicy:
    return read_trust((VECTORS / path).read_bytes())


def module(name: str) -> Any:
    return json.loads((VECTORS / "modules" / f"{name}.json").read_bytes())


def unhex(hashes: list[str]) -> list[bytes]:
    return [bytes.fromhex(digest) for digest in hashes]


def test_they_can_be_made_again() -> None:
    made, there = generate.files(), generate.committed()
    assert sorted(made) == sorted(there)
    assert [name for name, data in made.items() if there[name] != data] == []
    assert sum(map(len, there.values())) < TOTAL_BYTES_MAX


def test_there_are_enough_of_each() -> None:
    counts = Counter((case["file"].split("/")[1], case["kind"]) for case in INDEX)
    assert counts["fail", "receipt"] >= 200
    assert counts["pass", "receipt"] >= 50
    assert min(counts[how, kind] for how in ("pass", "fail") for kind in generate.FOLDERS) >= 5
    steps = {case["step"] for case in INDEX if "step" in case}
    assert steps == {*range(2, 15)} - {4}, "1, 4 and 15 compute, they cannot fail"
    verdicts = {kind.name for kind in Verdict if kind not in (Verdict.FALSE, Verdict.UNREADABLE)}
    assert {case["expect"] for case in INDEX} >= verdicts


def outcome_of(case: dict[str, Any]) -> str:
    """What this implementation makes of one document: a verdict, an as-of, a kind of proof."""
    data, policy = (VECTORS / case["file"]).read_bytes(), trust(case["policy"])
    match case["kind"]:
        case "equivocation":
            return verify_equivocation(data, policy_keys(policy)).kind
        case "note":
            return note_outcome(data, policy)
        case "presentation":
            return presentation_outcome(data, policy, case)
        case "slip":
            return verify_slip(data, policy, now=case["now"]).verdict.name
    return document_outcome(data, policy, case)


def document_outcome(data: bytes, policy: TrustPolicy, case: dict[str, Any]) -> str:
    """The same of what the verifier itself reads: receipts of every kind and state proofs."""
    at_hand = at_hand_of(case)
    if case["kind"] == "batch":
        sent = (VECTORS / case["transaction"]).read_bytes()
        return verify_batch(sent, data, policy, checkpoint=at_hand).verdict.name
    asked: dict[str, Any] = {"now": case.get("now"), "about": case.get("about")}
    if case["kind"] == "status":
        return verify_status(data, policy, **asked, checkpoint=at_hand).verdict.name
    if case["kind"] == "state":
        return verify_state(data, policy, **asked, checkpoint=at_hand).verdict.name
    status = case.get("status", False)
    found = verify_receipt(data, policy, status=status, **asked, checkpoint=at_hand)
    held = [step.number for step in found.steps]
    assert held == list(range(1, 16 if found.state else 11))
    return found.verdict.name


def at_hand_of(case: dict[str, Any]) -> bytes | None:
    return (VECTORS / case["checkpoint"]).read_bytes() if "checkpoint" in case else None


def presentation_outcome(data: bytes, policy: TrustPolicy, case: dict[str, Any]) -> str:
    named = {name: case[name] for name in ("audience", "purpose", "now")}
    try:
        verify_presentation(data, policy, **named)
    except Unfit as unfit:
        return unfit.verdict.name
    return Verdict.GOOD.name


def note_outcome(data: bytes, policy: TrustPolicy) -> str:
    note = parse_note(data)
    parse_checkpoint(note.text)
    step = 8
    try:
        verify_origin(policy, note)
        step = 9
        verify_log_signature(policy, note)
        step = 10
        return str(verify_keepers(policy, note).as_of)
    except VerificationFailed as error:
        raise FailedStep(step, "note", error.detail) from None


@pytest.mark.parametrize("case", INDEX, ids=lambda case: str(case["file"]))
def test_each_gives_what_it_says(case: dict[str, Any]) -> None:
    try:
        found, failure = outcome_of(case), None
    except (Malformed, VerificationFailed) as error:
        failure = error
        found = "Malformed" if isinstance(error, Malformed) else "VerificationFailed"
        assert verdict(error).exit_code == (2 if isinstance(error, Malformed) else 1)
    assert found == case["expect"], f"{case['why']}: {failure}"
    assert getattr(failure, "step", None) == case.get("step"), str(failure)


def test_encoding() -> None:
    vectors = module("encoding")
    for text in vectors["canonical"]:
        assert encode(decode(text.encode(), dict[str, Any])) == text.encode()
    refused = [case["text"].encode() for case in vectors["malformed"]]
    for data in refused + unhex(vectors["malformed_bytes"]):
        with pytest.raises(Malformed):
            decode(data, dict[str, Any])
    for text, seconds in vectors["instants"]:
        assert (parse_instant(text), format_instant(seconds)) == (seconds, text)
    for text in vectors["no_instants"]:
        with pytest.raises(Malformed):
            parse_instant(text)


def test_keys() -> None:
    cases = module("keys")
    assert Counter(case["valid"] for case in cases)[True] >= 3
    for case in cases:
        key, message, signature = unhex([case["key"], case["message"], case["signature"]])
        if case["valid"]:
            verify_signature(key, message, signature)
            continue
        with pytest.raises(VerificationFailed):
            verify_signature(key, message, signature)


def test_transactions() -> None:
    for case in module("transaction"):
        wire = json.loads(case["transaction"])
        items = [encode(item) for item in wire["items"]]
        hashes = [item_hash(item) for item in items]
        message = b"tallystick/transaction/v1\n" + encode(wire["header"])
        assert message.hex() == case["signing_bytes"]
        assert transaction_id(message) == case["tx_id"] == sha256(message).hexdigest()
        assert [digest.hex() for digest in hashes] == case["item_hashes"]
        assert items_root(hashes).hex() == case["items_root"]
        for n, path in enumerate(case["item_paths"]):
            leaf = merkle.leaf_hash(hashes[n])
            merkle.verify_path(leaf, n, len(items), unhex(path), items_root(hashes))


def test_entries() -> None:
    vectors = module("entry")
    hashes = unhex(vectors["leaf_hashes"])
    for text, digest in zip(vectors["leaves"], hashes, strict=True):
        kind = BlockLeaf if '"kind":"block"' in text else Entry
        assert merkle.leaf_hash(encode(decode(text.encode(), kind))) == digest
    root = merkle.root(hashes)
    assert root.hex() == vectors["root"]
    network = decode(vectors["leaves"][-1].encode(), BlockLeaf).network
    assert app_hash(network, len(hashes), root).hex() == vectors["app_hash"]
    for sent in vectors["transactions"]:
        entry = decode(vectors["leaves"][sent["index"]].encode(), Entry)
        assert entry.item == item_hash(sent["item"].encode())
        assert entry.tx == transaction_id(bytes.fromhex(sent["signing_bytes"]))


def test_merkle() -> None:
    vectors = module("merkle")
    hashes = [merkle.leaf_hash(leaf) for leaf in unhex(vectors["leaves"])]
    roots = unhex(vectors["roots"])
    assert [merkle.root(hashes[:size]) for size in range(len(roots))] == roots
    for case in vectors["inclusion"]:
        index, size, path = case["index"], case["size"], unhex(case["path"])
        merkle.verify_path(hashes[index], index, size, path, roots[size])
    for case in vectors["consistency"]:
        old, new, path = case["old"], case["new"], unhex(case["path"])
        merkle.verify_consistency(old, roots[old], new, roots[new], path)


def test_checkpoints() -> None:
    for case in module("checkpoint"):
        checkpoint = parse_checkpoint(case["text"])
        assert (checkpoint.size, checkpoint.root.hex()) == (case["size"], case["root"])
        assert format_checkpoint(checkpoint) == case["text"]
        note = parse_note(case["note"].encode())
        log, keeper = parse_vkey(case["log_key"]), parse_vkey(case["keeper_key"])
        verify_note_signature(note, log.name, log.key)
        at = verify_cosignature(note, keeper.name, keeper.key)
        assert format_instant(at) == case["cosigned_at"]
        signature = note.signatures[1].signature[8:]
        verify_signature(keeper.key, case["cosigned_message"].encode(), signature)


def test_pages() -> None:
    vectors = module("page")
    rows: dict[str, str] = {}
    for step in vectors["steps"]:
        rows |= step["written"]
        for slot, path in step["paths"].items():
            held = page.slot_hash(rows[slot].encode()) if slot in rows else page.EMPTY_SLOT
            assert page.root_from_path(int(slot), held, unhex(path)).hex() == step["root"]
    last = bytes.fromhex(vectors["steps"][-1]["root"])
    assert page.page_hash(last).hex() == vectors["map_row_hash_of_last_root"]
    assert page.EMPTY_SLOT.hex() == vectors["empty_slot"]


def test_maps() -> None:
    vectors, rows, nothing = module("map"), dict[str, str](), dict[bytes, bytes]()
    for step in vectors["steps"]:
        rows |= step["put"]
        for key in step["dropped"]:
            del rows[key]
        root = bytes.fromhex(step["root"])
        for key, members in step["proofs"].items():
            proof = narrow(members, MapProof)
            if key in rows:
                digest = row_hash(rows[key].encode())
                statemap.verify_present(root, statemap.key_hash(key), digest, proof)
            else:
                statemap.verify_absent(root, statemap.key_hash(key), proof)
        changes: dict[bytes, bytes | None] = {
            statemap.key_hash(key): row_hash(row.encode()) for key, row in rows.items()
        }
        if changes:
            assert statemap.update(nothing.get, changes)[0] == root, (
                "the root is one of the rows alone"
            )
    assert rows == vectors["left"]


def test_genesis() -> None:
    vectors = module("genesis")
    genesis, network = read_genesis(vectors["file"].encode())
    assert network.hex() == vectors["network"]
    assert log_origin(genesis.name, network) == vectors["origin"]


def test_bodies() -> None:
    for case in module("body"):
        body, secret = json.loads(case["body"]), bytes.fromhex(case["secret"])
        root, disclosures = bytes.fromhex(case["root"]), case["disclosures"]
        assert [path for path, _ in leaves(body)] == case["paths"]
        assert seal_body(body, secret).disclosures == tuple(disclosures)
        assert open_body(disclosures, root) == body
        last, path = len(disclosures) - 1, unhex(case["path_of_last"])
        shown = verify_disclosure(disclosures[last], last, last + 1, path, root)
        assert shown.path == case["paths"][-1]


def test_presentations() -> None:
    vectors = module("presentation")
    for case in vectors["fields"]:
        salt, text = bytes.fromhex(case["salt"]), encode(sorted(case["patterns"]))
        digest = sha256(b"tallystick/fields/v1\n" + salt + text).hexdigest()
        assert commit_fields(salt, case["patterns"]).hex() == case["digest"] == digest
    hashes = [merkle.leaf_hash(leaf.encode()) for leaf in vectors["leaves"]]
    for case in vectors["proofs"]:
        shown = [hashes[index] for index in case["indices"]]
        root = root_from_some(shown, case["indices"], case["size"], unhex(case["proof"]))
        assert root.hex() == case["root"] == merkle.root(hashes[: case["size"]]).hex()
