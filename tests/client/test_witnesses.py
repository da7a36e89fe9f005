"""Asking witnesses: what is taken of their answers, and what becomes of bad ones.

That witnesses which are not ours answer us is tested in tests/foreign/test_c2sp.py.
See docs/spec/witness.md.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from web_server import WebServer
from world import signer

from tallystick.client.witnesses import OtherSize, WitnessClient
from tallystick.protocol import merkle
from tallystick.protocol.checkpoint import (
    COSIGNATURE_KEY,
    NOTE_BYTES_MAX,
    NOTE_KEY,
    Checkpoint,
    Note,
    VerifierKey,
    cosign,
    format_checkpoint,
    format_note,
    parse_note,
    sign_note,
    verify_cosignature,
)
from tallystick.protocol.errors import Busy, Malformed, TallystickError, VerificationFailed
from tallystick.web.witness import Witness, witness_app

NAME, ORIGIN, NOW = "witness.example/w1", "example/log", 1_800_000_000
KEY = VerifierKey(NAME, COSIGNATURE_KEY, signer("witness").public_key)
LOG = VerifierKey(ORIGIN, NOTE_KEY, signer("log").public_key)
HASHES = merkle.leaf_hashes([b"leaf %d" % n for n in range(40)])


def note(size: int) -> bytes:
    text = format_checkpoint(Checkpoint(ORIGIN, size, merkle.root(HASHES[:size])))
    return format_note(text, [sign_note(text, ORIGIN, signer("log"))]).encode()


def growth(old: int, new: int) -> list[bytes]:
    if old > new:
        raise VerificationFailed("no growth")
    return [
        merkle.root(HASHES[at << level : min((at + 1) << level, new)])
        for level, at in merkle.consistency_nodes(old, new)
    ]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A witness of ours."""
    with (
        Witness(tmp_path, NAME, signer("witness"), {ORIGIN: [LOG]}, lambda: NOW) as witness,
        WebServer(witness_app(witness)) as server,
    ):
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture
def client(url: str) -> Iterator[WitnessClient]:
    made = WitnessClient(url, KEY)
    yield made
    made.close()


def cosigned(client: WitnessClient, size: int) -> int:
    (line,) = client.cosign(lambda old: growth(old, size), note(size))
    (signature,) = parse_note(format_note(parse_note(note(size)).text, [line]).encode()).signatures
    alone = Note(parse_note(note(size)).text, (signature,))
    return verify_cosignature(alone, NAME, KEY.key)


def test_a_log_is_cosigned_as_it_grows(client: WitnessClient) -> None:
    for size in (1, 5, 5, 8, 40):
        assert cosigned(client, size) == NOW


def test_who_comes_anew_learns_from_where_to_prove(client: WitnessClient, url: str) -> None:
    assert cosigned(client, 5) == NOW
    other = WitnessClient(f"{url}/", KEY)
    assert cosigned(other, 9) == NOW  # it asks from 0, is told 5
    with pytest.raises(OtherSize) as told:
        client.ask(5, growth(5, 20), note(20))
    assert told.value.size == 9
    assert cosigned(client, 20) == NOW
    other.close()


def test_a_witness_that_has_seen_more_than_we_have_is_heard(client: WitnessClient) -> None:
    """The ledger was put back to an older state: nothing may be signed over it."""
    assert cosigned(client, 20) == NOW
    again = WitnessClient(client._url.removesuffix("/add-checkpoint"), KEY)
    with pytest.raises(VerificationFailed, match="has seen 20 leaves of this log, not 9"):
        cosigned(again, 9)
    again.close()
    with pytest.raises(VerificationFailed, match="no growth"):
        cosigned(client, 9)


def test_a_refusal_is_told(client: WitnessClient) -> None:
    text = format_checkpoint(Checkpoint(ORIGIN, 5, bytes(32)))
    stranger = format_note(text, [sign_note(text, ORIGIN, signer("stranger"))]).encode()
    with pytest.raises(VerificationFailed, match=r"refuses \(403\): no signature by a key"):
        client.ask(0, [], stranger)
    with pytest.raises(VerificationFailed, match=r"refuses \(422\)"):
        client.ask(0, [bytes(32)], note(5))


def line(size: int = 5, key: str = "witness", name: str = NAME, at: int = NOW) -> str:
    text = format_checkpoint(Checkpoint(ORIGIN, size, merkle.root(HASHES[:size])))
    return cosign(text, name, signer(key), at)


GOOD = line()


@pytest.mark.parametrize(
    ("status", "kind", "body", "error"),
    [
        (200, "text/plain", line(size=6).encode(), VerificationFailed),
        (200, "text/plain", line(key="stranger").encode(), VerificationFailed),
        (200, "text/plain", line(name="witness.example/w2").encode(), VerificationFailed),
        (200, "text/plain", sign_note(parse_note(note(5)).text, NAME, signer("witness")).encode(),
         VerificationFailed),
        (200, "text/plain", b"", Malformed),
        (200, "text/plain", GOOD.rstrip().encode(), Malformed),
        (200, "text/plain", (GOOD + GOOD).encode(), Malformed),
        (200, "text/plain", b"\xff\xfe\n", Malformed),
        (200, "text/plain", bytes(NOTE_BYTES_MAX + 1), Malformed),
        (302, "text/plain", b"", VerificationFailed),
        (400, "text/plain", b"\xff", VerificationFailed),
        (404, "text/plain", b"not known", VerificationFailed),
        (409, "text/plain", b"another root", VerificationFailed),
        (409, "text/x.tlog.size", b"many\n", Malformed),
        (409, "text/x.tlog.size", b"9" * 17, Malformed),
        (409, "text/x.tlog.size", b"6\n", VerificationFailed),
        (409, "text/x.tlog.size", b"4\n", OtherSize),
        (429, "text/plain", b"", Busy),
        (500, "text/plain", b"", Busy),
        (503, "text/plain", b"", Busy),
    ],
)  # fmt: skip
def test_bad_answers_are_failures_that_are_expected(
    status: int, kind: str, body: bytes, error: type[TallystickError]
) -> None:
    """`OtherSize` twice in a row is left for the next round."""

    async def answer(request: Request) -> Response:
        await request.body()
        return Response(body, status, headers={"content-type": kind, "location": "/"})

    app = Starlette(routes=[Route("/add-checkpoint", answer, methods=["POST"])])
    with WebServer(app) as server:
        client = WitnessClient(f"http://127.0.0.1:{server.port}", KEY)
        with pytest.raises(error):
            client.cosign(lambda old: growth(old, 5), note(5))
        client.close()


def test_lines_of_others_are_left(tmp_path: Path) -> None:
    body = line(name="witness.example/w2") + line(key="stranger") + GOOD

    async def answer(request: Request) -> Response:
        await request.body()
        return Response(body)

    app = Starlette(routes=[Route("/add-checkpoint", answer, methods=["POST"])])
    with WebServer(app) as server:
        client = WitnessClient(f"http://127.0.0.1:{server.port}", KEY)
        assert client.cosign(lambda old: [], note(5)) == [GOOD]
        client.close()


def test_a_witness_that_is_away_or_silent_is_busy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        client = WitnessClient(f"http://127.0.0.1:{port}", KEY, timeout=0.2)
        with pytest.raises(Busy):
            client.ask(0, [], note(5))
    with pytest.raises(Busy):
        client.ask(0, [], note(5))
    client.close()
    for nowhere in ("nowhere", "http://", "ftp://127.0.0.1", "http://127.0.0.1:99999"):
        client = WitnessClient(nowhere, KEY)
        with pytest.raises(Busy):
            client.ask(0, [], note(5))
        client.close()


def test_the_key_must_be_one_that_cosigns() -> None:
    with pytest.raises(Malformed):
        WitnessClient("http://127.0.0.1", LOG)


def test_sizes_are_told_in_order() -> None:
    """The growth that the other tests prove is the log's own."""
    for old, new in pairwise((0, 1, 5, 8, 40)):
        roots = [merkle.root(HASHES[:size]) for size in (old, new)]
        merkle.verify_consistency(old, roots[0], new, roots[1], growth(old, new))
