"""The file of a presentation under attack: changed, mixed, repeated, widened, and hostile bytes."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from acts import nonce
from province import CODE
from showing import FIELDS, GRANT, PURPOSE, READER, Bench, fields_of, with_right, with_text
from world import signer

from tallystick.apps.bills.presentation import Unfit, verify_presentation
from tallystick.apps.bills.presenting import Basis, Proofs, present
from tallystick.apps.bills.showing import read_presentation
from tallystick.protocol import merkle
from tallystick.protocol.body import disclosure_digest
from tallystick.protocol.canonical import decode, encode, replace
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.multiproof import prove_some
from tallystick.protocol.receipt import Receipt, StateDocument


def _with_leaf(bench: Bench, n: int, text: str) -> bytes:
    shown = list(bench.honest.disclosures)
    shown[n] = text
    return encode(replace(bench.honest, disclosures=shown))


def _state_row(document: StateDocument, **changes: Any) -> StateDocument:
    row = (document.state.row or {}) | changes
    return replace(document, state=replace(document.state, row=row))


def _receipt(bench: Bench) -> Receipt:
    return bench.honest.receipt


def _all_of_other(b: Bench) -> bytes:
    other = b.other
    return encode(
        replace(
            b.honest, disclosures=other.disclosures, indices=other.indices, size=other.size,
            path=other.path,
        )
    )  # fmt: skip


def _unconsented(b: Bench) -> bytes:
    """A field that the holder did not name, proven with the others."""
    proofs = b.proofs(b.first, b.basis)
    wide = replace(proofs.right, fields=fields_of("items/*", "payer/*"))
    held = b.held[b.first]
    wider = Proofs(proofs.receipt, wide, proofs.issuer)
    made = read_presentation(
        present(held, wider, ["items/0", "payer/id_number"], audience=READER, purpose=PURPOSE)
    )
    return encode(replace(made, right=proofs.right))


def _twice(b: Bench) -> bytes:
    one = b.honest
    return encode(
        replace(
            one,
            disclosures=[one.disclosures[0], *one.disclosures],
            indices=[one.indices[0], *one.indices],
        )
    )


def _swapped(b: Bench) -> bytes:
    one = b.honest
    return encode(replace(one, disclosures=one.disclosures[::-1], indices=one.indices[::-1]))


FALSE: dict[str, tuple[Callable[[Bench], bytes], str]] = {
    "addressed to another": (
        lambda b: encode(replace(b.honest, audience="mutual")), "audience: not what the holder"),
    "for another purpose": (
        lambda b: encode(replace(b.honest, purpose="audit")), "purpose: not what the holder"),
    "of another bill": (
        lambda b: encode(replace(b.honest, bill=b.second)), "bill: the receipt is of"),
    "a value changed": (
        lambda b: _with_leaf(b, 4, with_text(b.honest.disclosures[4], value=1)),
        "not of this bill"),
    "a salt changed": (
        lambda b: _with_leaf(b, 4, with_text(b.honest.disclosures[4], salt="A" * 22)),
        "not of this bill"),
    "a path changed": (
        lambda b: _with_leaf(b, 1, with_text(b.honest.disclosures[1], path="items/2")),
        "not of this bill"),
    "a leaf of another bill": (
        lambda b: _with_leaf(b, 0, b.other.disclosures[0]), "not of this bill"),
    "all leaves of another bill": (_all_of_other, "not of this bill"),
    "an index moved": (
        lambda b: encode(replace(b.honest, indices=[n + 1 for n in b.honest.indices])),
        "hash|not of this bill"),
    "an index beyond the size": (
        lambda b: encode(replace(b.honest, indices=[*b.honest.indices[:-1], b.honest.size])),
        "do not name each leaf"),
    "an index too few": (
        lambda b: encode(replace(b.honest, indices=b.honest.indices[:-1])),
        "do not name each leaf"),
    "another size": (
        lambda b: encode(replace(b.honest, size=b.honest.size + 40)), "hash|not of this bill"),
    "a hash too few": (
        lambda b: encode(replace(b.honest, path=b.honest.path[:-1])), "fewer hashes"),
    "a hash too many": (
        lambda b: encode(replace(b.honest, path=[*b.honest.path, bytes(32)])), "more hashes"),
    "a hash changed": (
        lambda b: encode(replace(b.honest, path=[bytes(32), *b.honest.path[1:]])),
        "not of this bill"),
    "a leaf twice": (_twice, "stands twice"),
    "leaves out of order": (_swapped, "do not ascend"),
    "a field that is not consented": (_unconsented, "payer/id_number: the holder did not"),
    "more fields opened than consented": (
        lambda b: with_right(b.honest, fields=fields_of("items/*", "payer/*", "payment/sources")),
        "right/fields: not what the holder"),
    "fields under another salt": (
        lambda b: with_right(b.honest, fields=replace(FIELDS, salt=nonce(8))),
        "right/fields: not what the holder"),
    "fields not opened": (
        lambda b: with_right(b.honest, fields=None), "right/fields: not what a consent"),
    "a consent with an opening": (
        lambda b: with_right(b.honest, opening=b.keys[b.first].opening),
        "right/opening: not what a consent"),
    "a consent with a grant": (
        lambda b: with_right(b.honest, grant=GRANT), "right/grant: not what a consent"),
    "a consent with a type": (
        lambda b: with_right(b.honest, type=b.document(f"bills.type/{CODE // 100}/1")),
        "nothing asks for the type"),
    "another bill's consent": (
        lambda b: with_right(b.honest, rows=b.other.right.rows), "the consent is about"),
    "two consents": (
        lambda b: with_right(b.honest, rows=[*b.honest.right.rows, *b.other.right.rows]),
        "2 rows prove it"),
    "a consent's row changed": (
        lambda b: with_right(
            b.honest, rows=[_state_row(b.honest.right.rows[0], purpose="audit")]), "step 13"),
    "no such consent": (
        lambda b: with_right(b.honest, rows=[b.document(f"bills.consent/{'0' * 64}")]),
        "no such row"),
    "another row for a consent": (
        lambda b: with_right(b.honest, rows=[b.honest.issuer]), "it proves bills.issuer"),
    "a consent called a mandate": (
        lambda b: with_right(b.honest, kind="mandate", opening=b.keys[b.first].opening),
        "it proves bills.consent"),
    "a receipt of another bill": (
        lambda b: encode(replace(b.honest, receipt=b.other.receipt)), "the receipt is of"),
    "a receipt without state": (
        lambda b: encode(replace(b.honest, receipt=replace(_receipt(b), state=None))),
        "does not show the bill's state"),
    "a receipt with another's state": (
        lambda b: encode(
            replace(b.honest, receipt=replace(_receipt(b), state=b.other.receipt.state))),
        "step 14"),
    "a bill's row changed": (
        lambda b: encode(
            replace(b.honest, receipt=_with_row(_receipt(b), good=True, circulable=False))),
        "step 13"),
    "an issuer's row changed": (
        lambda b: encode(replace(b.honest, issuer=_state_row(b.honest.issuer, below=9))),
        "issuer, step 13"),
    "another issuer's row": (
        lambda b: encode(replace(b.honest, issuer=b.document("bills.issuer/clinic"))),
        "not the state of bills.issuer/hospital"),
    "no keeper's word": (
        lambda b: encode(
            replace(b.honest, issuer=replace(
                b.honest.issuer, checkpoint=b.note(keeper=False).decode()))),
        "issuer, step 10"),
}  # fmt: skip


def _with_row(receipt: Receipt, **changes: Any) -> Receipt:
    state = receipt.state
    assert state is not None
    return replace(receipt, state=replace(state, row=(state.row or {}) | changes))


@pytest.mark.parametrize("name", FALSE)
def test_what_was_tampered_with_is_false(bench: Bench, name: str) -> None:
    make, told = FALSE[name]
    with pytest.raises(VerificationFailed, match=told) as caught:
        bench.read(make(bench))
    assert not isinstance(caught.value, Unfit)


def test_any_changed_byte_is_refused_or_says_the_same(bench: Bench) -> None:
    """How large the tree is, is a claim: some sizes walk alike, and nothing follows from it."""
    honest, random = bench.read(bench.data), Random(4)
    alike = 0
    for at in random.sample(range(len(bench.data)), 600):
        data = bytearray(bench.data)
        data[at] ^= 1 << random.randrange(7)
        try:
            found = bench.read(bytes(data))
        except (Malformed, VerificationFailed):
            continue
        assert found == honest
        alike += 1
    assert alike <= 2


def test_it_is_of_one_network(bench: Bench) -> None:
    policy = replace(bench.policy(), network=b"x" * 32)
    named: dict[str, Any] = {"audience": READER, "purpose": PURPOSE, "now": bench.at}
    with pytest.raises(VerificationFailed, match="network"):
        verify_presentation(bench.data, policy, **named)
    with pytest.raises(VerificationFailed, match="log key"):
        unknown = replace(bench.policy(), log_keys=[signer("other").public_key])
        verify_presentation(bench.data, unknown, **named)


def test_a_body_that_says_another_than_the_record_is_false(ward: Bench) -> None:
    body = ward.body(3)
    said: dict[str, object] = {
        "total": body.total + 1,
        "issued_at": "2026-01-04T00:00:00Z",
        "issuer": "clinic",
        "currency": "USD",
    }
    for n, (path, value) in enumerate(said.items()):
        number = 3 + n
        bill = ward.bill_with_body(number, replace(ward.body(number), **{path: value}))
        basis = Basis(consent=ward.consent(bill, FIELDS), fields=FIELDS)
        with pytest.raises(VerificationFailed, match=f"{path}: the body says another"):
            ward.read(ward.show(bill, basis, path))


def test_a_body_that_has_a_field_twice_shows_neither_beside_the_other(ward: Bench) -> None:
    """A root that an issuer made by hand: the same path with two values."""
    one = ward.honest
    texts = [one.disclosures[-1], with_text(one.disclosures[-1], value=1)]
    hashes = [merkle.leaf_hash(disclosure_digest(text)) for text in texts]
    ward.change(ward.first, root=merkle.root(hashes))
    proofs = ward.proofs(ward.first, ward.basis)
    made = replace(
        one,
        receipt=proofs.receipt,
        right=proofs.right,
        issuer=proofs.issuer,
        size=2,
    )
    for chosen in ([0], [1], [0, 1]):
        data = encode(
            replace(
                made,
                disclosures=[texts[n] for n in chosen],
                indices=chosen,
                path=prove_some(hashes, chosen),
            )
        )
        told = {(0,): "", (1,): "says another", (0, 1): "stands twice"}[tuple(chosen)]
        if not told:
            assert ward.read(data).bill.id == ward.first
            continue
        with pytest.raises(VerificationFailed, match=told):
            ward.read(data)


def test_a_line_that_is_none_cannot_be_read(ward: Bench) -> None:
    one = ward.honest
    text = with_text(one.disclosures[0], value={"amount": "much"})
    ward.change(ward.first, root=merkle.root([merkle.leaf_hash(disclosure_digest(text))]))
    proofs = ward.proofs(ward.first, ward.basis)
    made = replace(
        one,
        receipt=proofs.receipt,
        right=proofs.right,
        issuer=proofs.issuer,
        disclosures=[text],
        indices=[0],
        size=1,
        path=[],
    )
    with pytest.raises(Malformed, match="items/0"):
        ward.read(encode(made))


# --------------------------------------------------------------------------------- hostile bytes


def _deep(b: Bench) -> bytes:
    return b.data.replace(b'"amounts":{', b'"amounts":' + b"[" * 100_000 + b"{", 1)


HOSTILE: dict[str, Callable[[Bench], bytes]] = {
    "nothing": lambda b: b"",
    "null": lambda b: b"null",
    "a list": lambda b: b"[]",
    "white space": lambda b: b.data.replace(b":", b": ", 1),
    "something after it": lambda b: b.data + b"{}",
    "cut off": lambda b: b.data[:-1],
    "a member twice": lambda b: b.data.replace(b'"bill":', b'"audience":"mutual","bill":', 1),
    "an unknown member": lambda b: b.data.replace(b'"bill":', b'"bil":1,"bill":', 1),
    "no issuer's proof": lambda b: encode(
        {k: v for k, v in decode(b.data, dict[str, Any]).items() if k != "issuer"}
    ),
    "no right": lambda b: encode(
        {k: v for k, v in decode(b.data, dict[str, Any]).items() if k != "right"}
    ),
    "another format": lambda b: b.data.replace(b"presentation/v1", b"presentation/v2"),
    "no fields": lambda b: encode(replace(b.honest, disclosures=[], indices=[])),
    "a fraction": lambda b: b.data.replace(b'"size":', b'"size":1.5,"siz":', 1),
    "a negative index": lambda b: encode(replace(b.honest, indices=[-1, *b.honest.indices[1:]])),
    "a truth value for a number": lambda b: encode(decode(b.data, dict[str, Any]) | {"size": True}),
    "a huge size": lambda b: encode(replace(b.honest, size=2**40)),
    "a number beyond 2^53": lambda b: encode(decode(b.data, dict[str, Any]) | {"size": 2**60}),
    "nested a hundred thousand deep": _deep,
    "five megabytes": lambda b: b'"' + b"x" * (5 * 1024 * 1024) + b'"',
    "bytes that are no text": lambda b: b.data[:100] + b"\xff" + b.data[101:],
    "a disclosure padded": lambda b: _with_leaf(b, 0, b.honest.disclosures[0] + "="),
    "a disclosure that is none": lambda b: _with_leaf(b, 0, "AAAA"),
    "a short salt": lambda b: _with_leaf(b, 0, with_text(b.honest.disclosures[0], salt="AAAA")),
    "a path that is none": lambda b: _with_leaf(
        b, 0, with_text(b.honest.disclosures[0], path="items/0/amount")
    ),
    "a pattern that is none": lambda b: with_right(b.honest, fields=replace(FIELDS, paths=["*"])),
    "patterns out of order": lambda b: with_right(
        b.honest, fields=replace(FIELDS, paths=FIELDS.paths[::-1])
    ),
    "no rows": lambda b: with_right(b.honest, rows=[]),
    "forty rows": lambda b: with_right(b.honest, rows=b.honest.right.rows * 40),
    "a receipt that is none": lambda b: encode(
        decode(b.data, dict[str, Any]) | {"receipt": {"format": "tallystick/receipt/v1"}}
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_malformed(bench: Bench, name: str) -> None:
    with pytest.raises(Malformed):
        bench.read(HOSTILE[name](bench))


def test_a_right_is_of_one_of_three_kinds(bench: Bench) -> None:
    data: dict[str, Any] = decode(bench.data, dict[str, Any])
    data["right"]["kind"] = "courtesy"
    with pytest.raises(Malformed):
        bench.read(encode(data))
