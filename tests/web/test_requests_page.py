"""The vectors on the page are what the code signs and accepts, byte for byte."""

from __future__ import annotations

import re
from base64 import b64decode
from pathlib import Path

from asking import Sent

from tallystick.client.passes import Revocation, read_pass
from tallystick.client.signing import sign_request
from tallystick.keyring import signer_from_seed
from tallystick.protocol.canonical import decode, encode
from tallystick.protocol.keys import verify_signature
from tallystick.web.requests import RequestVerifier

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "spec" / "requests.md"
BLOCKS = re.findall(r"^```(http|text|json)\n(.*?)\n```$", PAGE.read_text(), re.M | re.S)
KEY = signer_from_seed(bytes(range(32)))
AT = 1_767_600_000


def test_the_signed_request() -> None:
    head, _, body = dict(BLOCKS)["http"].partition("\n\n")
    first, *lines = head.split("\n")
    method, target, _ = first.split(" ")
    path, _, query = target.partition("?")
    headers = dict(line.split(": ", 1) for line in lines)
    made = sign_request(
        *(method, f"https://{headers['host']}{target}", {}, body.encode(), KEY),
        created=AT,
        expires=AT + 30,
        nonce=bytes(range(16)),
    )
    assert made == {name: value for name, value in headers.items() if name != "host"}
    raw = tuple((name.encode(), value.encode()) for name, value in headers.items())
    sent = Sent(method, path, query, body.encode(), raw)
    assert sent.verify(RequestVerifier(["ledger.example"], lambda: AT)).key == KEY.public_key
    assert decode(body.encode(), Revocation).id == bytes(range(16))
    base = next(text for kind, text in BLOCKS if kind == "text")
    signature = b64decode(headers["signature"].split(":")[1])
    verify_signature(KEY.public_key, base.encode(), signature)


def test_the_pass() -> None:
    token = [text for kind, text in BLOCKS if kind == "text"][1]
    found = read_pass(token)
    assert encode(found).decode() == dict(BLOCKS)["json"]
    assert (found.key, found.network, found.id) == (KEY.public_key, bytes(32), bytes(range(16)))
