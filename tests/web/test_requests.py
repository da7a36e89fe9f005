"""Signed requests: what is accepted is what was signed; anything else is refused, and says why."""

from __future__ import annotations

import re
import time
from base64 import b64decode, b64encode
from typing import Any

import http_message_signatures as library
import pytest
from asking import HOST, NOW, PATH, Sent, ask, signer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from http_message_signatures.algorithms import ED25519
from hypothesis import given
from hypothesis import strategies as st

from tallystick.client.signing import LIFE_SECONDS_MAX
from tallystick.protocol.errors import Rejected
from tallystick.protocol.keys import verify_signature
from tallystick.web.reasons import WebReason
from tallystick.web.requests import AHEAD_SECONDS_MAX, BodyCheck, RequestVerifier

KEY = signer("hospital/key")
COVERED = '("@method" "@authority" "@path" "@query")'


def verifier(now: int = NOW, *names: str, **more: Any) -> RequestVerifier:
    return RequestVerifier(names or [HOST], lambda: now, **more)


def refusal(sent: Sent, now: int = NOW, *names: str) -> tuple[str, str]:
    with pytest.raises(Rejected) as caught:
        sent.verify(verifier(now, *names))
    return caught.value.reason.value, caught.value.detail


def signed_as(components: str, params: str, *, label: str = "tallystick", **values: str) -> Sent:
    """A request that is signed over whatever the test wants, in the RFC's way."""
    said = {
        "@method": "GET", "@authority": HOST, "@path": PATH, "@query": "?wait=3",
        "host": HOST, "accept": "*/*",
    } | {name.replace("_", "-"): value for name, value in values.items()}  # fmt: skip
    names = re.findall(r'"([^"]*)"', components)
    lines = [f'"{name}": {said[name]}' for name in names]
    base = "\n".join([*lines, f'"@signature-params": {components}{params}'])
    signature = b64encode(KEY.sign(base.encode("latin-1"))).decode()
    sent = Sent(headers=((b"host", HOST.encode()), (b"accept", b"*/*")))
    return sent.having("signature-input", f"{label}={components}{params}").having(
        "signature", f"{label}=:{signature}:"
    )


def params(**changes: str | int | None) -> str:
    """Parameters of a signature in our order; None leaves one out."""
    named: dict[str, str | int | None] = {
        "created": NOW, "keyid": KEY.public_key.hex(), "expires": NOW + 30,
        "nonce": b64encode(bytes(16)).decode(), "tag": "tallystick", **changes,
    }  # fmt: skip
    return "".join(
        f";{name}={value}" if isinstance(value, int) else f';{name}="{value}"'
        for name, value in named.items()
        if value is not None
    )


@pytest.mark.parametrize("body", [b"", b"x", b'{"a":1}' * 5_000])
@pytest.mark.parametrize("query", ["", "wait=3", "a=%20b&a=c%2B&d"])
def test_what_our_client_signs_is_accepted(body: bytes, query: str) -> None:
    signed = ask(KEY, "POST" if body else "GET", query=query, body=body).verify(verifier())
    assert (signed.key, signed.nonce) == (KEY.public_key, bytes(16))
    assert (signed.created, signed.expires) == (NOW, NOW + 30)
    assert (signed.digest is None) == (not body)


def test_what_another_program_signs_by_the_rfc_is_accepted() -> None:
    assert signed_as(COVERED, params()).verify(verifier()).key == KEY.public_key
    moved = '("accept" "@query" "@authority" "@method" "host" "@path")'
    other = dict(reversed([each.split("=", 1) for each in params().strip(";").split(";")]))
    turned = "".join(f";{name}={value}" for name, value in other.items())
    sent = signed_as(moved, turned + ';alg="ed25519"', label="sig1")
    assert sent.verify(verifier()).nonce == bytes(16)


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "HEAD"},
        {"method": "get"},
        {"path": PATH.replace("17", "18")},
        {"path": PATH + "/"},
        {"path": "/" + PATH},
        {"path": PATH.replace("bills", "%62ills")},
        {"query": ""},
        {"query": "wait=30"},
        {"query": "wait=3&x=1"},
        {"query": "?wait=3"},
    ],
)
def test_another_request_under_the_same_signature_is_refused(changed: dict[str, str]) -> None:
    assert refusal(ask(KEY).but(**changed))[0] == WebReason.SIGNATURE


def test_another_body_is_refused_also_in_parts() -> None:
    sent = ask(KEY, "POST", body=b"settle 100")
    assert refusal(sent.but(body=b"settle 900"))[0] == WebReason.DIGEST
    assert refusal(sent.but(body=b""))[0] == WebReason.DIGEST
    digest = sent.verify(verifier()).digest
    check = BodyCheck(digest)
    for part in (b"settle", b" 100"):
        check.update(part)
    check.finish()
    check = BodyCheck(digest)
    check.update(b"settle 10")
    with pytest.raises(Rejected, match=r"web\.digest"):
        check.finish()


def test_a_body_whose_digest_nobody_signed_is_refused() -> None:
    sent = ask(KEY, "POST")
    assert refusal(sent.but(body=b"more"))[0] == WebReason.UNCOVERED
    for name, value in (("content-length", "4"), ("transfer-encoding", "chunked")):
        assert refusal(sent.having(name, value))[0] == WebReason.UNCOVERED
    assert refusal(sent.having("content-digest", "sha-256=:AAAA:"))[0] == WebReason.UNCOVERED
    sent.having("content-length", "0").verify(verifier())


def test_the_digest_is_one_sha_256() -> None:
    covered = COVERED[:-1] + ' "content-digest")'
    for value in ("sha-512=:AAAA:", "sha-256=:AAAA:", "sha-256=x", f"sha-256=:{'A' * 43}=:, a=1"):
        sent = signed_as(covered, params(), content_digest=value)
        assert refusal(sent.having("content-digest", value))[0] == WebReason.DIGEST


def test_a_request_for_another_host_is_told_apart() -> None:
    stolen = ask(KEY, host="other.example")
    assert refusal(stolen)[0] == WebReason.AUTHORITY
    assert refusal(stolen.with_header("host", HOST))[0] == WebReason.SIGNATURE
    assert refusal(ask(KEY, host=f"{HOST}:8443"))[0] == WebReason.AUTHORITY
    stolen.verify(verifier(NOW, HOST, "other.example"))


def test_a_proxy_may_rewrite_the_host_and_take_off_a_prefix() -> None:
    sent = ask(KEY, path="/ledger" + PATH).with_header("host", "10.0.0.7:8080").but(path=PATH)
    sent.verify(verifier(prefix="/ledger"))
    assert refusal(sent)[0] == WebReason.SIGNATURE
    ask(KEY).with_header("host", "LEDGER.EXAMPLE").verify(verifier())
    ask(KEY, host=f"{HOST}:443").with_header("host", f"{HOST}:443").verify(verifier())


def test_a_server_has_a_name() -> None:
    for names in ([], ["https://ledger.example"], ["Ledger.example"], ["a/b"]):
        with pytest.raises(ValueError, match="host or host:port"):
            RequestVerifier(names, lambda: NOW)


def test_nothing_old_and_nothing_of_the_future() -> None:
    sent = ask(KEY)
    sent.verify(verifier(NOW + 29))
    sent.verify(verifier(NOW - AHEAD_SECONDS_MAX))
    assert refusal(sent, NOW + 30)[0] == WebReason.CLOCK
    assert refusal(sent, NOW - AHEAD_SECONDS_MAX - 1)[0] == WebReason.CLOCK
    ask(KEY, life=LIFE_SECONDS_MAX).verify(verifier())
    for life in (LIFE_SECONDS_MAX + 1, 0, -1):
        assert refusal(ask(KEY, life=life))[0] == WebReason.CLOCK


def test_no_signature_is_told_from_a_broken_one() -> None:
    sent = ask(KEY)
    bare = sent.without("signature").without("signature-input")
    assert refusal(bare)[0] == WebReason.UNSIGNED
    for half in (sent.without("signature"), sent.without("signature-input")):
        assert refusal(half)[0] == WebReason.SIGNATURE


def test_one_label_alone() -> None:
    sent = ask(KEY)
    given, signature = sent.header("signature-input"), sent.header("signature")
    second = given.replace("tallystick=(", "second=(", 1)
    twice = sent.with_header("signature-input", f"{given}, {second}")
    assert refusal(twice)[0] == WebReason.SIGNATURE
    both = twice.with_header("signature", f"{signature}, second{signature[10:]}")
    assert refusal(both)[0] == WebReason.SIGNATURE
    for name, value in (("signature-input", second), ("signature", signature)):
        assert refusal(sent.having(name, value))[0] == WebReason.SIGNATURE
    other = sent.with_header("signature", signature.replace("tallystick=", "other="))
    assert refusal(other)[0] == WebReason.SIGNATURE


@pytest.mark.parametrize(
    "changes",
    [
        {"alg": "hmac-sha256"},
        {"alg": "rsa-v1_5-sha256"},
        {"alg": "none"},
        {"tag": "other"},
        {"tag": None},
        {"keyid": "k/finance"},
        {"keyid": KEY.public_key.hex().upper()},
        {"keyid": None},
        {"nonce": "AAAA"},
        {"nonce": None},
        {"created": None},
        {"expires": None},
        {"created": "now"},
        {"more": "1"},
    ],
)
def test_the_parameters_are_ours_and_so_is_the_algorithm(changes: dict[str, Any]) -> None:
    assert refusal(signed_as(COVERED, params(**changes)))[0] == WebReason.SIGNATURE


@pytest.mark.parametrize("name", ["@method", "@authority", "@path", "@query"])
def test_all_that_decides_is_covered(name: str) -> None:
    sent = signed_as(COVERED.replace(f'"{name}"', '"accept"'), params())
    assert refusal(sent) == (WebReason.UNCOVERED, name)


def test_what_it_shows_of_a_bill_is_covered() -> None:
    shown = ask(KEY, tally_bill_opening="abc")
    assert shown.verify(verifier()).opening == "abc"
    assert refusal(shown.with_header("tally-bill-opening", "abd"))[0] == WebReason.SIGNATURE
    assert refusal(shown.without("tally-bill-opening"))[0] == WebReason.SIGNATURE
    assert refusal(ask(KEY).having("tally-bill-opening", "abc"))[0] == WebReason.UNCOVERED


@pytest.mark.parametrize(
    "components",
    [
        COVERED[:-1] + ' "@method")',
        COVERED[:-1] + ' "@target-uri")',
        COVERED[:-1] + ' "absent")',
        COVERED[:-1] + ' "host";sf)',
        COVERED.replace(" ", "  "),
        COVERED[:-1] + ' "X")',
        "()",
    ],
)
def test_other_components_are_refused(components: str) -> None:
    sent = signed_as(components, params(), absent="", X="", **{"@target-uri": f"https://{HOST}/"})
    assert refusal(sent)[0] == WebReason.SIGNATURE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("signature-input", "x" * 1_000_000),
        ("signature-input", "a=(" + '"a" ' * 20_000 + ")"),
        ("signature-input", "tallystick=" + ";a=1" * 50_000),
        ("signature-input", "tallystick=(" + "(" * 50_000),
        ("signature", "tallystick=:" + "A" * 1_000_000 + ":"),
        ("signature", ""),
        ("signature-input", ""),
        ("signature-input", "\xe4"),
    ],
)
def test_what_is_huge_or_absurd_is_refused_at_once(name: str, value: str) -> None:
    sent = ask(KEY).with_header(name, value)
    started = time.perf_counter()
    assert refusal(sent)[0] == WebReason.SIGNATURE
    assert time.perf_counter() - started < 0.1


def test_what_is_not_ascii_is_not_signed() -> None:
    sent = signed_as(COVERED[:-1] + ' "accept")', params(), accept="\xe4")
    assert refusal(sent.with_header("accept", "\xe4"))[0] == WebReason.SIGNATURE


def test_the_strict_rule_of_ed25519_holds() -> None:
    sent = ask(KEY)
    raw = b64decode(sent.header("signature").split(":")[1])
    order = 2**252 + 27742317777372353535851937790883648493
    high = (int.from_bytes(raw[32:], "little") + order).to_bytes(32, "little")
    value = f"tallystick=:{b64encode(raw[:32] + high).decode()}:"
    assert refusal(sent.with_header("signature", value))[0] == WebReason.SIGNATURE


class _Library(library.HTTPMessageVerifier):
    """What somebody else's program says of a request, whenever that was made."""

    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        """Times are held against our own clock elsewhere."""


class _Keys(library.HTTPSignatureKeyResolver):
    def resolve_public_key(self, key_id: str) -> Any:
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(key_id))


class _Message:
    def __init__(self, sent: Sent) -> None:
        self.method, self.headers = sent.method, {n.decode(): v.decode() for n, v in sent.headers}
        self.url = f"https://{HOST}{sent.path}" + (f"?{sent.query}" if sent.query else "")


PIECES = st.sampled_from(
    ["@method", "@path", "@query", "@authority", "host", "accept", "wait=3", "wait=4", "GET",
     "tallystick", "sig1", ";", " ", '"', "=", ":", ",", "\\", "()", "alg", "expires", "0", "-1",
     str(NOW), str(NOW + 30), "ed25519", ";sf", "A"]
)  # fmt: skip


@given(
    name=st.sampled_from(["signature-input", "signature", "host", "accept"]),
    at=st.integers(0, 400), cut=st.integers(0, 12), put=st.lists(PIECES, max_size=3),
)  # fmt: skip
def test_whatever_is_accepted_another_library_accepts_too(
    name: str, at: int, cut: int, put: list[str]
) -> None:
    whole = '("@method" "@authority" "@path" "@query" "accept")'
    sent = signed_as(whole, params())
    value = sent.header(name)
    changed = value[:at] + "".join(put) + value[at + cut :]
    sent = sent.with_header(name, changed)
    try:
        sent.verify(verifier())
    except Rejected:
        return
    checker = _Library(signature_algorithm=ED25519, key_resolver=_Keys())
    assert checker.verify(_Message(sent), max_age=None, expect_tag="tallystick")


def test_verifying_costs_little_more_than_its_signature() -> None:
    sent, checker = ask(KEY), verifier()

    def fastest(run: Any) -> float:
        times = []
        for _ in range(200):
            started = time.perf_counter()
            run()
            times.append(time.perf_counter() - started)
        return min(times)

    raw = KEY.sign(b"x" * 300)
    bare = fastest(lambda: verify_signature(KEY.public_key, b"x" * 300, raw))
    assert fastest(lambda: sent.verify(checker)) < 2 * bare + 60e-6
