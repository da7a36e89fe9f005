"""Deliveries: what their receiver believes, and that another library agrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from acts import public_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from http_message_signatures import HTTPMessageVerifier, HTTPSignatureKeyResolver
from http_message_signatures.algorithms import ED25519
from world import signer

from tallystick.client.hooks import Repeated, sign_hook, verify_hook
from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.event import About, Delivery, Event, delivery_id

HOOK = "h" + "1" * 32
NOW = 1_768_000_000
NAME = delivery_id(HOOK, -1, 7)
DELIVERY = Delivery(
    format="tallystick/hook/v1",
    hook=HOOK,
    id=NAME,
    after=-1,
    through=7,
    events=[
        Event(
            index=7,
            block=1,
            at="2026-01-05T00:00:00Z",
            tx="0" * 64,
            n=0,
            action="bills.issue/1",
            outcome="accepted",
            about=[About(type="bill.issued", ids={"bill": "33060126:0000000001"})],
        )
    ],
)
BODY = encode(DELIVERY)


def verify(headers: dict[str, str], body: bytes = BODY, **changes: Any) -> Delivery:
    named: dict[str, Any] = {"key": public_key("server"), "hook": HOOK, "seen": set()}
    return verify_hook(headers, body, **({"clock": lambda: NOW} | named | changes))


def signed(body: bytes = BODY, name: str = NAME, created: int = NOW) -> dict[str, str]:
    return sign_hook(signer("server"), name, body, created)


def test_what_was_signed_is_believed_once() -> None:
    assert verify(signed()) == DELIVERY
    assert verify({name.upper(): value for name, value in signed().items()}) == DELIVERY
    for seconds in (-300, 300):
        assert verify(signed(created=NOW + seconds)) == DELIVERY
    with pytest.raises(Repeated):
        verify(signed(), seen={NAME})


@pytest.mark.parametrize("changes", [{"key": public_key("other")}, {"hook": "h" + "2" * 32}])
def test_another_key_and_another_hook(changes: dict[str, Any]) -> None:
    with pytest.raises(VerificationFailed):
        verify(signed(), **changes)


@pytest.mark.parametrize("seconds", [-301, 301, -(10**9)])
def test_what_is_old_or_of_the_future(seconds: int) -> None:
    with pytest.raises(VerificationFailed, match="created"):
        verify(signed(created=NOW + seconds))


@pytest.mark.parametrize("name", ["signature", "signature-input", "content-digest", "webhook-id"])
def test_no_header_may_be_missing_or_changed(name: str) -> None:
    headers = signed()
    without = {each: value for each, value in headers.items() if each != name}
    with pytest.raises(VerificationFailed):
        verify(without)
    for at in range(len(headers[name])):
        letter = "A" if headers[name][at] != "A" else "B"
        changed = headers[name][:at] + letter + headers[name][at + 1 :]
        with pytest.raises(VerificationFailed):
            verify(headers | {name: changed})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"content-digest" ', ""),
        ('"@method" ', '"@method" "@path" '),
        (";created=", ";expires=1;created="),
        ('alg="ed25519"', 'alg="hmac-sha256"'),
        ("tallystick-hook", "tallystick"),
        ("hook=(", "sig1=("),
    ],
)
def test_only_the_one_form_is_read(old: str, new: str) -> None:
    headers = signed()
    assert old in headers["signature-input"]
    text = headers["signature-input"].replace(old, new)
    with pytest.raises(VerificationFailed):
        verify(headers | {"signature-input": text})


def test_the_body_is_the_one_that_was_signed_and_of_this_delivery() -> None:
    with pytest.raises(VerificationFailed, match="content-digest"):
        verify(signed(), BODY + b" ")
    other = encode(replace(DELIVERY, through=8))
    with pytest.raises(VerificationFailed, match="content-digest"):
        verify(signed(), other)
    renamed = encode(replace(DELIVERY, id=delivery_id(HOOK, -1, 8)))
    with pytest.raises(VerificationFailed, match="hook"):
        verify(signed(renamed), renamed)
    for body in (b"", b"{}", BODY + b"\n"):
        with pytest.raises(Malformed):
            verify(signed(body), body)


@dataclass
class Request:
    method: str
    url: str
    headers: dict[str, str]


class Resolver(HTTPSignatureKeyResolver):
    def resolve_public_key(self, key_id: str) -> Any:
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(key_id))

    def resolve_private_key(self, key_id: str) -> Any:
        raise LookupError(key_id)


def test_a_library_that_we_did_not_write_agrees() -> None:
    class Timeless(HTTPMessageVerifier):
        def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
            assert sig_input.params["created"] == NOW

    verifier = Timeless(signature_algorithm=ED25519, key_resolver=Resolver())
    request = Request("POST", "https://hospital.example/in", signed())
    components = ("@method", "content-digest", "webhook-id")
    found = verifier.verify(
        request, expect_tag="tallystick-hook", require_components=components, body=BODY
    )
    assert found[0].parameters["keyid"] == public_key("server").hex()
