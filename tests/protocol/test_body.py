"""Vectors made by hand and properties of `protocol/body.py`."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Any

import pytest
from bodies import make_body
from hypothesis import given
from hypothesis import strategies as st

from tallystick.protocol import merkle
from tallystick.protocol.body import (
    Disclosure,
    SealedBody,
    body_root,
    disclosure_digest,
    disclosure_path,
    encoded_root,
    leaves,
    open_body,
    parse_disclosure,
    seal_body,
    verify_disclosure,
)
from tallystick.protocol.canonical import INTEGER_MAX, builtins, encode
from tallystick.protocol.errors import Malformed, VerificationFailed

SECRET = bytes(range(32))
BODY: dict[str, Any] = {
    "code": 33060126,
    "items": [{"amount": 1250, "name": "检查费"}, {"amount": 300, "name": "西药费"}],
    "medical": {"department": "全科", "days": 0},
    "payment": {"sources": {"cash": 1550}, "channels": []},
    "payer": {"name": "Ada Quill"},
    "settles": [],
    "withheld": False,
}

names = st.from_regex(r"\A[a-z][a-z0-9_]{0,6}\Z")
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-INTEGER_MAX, INTEGER_MAX)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(names, inner, max_size=4),
    max_leaves=20,
)
bodies = st.dictionaries(names, values, min_size=1, max_size=8)


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def seal_by_the_book(divided: dict[str, Any], secret: bytes) -> SealedBody:
    """RFC 9901 and RFC 2104 once more, with nothing of the code under test but the Merkle tree."""
    texts = []
    for path in sorted(divided):
        salt = hmac.new(secret, b"tallystick/body-salt/v1\n" + path.encode(), sha256).digest()[:16]
        content = [b64(salt), path, divided[path]]
        written = json.dumps(content, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
        texts.append(b64(written.encode()))
    digests = [sha256(text.encode()).digest() for text in texts]
    root = merkle.root([sha256(b"\x00" + digest).digest() for digest in digests])
    return SealedBody(root, tuple(texts))


def test_division_of_a_body() -> None:
    assert dict(leaves(BODY)) == {
        "code": 33060126,
        "items/0": {"amount": 1250, "name": "检查费"},
        "items/1": {"amount": 300, "name": "西药费"},
        "medical/days": 0,
        "medical/department": "全科",
        "payer/name": "Ada Quill",
        "payment/channels": [],
        "payment/sources": {"cash": 1550},
        "settles": [],
        "withheld": False,
    }


def test_sealing_is_what_the_standards_say() -> None:
    sealed = seal_body(BODY, SECRET)
    assert sealed == seal_by_the_book(dict(leaves(BODY)), SECRET)
    assert sealed.root.hex() == "91ef50dca2ccf22e3388caa13f1fa2ce137354e05e30144437946201a107d0db"
    assert sealed.disclosures[0] == "WyJ5V3dQT0RRMTRBbkJBTG5tWmJ1VEpBIiwiY29kZSIsMzMwNjAxMjZd"


def test_digest_of_the_example_in_rfc_9901_section_4_2_3() -> None:
    text = "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0"
    assert json.loads(unb64(text)) == ["_26bc4LT-ac6q2KI6cBW5es", "family_name", "Möbius"]
    assert b64(disclosure_digest(text)) == "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"


def test_a_plain_reader_of_rfc_9901_understands_every_disclosure() -> None:
    """Section 7.1: an array of three, the name a string that is not reserved, digests distinct."""
    body = builtins(make_body(7, setting="inpatient"))
    sealed = seal_body(body, SECRET)
    claims = {}
    for text in sealed.disclosures:
        assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        salt, name, value = json.loads(unb64(text))
        assert len(unb64(salt)) == 16
        assert name not in ("_sd", "...")
        claims[name] = value
    assert claims == json.loads(json.dumps(dict(leaves(body))))
    assert len({disclosure_digest(text) for text in sealed.disclosures}) == len(sealed.disclosures)


@pytest.mark.parametrize("setting", ["outpatient", "inpatient"])
def test_bills_open_to_what_was_sealed(setting: Any) -> None:
    for seed in range(20):
        body = builtins(make_body(seed, setting=setting))
        sealed = seal_body(body, SECRET)
        assert open_body(sealed.disclosures, sealed.root) == json.loads(json.dumps(body))


@given(bodies, st.binary(min_size=32, max_size=32))
def test_open_is_the_inverse_of_seal(body: dict[str, Any], secret: bytes) -> None:
    sealed = seal_body(body, secret)
    assert open_body(sealed.disclosures, sealed.root) == body
    assert body_root(body, secret) == sealed.root
    assert sealed == seal_by_the_book(dict(leaves(body)), secret)


@given(bodies, st.data())
def test_any_changed_character_is_refused(body: dict[str, Any], data: st.DataObject) -> None:
    sealed = seal_body(body, SECRET)
    index = data.draw(st.integers(0, len(sealed.disclosures) - 1))
    text = sealed.disclosures[index]
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from([c for c in "AQgw-_+/=0 é" if c != text[at]]))
    changed = list(sealed.disclosures)
    changed[index] = text[:at] + other + text[at + 1 :]
    with pytest.raises((Malformed, VerificationFailed)):
        open_body(changed, sealed.root)


@given(bodies, st.data())
def test_a_missing_repeated_or_moved_disclosure_is_refused(
    body: dict[str, Any], data: st.DataObject
) -> None:
    sealed = seal_body(body, SECRET)
    texts = list(sealed.disclosures)
    index = data.draw(st.integers(0, len(texts) - 1))
    for changed in (
        texts[:index] + texts[index + 1 :],
        [*texts[:index], texts[index], *texts[index:]],
        [texts[index], *texts[:index], *texts[index + 1 :]] if index else [],
    ):
        with pytest.raises((Malformed, VerificationFailed)):
            open_body(changed, sealed.root)


@given(bodies)
def test_each_disclosure_is_proven_alone(body: dict[str, Any]) -> None:
    sealed = seal_body(body, SECRET)
    size = len(sealed.disclosures)
    divided = leaves(body)
    for index, text in enumerate(sealed.disclosures):
        path = disclosure_path(sealed.disclosures, index)
        shown = verify_disclosure(text, index, size, path, sealed.root)
        assert (shown.path, shown.value) == divided[index]
        with pytest.raises(VerificationFailed):
            verify_disclosure(text, index, size, path, sha256(sealed.root).digest())
        if path:
            with pytest.raises(VerificationFailed):
                verify_disclosure(text, index, size, path[:-1], sealed.root)


@given(bodies, bodies)
def test_one_root_one_body(left: dict[str, Any], right: dict[str, Any]) -> None:
    same = json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)
    assert (body_root(left, SECRET) == body_root(right, SECRET)) == same


def test_a_list_and_an_object_of_indices_are_not_mistaken() -> None:
    with pytest.raises(Malformed, match="name of a field"):
        leaves({"items": {"0": 1}})


def test_salts_depend_on_path_and_secret_alone() -> None:
    one = [parse_disclosure(text) for text in seal_body(BODY, SECRET).disclosures]
    changed = BODY | {"code": 1, "clerk": "x"}
    two = {d.path: d.salt for d in map(parse_disclosure, seal_body(changed, SECRET).disclosures)}
    assert {d.path: d.salt for d in one}.items() <= two.items()
    assert len(set(two.values())) == len(two)
    other = seal_body(BODY, bytes(32)).disclosures
    assert not {parse_disclosure(text).salt for text in other} & {d.salt for d in one}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"Name": 1},
        {"a/b": 1},
        {"": 1},
        {"a": {"b/c": 1}},
        {"a": {"Ä": 1}},
        {"a" * 41: 1},
        {"a": 1.5},
        {"a": [{"b": [0.5]}]},
        {"a": ((1.5,),)},
        {"a": b"x"},
        {"a": 2**53},
        {"a": {"b": [-(2**53)]}},
        {"a": {1, 2}},
    ],
)
def test_what_is_no_body_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        seal_body(body, SECRET)


def test_too_many_lines_are_refused_on_both_sides() -> None:
    with pytest.raises(Malformed, match="32769"):
        leaves({"items": [0] * 32_769})
    with pytest.raises(Malformed, match="32769"):
        open_body(["A"] * 32_769, bytes(32))


def test_a_short_secret_is_a_fault_of_the_caller() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        seal_body(BODY, b"short")


def written(*content: Any) -> str:
    return b64(json.dumps(content, separators=(",", ":")).encode())


SALT = b64(bytes(16))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "é",
        "!!!!",
        b64(b"{}"),
        b64(b"["),
        written(),
        written(SALT, "a"),
        written(SALT, "a", 1, 2),
        written(1, "a", 1),
        written(SALT, 1, 1),
        written(b64(bytes(15)), "a", 1),
        written(SALT + "==", "a", 1),
        written(SALT[:-1] + "B", "a", 1),
        written(SALT, "a", 1.5),
        written(SALT, "", 1),
        written(SALT, "a/", 1),
        written(SALT, "a/b/c", 1),
        written(SALT, "a/00", 1),
        written(SALT, "a/-1", 1),
        written(SALT, "_sd", 1),
        written(SALT, "...", 1),
        written(SALT, "a", 1) + "=",
        b64(b'["' + SALT.encode() + b'", "a",1]'),
    ],
)
def test_what_is_no_disclosure_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_disclosure(text)


def test_a_disclosure_is_read_into_its_three_parts() -> None:
    assert parse_disclosure(written(SALT, "items/12", {"n": 1})) == Disclosure(
        bytes(16), "items/12", {"n": 1}
    )


@pytest.mark.parametrize(
    "divided",
    [
        [("a", 1), ("a/b", 2)],
        [("a", {}), ("a/b", 2)],
        [("a", {"b": 1})],
        [("a", [1])],
        [("a/0", 1), ("a/2", 1)],
        [("a/1", 1)],
        [("a/0", 1), ("a/b", 1)],
        [("b", 1), ("a", 1)],
        [("a/10", 1), ("a/9", 1)],
        [],
    ],
)
def test_disclosures_that_are_no_division_of_a_body_are_refused(
    divided: list[tuple[str, Any]],
) -> None:
    texts = [written(SALT, path, value) for path, value in divided]
    with pytest.raises(Malformed):
        open_body(texts, bytes(32))


@given(bodies)
def test_the_root_of_the_bytes_is_the_root_of_the_body(body: dict[str, Any]) -> None:
    assert encoded_root(encode(body), SECRET) == body_root(body, SECRET)


@pytest.mark.parametrize("body", [{}, {"Name": 1}, {"a": {"B": 1}}])
def test_bytes_that_are_no_body_have_no_root(body: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        encoded_root(encode(body), SECRET)


@pytest.mark.parametrize(
    "data",
    [b'{"a":{"\xc9\x00":1}}', b'{"a":{"b":"\xff"},"\xff":1}', b'{"a":[[[]]', b'{"a":{"B":1}}'],
)
def test_a_root_is_made_of_sound_bodies_only(data: bytes) -> None:
    """What lies deeper is looked at when it is divided, not when the whole is read."""
    with pytest.raises(Malformed):
        encoded_root(data, SECRET)
