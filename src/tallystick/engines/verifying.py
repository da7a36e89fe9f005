"""Signatures verified in a process of its own, while the writer executes what was verified before.

Python's interpreter lock lets two threads verify side by side only while no third one computes. So
the engine hands long lists of single transactions to a child process, which knows nothing but keys,
messages and signatures, and which ends when its standard input does. See docs/architecture.md.

Invariant: the child only clears; what it does not clear is verified again here, for its reason.
"""

from __future__ import annotations

import contextlib
import logging
import struct
import subprocess
import sys
from collections.abc import Sequence
from typing import BinaryIO

from tallystick.protocol.errors import VerificationFailed
from tallystick.protocol.keys import Signed, verify_signature

CLEAR, UNCLEAR = 0, 1
ASKED_MAX = 65_536
"""Signatures in one list: a block's work bounds it far below."""

_COUNT = struct.Struct(">I")
_ASKED = struct.Struct(">32s64sI")

_log = logging.getLogger("tallystick.engine")


class VerifierProcess:
    """One child process; one list under way at a time, for one thread."""

    def __init__(self) -> None:
        # -P: not out of the folder in which an operator happens to stand
        command = [sys.executable, "-P", "-m", "tallystick.engines.verifying"]
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,  # Ctrl-C is for the engine, which finishes what it took
        )
        self._asked = 0

    def begin(self, signed: Sequence[Signed]) -> None:
        """Hand over a list; `finish` before the next."""
        self._asked = len(signed)
        try:
            _pipe(self._child.stdin).write(pack(signed))
            _pipe(self._child.stdin).flush()
        except OSError as error:
            _log.error("the verifier process is gone: %s", error)

    def finish(self) -> bytes:
        """`CLEAR` or `UNCLEAR` for each of the list; all unclear when the child is gone."""
        answer = _pipe(self._child.stdout).read(self._asked)
        return answer if len(answer) == self._asked else bytes([UNCLEAR]) * self._asked

    def close(self) -> None:
        """End the child."""
        self._child.terminate()
        self._child.wait()
        _pipe(self._child.stdout).close()
        with contextlib.suppress(OSError):  # what it had not read is of no more use
            _pipe(self._child.stdin).close()

    @property
    def alive(self) -> bool:
        """Whether it still answers."""
        return self._child.poll() is None


def pack(signed: Sequence[Signed]) -> bytes:
    """A list as the child reads it."""
    parts = [_COUNT.pack(len(signed))]
    for key, message, signature in signed:
        parts += (_ASKED.pack(key, signature, len(message)), message)
    return b"".join(parts)


def serve(asked: BinaryIO, answers: BinaryIO) -> None:
    """The child: lists in, verdicts out, until the input ends.

    A list is read whole before its first signature is verified: a pipe holds little, and the writer
    would wait for room in it instead of executing.
    """
    while len(count := asked.read(_COUNT.size)) == _COUNT.size:
        listed = [_read_signed(asked) for _ in range(min(*_COUNT.unpack(count), ASKED_MAX))]
        answers.write(bytes(map(_verdict, listed)))
        answers.flush()


def _read_signed(asked: BinaryIO) -> Signed:
    key, signature, length = _ASKED.unpack(asked.read(_ASKED.size))
    return Signed(key, asked.read(length), signature)


def _verdict(signed: Signed) -> int:
    try:
        verify_signature(*signed)
    except VerificationFailed:
        return UNCLEAR
    return CLEAR


def _pipe(pipe: object) -> BinaryIO:
    if pipe is None:
        raise RuntimeError("the process was started without pipes")
    return pipe  # type: ignore[return-value]  # both were asked for


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
