"""A witness: says of other people's logs that each size it saw grew out of the one before (C2SP
tlog-witness, ``POST /add-checkpoint``).

For each log that it was told of it remembers the newest checkpoint that it co-signed, no more. It
executes nothing and vouches for nothing but growth. See docs/spec/witness.md.

Invariant: what it co-signed is on the disk before anyone sees it, and it never co-signs less, nor
anything that did not grow out of that.
"""

from __future__ import annotations

import logging
import os
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, Self

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tallystick.durable import read_file, take_lock, write_file, write_new
from tallystick.protocol import merkle
from tallystick.protocol.canonical import Meta, Record, decode, encode
from tallystick.protocol.checkpoint import (
    COSIGNATURE_KEY,
    NOTE_BYTES_MAX,
    NOTE_KEY,
    Checkpoint,
    Note,
    VerifierKey,
    cosign,
    format_vkey,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    verify_note_signature,
)
from tallystick.protocol.equivocation import prove_equivocation
from tallystick.protocol.errors import Damaged, Malformed, VerificationFailed
from tallystick.protocol.genesis import KeyName
from tallystick.protocol.keys import Signer
from tallystick.protocol.values import Count, Digest

PROOF_LINES_MAX = 63
BODY_BYTES_MAX = NOTE_BYTES_MAX + (PROOF_LINES_MAX + 1) * 45
"""A note, as many hashes as C2SP allows, and the line of the old size."""
LOGS_MAX = 1_000
STATE_BYTES_MAX = 2 * NOTE_BYTES_MAX
BEHIND_SECONDS_MAX = 300
"""How far our clock may be behind what we said last: more is a broken clock."""
TEXT = "text/plain; charset=utf-8"
SIZE = "text/x.tlog.size"

_log = logging.getLogger("tallystick.witness")

Logs = Mapping[str, Sequence[VerifierKey]]
"""Which logs a witness knows: the origin of each, and the keys of which any one signs it."""


class Known(Record):
    """The newest checkpoint of one log that we co-signed."""

    format: Literal["tallystick/witness-state/v1"]
    origin: KeyName
    size: Count
    root: Digest
    at: Count
    """When we did, in Unix seconds."""
    note: Annotated[str, Meta(max_length=NOTE_BYTES_MAX)]
    """As the log signed it: evidence, should it ever sign another one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered, as HTTP has it."""

    status: int
    body: bytes
    media_type: str = TEXT


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, read; nothing of it is verified yet."""

    old_size: int
    path: list[bytes]
    note: Note
    data: bytes
    checkpoint: Checkpoint


class _Refused(Exception):
    """The answer is known early."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Witness:
    """One witness in one folder; may be asked from several threads."""

    def __init__(
        self, folder: Path, name: str, signer: Signer, logs: Logs, clock: Callable[[], int]
    ) -> None:
        """`clock` gives Unix seconds. `Locked`: another process is the witness of this folder."""
        if len(logs) > LOGS_MAX or any(
            key.key_type != NOTE_KEY for keys in logs.values() for key in keys
        ):
            raise Malformed(
                f"a witness knows at most {LOGS_MAX} logs, each by keys that sign notes"
            )
        self.verifier = parse_vkey(
            format_vkey(VerifierKey(name, COSIGNATURE_KEY, signer.public_key))
        )
        """What one must know of it; reading it again checks the name before anything is kept."""
        folder.mkdir(parents=True, exist_ok=True)
        self._handle = take_lock(folder)
        self._folder, self._signer, self._clock = folder, signer, clock
        self._logs = logs
        self._lock = threading.Lock()
        try:
            self._known = {origin: self._load(origin) for origin in logs}
        except BaseException:
            os.close(self._handle)
            raise

    def close(self) -> None:
        """Another process may be the witness of this folder now."""
        os.close(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def size_of(self, origin: str) -> int:
        """The newest size of a log that we co-signed."""
        known = self._known.get(origin)
        return 0 if known is None else known.size

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer one request of C2SP's ``add-checkpoint``."""
        try:
            asked = _read(body)
        except Malformed as error:
            return Answer(400, f"{error}\n".encode())
        try:
            self._check_signed(asked)
            with self._lock:  # checking the old size and keeping the new one is one step
                self._check_grown(asked)
                return Answer(200, self._cosign(asked).encode())
        except _Refused as refused:
            return refused.answer
        except OSError as error:
            _log.error("nothing is co-signed, since it cannot be kept: %s", error)
            return Answer(503, b"this witness cannot write its state now\n")

    def _check_signed(self, asked: _Asked) -> None:
        keys = self._logs.get(asked.checkpoint.origin)
        if keys is None:
            raise _refused(404, "this log is not known here")
        for key in keys:
            with suppress(VerificationFailed):
                verify_note_signature(asked.note, key.name, key.key)
                return
        raise _refused(403, "no signature by a key of this log")

    def _check_grown(self, asked: _Asked) -> None:
        """The size grew out of the one that we know, or the answer of C2SP's table."""
        new, known = asked.checkpoint, self._known[asked.checkpoint.origin]
        size, root = (0, merkle.EMPTY_ROOT) if known is None else (known.size, known.root)
        if asked.old_size > new.size:
            raise _refused(400, "the old size is above the new one")
        if asked.old_size != size:
            raise _Refused(Answer(409, f"{size}\n".encode(), SIZE))
        if known is not None and new.size == size and new.root != root:
            self._keep_evidence(known, asked)
            raise _refused(409, f"another root of size {size} was co-signed before")
        try:
            merkle.verify_consistency(size, root, new.size, new.root, asked.path)
        except VerificationFailed as error:
            raise _refused(422, str(error)) from None

    def _cosign(self, asked: _Asked) -> str:
        """Keep it, then sign it; the caller holds the lock."""
        new, known = asked.checkpoint, self._known[asked.checkpoint.origin]
        said = 0 if known is None else known.at
        now = self._clock()
        if now < said - BEHIND_SECONDS_MAX:
            raise _refused(503, "the clock of this witness is behind what it said last")
        kept = Known(
            format="tallystick/witness-state/v1",
            origin=new.origin,
            size=new.size,
            root=new.root,
            at=max(now, said),
            note=asked.data.decode(),
        )
        write_file(self._path(new.origin), encode(kept))
        self._known[new.origin] = kept
        return cosign(asked.note.text, self.verifier.name, self._signer, kept.at)

    def _keep_evidence(self, known: Known, asked: _Asked) -> None:
        """The log signed two roots of one size: the first such proof is kept, and is for all."""
        keys = self._logs[known.origin]
        path = self._path(known.origin).with_suffix(".equivocation.json")
        with suppress(VerificationFailed, FileExistsError):  # signed by two keys; kept before
            write_new(path, prove_equivocation(known.note.encode(), asked.data, keys))

    def _path(self, origin: str) -> Path:
        return self._folder / f"{sha256(origin.encode()).hexdigest()[:32]}.json"

    def _load(self, origin: str) -> Known | None:
        path = self._path(origin)
        try:
            known = decode(read_file(path, STATE_BYTES_MAX), Known)
        except FileNotFoundError:
            return None
        except Malformed as error:
            raise Damaged(f"{path} is not what this witness wrote: {error}") from error
        if known.origin != origin:
            raise Damaged(f"{path} is of another log: {known.origin}")
        return known


def witness_app(witness: Witness) -> Starlette:
    """The one route of a witness."""

    async def add_checkpoint(request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > BODY_BYTES_MAX:
                headers = {"connection": "close"}
                return Response("too large\n", 413, headers=headers, media_type=TEXT)
        answer = await run_in_threadpool(witness.add_checkpoint, bytes(body))
        headers = {"content-type": answer.media_type}  # as it is: clients compare it whole
        return Response(answer.body, answer.status, headers=headers)

    return Starlette(routes=[Route("/add-checkpoint", add_checkpoint, methods=["POST"])])


def _refused(status: int, why: str) -> _Refused:
    return _Refused(Answer(status, f"{why}\n".encode()))


def _read(body: bytes) -> _Asked:
    """The request's one spelling, or `Malformed`."""
    if len(body) > BODY_BYTES_MAX:
        raise Malformed("the request is too long")
    head, blank, data = body.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    digits = first.removeprefix(b"old ")
    if not (blank and first.startswith(b"old ") and digits.isdigit() and len(digits) <= 16):
        raise Malformed("the first line is not `old` and a size, or there is no empty line")
    if str(int(digits)).encode() != digits:
        raise Malformed("a size has no leading zeros")
    if len(lines) > PROOF_LINES_MAX:
        raise Malformed(f"more than {PROOF_LINES_MAX} lines of proof")
    path = [_hash(line) for line in lines]
    note = parse_note(data)
    return _Asked(int(digits), path, note, data, parse_checkpoint(note.text))


def _hash(line: bytes) -> bytes:
    try:
        digest = b64decode(line, validate=True)
    except ValueError:
        raise Malformed("a line of the proof is not base64") from None
    if len(digest) != merkle.HASH_BYTES or b64encode(digest) != line:
        raise Malformed("a line of the proof is not a hash")
    return digest
