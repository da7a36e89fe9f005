"""A witness: C2SP's table of answers, one by one, and what it never does.

See docs/spec/witness.md.
"""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient
from world import signer

from tallystick.durable import Locked
from tallystick.keyring import KeySigner
from tallystick.protocol import merkle
from tallystick.protocol.checkpoint import (
    COSIGNATURE_KEY,
    NOTE_KEY,
    Checkpoint,
    VerifierKey,
    format_checkpoint,
    format_note,
    format_vkey,
    parse_note,
    sign_note,
    verify_cosignature,
)
from tallystick.protocol.equivocation import verify_equivocation
from tallystick.protocol.errors import Damaged, Malformed
from tallystick.web import witness as module
from tallystick.web.witness import BEHIND_SECONDS_MAX, BODY_BYTES_MAX, SIZE, Witness, witness_app

NAME = "witness.example/w1"
ORIGIN = "example/log"
LOG = VerifierKey(ORIGIN, NOTE_KEY, signer("log").public_key)
NEXT_LOG = VerifierKey(ORIGIN, NOTE_KEY, signer("next log").public_key)
NOW = 1_800_000_000


class Log:
    """A log of plain leaves, and forks of it."""

    def __init__(self, *leaves: bytes) -> None:
        self.hashes = merkle.leaf_hashes(leaves)

    def root(self, size: int) -> bytes:
        return merkle.root(self.hashes[:size])

    def path(self, old: int, new: int) -> list[bytes]:
        return [
            merkle.root(self.hashes[at << level : min((at + 1) << level, new)])
            for level, at in merkle.consistency_nodes(old, new)
        ]

    def note(self, size: int, *, log: KeySigner | None = None, origin: str = ORIGIN) -> bytes:
        text = format_checkpoint(Checkpoint(origin, size, self.root(size)))
        return format_note(text, [sign_note(text, origin, log or signer("log"))]).encode()


TRUE = Log(*(b"leaf %d" % n for n in range(40)))
FORK = Log(*(b"leaf %d" % n for n in range(10)), *(b"other %d" % n for n in range(30)))


def body(old: int, path: Sequence[bytes], note: bytes) -> bytes:
    lines = [f"old {old}", *(b64encode(digest).decode() for digest in path), "", ""]
    return "\n".join(lines).encode() + note


def grown(old: int, new: int, log: Log = TRUE) -> bytes:
    return body(old, log.path(old, new), log.note(new))


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> int:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_witness(tmp_path: Path, clock: Clock) -> Iterator[Callable[[], Witness]]:
    opened: list[Witness] = []

    def make() -> Witness:
        while opened:
            opened.pop().close()
        logs = {ORIGIN: [LOG, NEXT_LOG]}
        opened.append(Witness(tmp_path / "w", NAME, signer("witness"), logs, clock))
        return opened[-1]

    yield make
    while opened:
        opened.pop().close()


@pytest.fixture
def witness(open_witness: Callable[[], Witness]) -> Witness:
    return open_witness()


def signed_at(answer: module.Answer, note: bytes) -> int:
    """When it co-signed, once its line verifies over the note's text."""
    assert (answer.status, answer.media_type) == (200, module.TEXT)
    text = parse_note(note).text
    cosigned = parse_note(format_note(text, [answer.body.decode()]).encode())
    return verify_cosignature(cosigned, NAME, signer("witness").public_key)


def test_a_log_that_grows_is_cosigned_at_each_size(witness: Witness, clock: Clock) -> None:
    sizes = [0, 1, 2, 3, 7, 8, 9, 20, 20, 40]
    for old, new in pairwise(sizes):
        clock.at += 1
        assert signed_at(witness.add_checkpoint(grown(old, new)), TRUE.note(new)) == clock.at
        assert witness.size_of(ORIGIN) == new
    vkey = VerifierKey(NAME, COSIGNATURE_KEY, signer("witness").public_key)
    assert format_vkey(witness.verifier) == format_vkey(vkey)


def test_an_empty_log_is_a_log(witness: Witness) -> None:
    empty = Log()
    assert witness.add_checkpoint(body(0, [], empty.note(0))).status == 200
    assert witness.add_checkpoint(grown(0, 5)).status == 200


def test_another_size_is_told_which_is_known(witness: Witness) -> None:
    assert witness.add_checkpoint(grown(0, 5)).status == 200
    for request in (grown(0, 5), grown(0, 9), grown(4, 5), grown(3, 9), grown(6, 9)):
        answer = witness.add_checkpoint(request)
        assert (answer.status, answer.media_type, answer.body) == (409, SIZE, b"5\n")
    assert witness.size_of(ORIGIN) == 5


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (404, body(5, [], TRUE.note(5, origin="example/other"))),
        (403, body(5, [], TRUE.note(5, log=signer("stranger")))),
        (400, body(9, [], TRUE.note(5))),
        (422, body(5, TRUE.path(5, 9)[:-1], TRUE.note(9))),
        (422, body(5, [*TRUE.path(5, 9), bytes(32)], TRUE.note(9))),
        (422, body(5, [bytes(32)] * len(TRUE.path(5, 9)), TRUE.note(9))),
        (422, body(5, TRUE.path(5, 20), FORK.note(20))),
        (422, body(5, [bytes(32)], TRUE.note(5))),
        (400, b""),
        (400, b"\n\n"),
        (400, b"old 5\n"),
        (400, b"old 5\n\n"),
        (400, b"old 5\n\nno note"),
        (400, b"old 05\n\n" + TRUE.note(5)),
        (400, b"old -5\n\n" + TRUE.note(5)),
        (400, b"old \xd9\xa5\n\n" + TRUE.note(5)),
        (400, b"old 99999999999999999999\n\n" + TRUE.note(5)),
        (400, b"size 5\n\n" + TRUE.note(5)),
        (400, b"old 5\r\n\n" + TRUE.note(5)),
        (400, b"old 5\n\n\n" + TRUE.note(5)),
        (400, b"old 5\nno hash\n\n" + TRUE.note(5)),
        (400, body(5, [bytes(31)], TRUE.note(9))),
        (400, body(5, [bytes(32)] * 64, TRUE.note(9))),
        (400, body(5, TRUE.path(5, 9), TRUE.note(9)) + b"more"),
        (400, bytes(BODY_BYTES_MAX + 1)),
    ],
)
def test_what_does_not_hold_is_refused_as_the_standard_says(
    witness: Witness, status: int, request_: bytes
) -> None:
    assert witness.add_checkpoint(grown(0, 5)).status == 200
    answer = witness.add_checkpoint(request_)
    assert (answer.status, answer.media_type) == (status, module.TEXT)
    assert witness.size_of(ORIGIN) == 5
    assert witness.add_checkpoint(grown(5, 9)).status == 200


def test_a_first_checkpoint_needs_no_proof_and_takes_none(witness: Witness) -> None:
    assert witness.add_checkpoint(body(0, [bytes(32)], TRUE.note(5))).status == 422
    lies = format_checkpoint(Checkpoint(ORIGIN, 0, bytes(32)))
    note = format_note(lies, [sign_note(lies, ORIGIN, signer("log"))]).encode()
    assert witness.add_checkpoint(body(0, [], note)).status == 422
    assert witness.size_of(ORIGIN) == 0


def test_any_key_of_the_log_will_do_and_other_lines_are_left(witness: Witness) -> None:
    text = parse_note(TRUE.note(5)).text
    stranger = sign_note(text, "stranger", signer("stranger"))
    own = sign_note(text, ORIGIN, signer("next log"))
    answer = witness.add_checkpoint(body(0, [], format_note(text, [stranger, own]).encode()))
    assert signed_at(answer, TRUE.note(5)) == NOW


def test_two_roots_of_one_size_are_refused_and_kept_as_proof(
    witness: Witness, tmp_path: Path
) -> None:
    assert witness.add_checkpoint(grown(0, 20)).status == 200
    answer = witness.add_checkpoint(body(20, [], FORK.note(20)))
    assert (answer.status, answer.media_type) == (409, module.TEXT)
    (kept,) = (tmp_path / "w").glob("*.equivocation.json")
    found = verify_equivocation(kept.read_bytes(), [LOG])
    assert (found.kind, found.signer) == ("two_roots", LOG)
    before = kept.read_bytes()
    other = Log(*(b"third %d" % n for n in range(20)))
    assert witness.add_checkpoint(body(20, [], other.note(20))).status == 409
    assert kept.read_bytes() == before
    assert witness.add_checkpoint(grown(20, 21)).status == 200


def test_two_roots_under_two_keys_prove_nothing_and_are_refused(
    witness: Witness, tmp_path: Path
) -> None:
    assert witness.add_checkpoint(grown(0, 20)).status == 200
    request = body(20, [], FORK.note(20, log=signer("next log")))
    assert witness.add_checkpoint(request).status == 409
    assert not list((tmp_path / "w").glob("*.equivocation.json"))


def test_it_remembers_over_a_restart(open_witness: Callable[[], Witness]) -> None:
    assert open_witness().add_checkpoint(grown(0, 20)).status == 200
    again = open_witness()
    assert again.size_of(ORIGIN) == 20
    assert again.add_checkpoint(grown(0, 5)).body == b"20\n"
    assert again.add_checkpoint(body(20, [], FORK.note(20))).status == 409
    assert again.add_checkpoint(grown(20, 40)).status == 200


def test_nothing_is_signed_that_was_not_kept(
    witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert witness.add_checkpoint(grown(0, 5)).status == 200

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "no space left")

    with monkeypatch.context() as broken:
        broken.setattr(module, "write_file", full)
        answer = witness.add_checkpoint(grown(5, 9))
    assert answer.status == 503
    assert witness.size_of(ORIGIN) == 5
    assert witness.add_checkpoint(grown(5, 10)).status == 200


def test_its_times_never_go_back(witness: Witness, clock: Clock) -> None:
    witness.add_checkpoint(grown(0, 5))
    clock.at = NOW - BEHIND_SECONDS_MAX
    assert signed_at(witness.add_checkpoint(grown(5, 9)), TRUE.note(9)) == NOW
    clock.at -= 1
    assert witness.add_checkpoint(grown(9, 10)).status == 503
    assert witness.size_of(ORIGIN) == 9


def test_of_many_at_once_one_wins_and_none_rolls_back(witness: Witness) -> None:
    assert witness.add_checkpoint(grown(0, 5)).status == 200
    answers: dict[int, int] = {}
    barrier = threading.Barrier(8)

    def ask(size: int) -> None:
        request = grown(5, size)
        barrier.wait()
        answers[size] = witness.add_checkpoint(request).status

    threads = [threading.Thread(target=ask, args=(size,)) for size in range(6, 14)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers.values()) == [200] + [409] * 7
    assert answers[witness.size_of(ORIGIN)] == 200


def test_one_process_at_a_time_and_only_its_own_state(
    open_witness: Callable[[], Witness], tmp_path: Path, clock: Clock
) -> None:
    witness = open_witness()
    witness.add_checkpoint(grown(0, 5))
    with pytest.raises(Locked):
        Witness(tmp_path / "w", NAME, signer("witness"), {ORIGIN: [LOG]}, clock)
    (kept,) = (tmp_path / "w").glob("*.json")
    good = kept.read_bytes()
    for bad in (good[:-1], good.replace(ORIGIN.encode(), b"example/lag")):
        kept.write_bytes(bad)
        with pytest.raises(Damaged):
            open_witness()
    kept.write_bytes(good)
    assert open_witness().size_of(ORIGIN) == 5


def test_a_key_that_cosigns_is_no_log_key_and_a_name_has_no_space(
    tmp_path: Path, clock: Clock
) -> None:
    cosigner = VerifierKey(ORIGIN, COSIGNATURE_KEY, signer("log").public_key)
    with pytest.raises(Malformed):
        Witness(tmp_path / "w", NAME, signer("witness"), {ORIGIN: [cosigner]}, clock)
    with pytest.raises(Malformed):
        Witness(tmp_path / "w", "a b", signer("witness"), {ORIGIN: [LOG]}, clock)


@given(st.integers(0, len(grown(0, 40)) - 1), st.integers(1, 255))
def test_a_changed_request_signs_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, at: int, flip: int
) -> None:
    changed = bytearray(grown(0, 40))
    changed[at] ^= flip
    logs = {ORIGIN: [LOG]}
    folder = tmp_path_factory.mktemp("w")
    with Witness(folder, NAME, signer("witness"), logs, lambda: NOW) as witness:
        answer = witness.add_checkpoint(bytes(changed))
        assert answer.status in (400, 403, 404, 409)
        assert witness.size_of(ORIGIN) == 0


def test_over_http(witness: Witness) -> None:
    client = TestClient(witness_app(witness))
    answer = client.post("/add-checkpoint", content=grown(0, 5))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.startswith(f"— {NAME} ")
    answer = client.post("/add-checkpoint", content=grown(0, 9))
    assert (answer.status_code, answer.content) == (409, b"5\n")
    assert answer.headers["content-type"] == SIZE
    assert client.get("/add-checkpoint").status_code == 405
    assert client.get("/").status_code == 404
    parts = (bytes(1000) for _ in range(100))
    assert client.post("/add-checkpoint", content=parts).status_code == 413
