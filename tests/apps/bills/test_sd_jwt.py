"""What another reads: the package `sd-jwt`, by the writers of RFC 9901, takes our disclosures.

Its verifier is handed a JWT whose ``_sd`` holds the digests of a body's disclosures, and the
disclosures that a presentation of ours shows, as they are.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS
from sd_jwt.common import SDJWTCommon
from sd_jwt.disclosure import SDJWTDisclosure
from sd_jwt.verifier import SDJWTVerifier
from showing import SHOWN, Bench, with_text

from tallystick.protocol.body import disclosure_digest, parse_disclosure, seal_body
from tallystick.protocol.canonical import decode

KEY = JWK.generate(kty="EC", crv="P-256")


def sd_jwt(disclosures: Sequence[str], shown: Sequence[str]) -> str:
    """An SD-JWT over all of `disclosures` that shows some; RFC 9901 section 4."""
    digests = sorted(
        urlsafe_b64encode(disclosure_digest(text)).decode().rstrip("=") for text in disclosures
    )
    payload = {"iss": "https://hospital.example", "_sd": digests, "_sd_alg": "sha-256"}
    signed = JWS(json.dumps(payload))
    signed.add_signature(KEY, alg="ES256", protected=json.dumps({"alg": "ES256"}))
    return "~".join([signed.serialize(compact=True), *shown, ""])


def verified(text: str) -> dict[str, Any]:
    """What the package discloses."""
    found: dict[str, Any] = SDJWTVerifier(text, lambda *_: KEY).get_verified_payload()
    return found


def test_the_package_verifies_and_discloses_what_we_show(bench: Bench) -> None:
    held = bench.held[bench.first]
    sealed = seal_body(decode(held.body, dict[str, Any]), held.secret)
    payload = verified(sd_jwt(sealed.disclosures, bench.honest.disclosures))
    assert payload.pop("iss") == "https://hospital.example"
    assert payload == bench.read(bench.data).fields
    assert sorted(payload) == sorted(SHOWN)


def test_it_discloses_a_whole_body(bench: Bench) -> None:
    held = bench.held[bench.first]
    sealed = seal_body(decode(held.body, dict[str, Any]), held.secret)
    payload = verified(sd_jwt(sealed.disclosures, sealed.disclosures))
    divided = {each.path: each.value for each in map(parse_disclosure, sealed.disclosures)}
    assert payload == {"iss": "https://hospital.example"} | divided


def test_it_discloses_nothing_that_was_changed(bench: Bench) -> None:
    held = bench.held[bench.first]
    sealed = seal_body(decode(held.body, dict[str, Any]), held.secret)
    changed = with_text(bench.honest.disclosures[0], value={"amount": 1})
    payload = verified(sd_jwt(sealed.disclosures, [changed, *bench.honest.disclosures[1:]]))
    assert "items/0" not in payload
    assert len(payload) == len(SHOWN)


def test_it_has_our_digest_of_a_disclosure_of_its_own() -> None:
    """The other way round: a disclosure that the package writes has the digest that we give it."""
    made = SDJWTDisclosure(issuer=_Salted(), key="total", value=125_600)
    assert disclosure_digest(made.b64) == _decoded(made.hash)


class _Salted(SDJWTCommon):  # type: ignore[misc]  # the package has no types
    """An issuer of the package's, with a fixed salt."""

    def __init__(self) -> None:
        super().__init__("compact")

    def _generate_salt(self) -> str:
        return "A" * 22


def _decoded(text: str) -> bytes:
    found: bytes = SDJWTCommon._base64url_decode(text)
    return found
