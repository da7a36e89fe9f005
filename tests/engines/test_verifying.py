"""The child that verifies signatures while the writer executes."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from world import signer

from tallystick.engines import verifying
from tallystick.engines.verifying import CLEAR, UNCLEAR, VerifierProcess, pack, serve
from tallystick.protocol.keys import Signed

MESSAGE = b"m" * 500


def signed(count: int) -> list[Signed]:
    key = signer("log")
    one = Signed(key.public_key, MESSAGE, key.sign(MESSAGE))
    return [one] * count


@pytest.fixture
def child() -> Iterator[VerifierProcess]:
    child = VerifierProcess()
    yield child
    child.close()


def test_it_clears_what_is_true_and_nothing_else(child: VerifierProcess) -> None:
    true = signed(1)[0]
    false = true._replace(message=MESSAGE + b"!")
    for _ in range(2):
        child.begin([true, false, true])
        assert list(child.finish()) == [CLEAR, UNCLEAR, CLEAR]


def test_a_list_is_read_whole_before_its_first_signature_is_verified(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the writer waits for room in the pipe, and nothing is done side by side."""
    asked, answers = io.BytesIO(pack(signed(5)) + pack(signed(2))), io.BytesIO()
    read_so_far: list[int] = []
    monkeypatch.setattr(verifying, "verify_signature", lambda *_: read_so_far.append(asked.tell()))
    serve(asked, answers)
    assert read_so_far == [len(pack(signed(5)))] * 5 + [len(asked.getvalue())] * 2
    assert answers.getvalue() == bytes([CLEAR]) * 7


def test_a_dead_child_clears_nothing(child: VerifierProcess) -> None:
    child._child.kill()
    child._child.wait()
    child.begin(signed(3))
    assert list(child.finish()) == [UNCLEAR] * 3
    assert not child.alive
