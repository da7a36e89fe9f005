"""Asking a witness for its co-signature (C2SP tlog-witness, the side of the log).

Invariant: a line is given back only if it is that witness's and verifies over this very checkpoint.
See docs/spec/witness.md.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence

import httpx2

from tallystick.protocol.checkpoint import (
    COSIGNATURE_KEY,
    NOTE_BYTES_MAX,
    Note,
    VerifierKey,
    format_note,
    parse_checkpoint,
    parse_note,
    verify_cosignature,
)
from tallystick.protocol.errors import Busy, Malformed, TallystickError, VerificationFailed

TIMEOUT_SECONDS = 5.0
"""Of each step of a request; nobody waits for a witness but the thread that asks it."""
RETRY_SECONDS = 30.0
SIZE_TYPE = "text/x.tlog.size"

Prove = Callable[[int], Sequence[bytes]]
"""The consistency path from an older size to the checkpoint's."""


class OtherSize(TallystickError):
    """The witness knows another size than it was asked to start from."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the witness knows size {size}")
        self.size = size


class WitnessClient:
    """One witness, as one log asks it. For one thread at a time."""

    def __init__(self, url: str, key: VerifierKey, *, timeout: float = TIMEOUT_SECONDS) -> None:
        """`url` is where ``/add-checkpoint`` is below."""
        if key.key_type != COSIGNATURE_KEY:
            raise Malformed(f"{key.name}: not the key of a witness", path="witness")
        self.key = key
        self._url = url.rstrip("/") + "/add-checkpoint"
        self._http = httpx2.Client(timeout=timeout, headers={"accept-encoding": "identity"})
        self._size = 0
        """What it knew when it was asked last; it says so itself when that is no longer true."""

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def cosign(self, prove: Prove, note: bytes) -> list[str]:
        """Its lines over a note of ours, one for each signature that verifies.

        `Busy`: it is away, or cannot now. `VerificationFailed`: it will not, or knows another log
        than ours.
        """
        try:
            lines = self.ask(self._size, prove(self._size), note)
        except OtherSize as other:
            size = parse_checkpoint(parse_note(note).text).size
            if other.size > size:
                detail = f"{self.key.name} has seen {other.size} leaves of this log, not {size}"
                raise VerificationFailed(detail, path="witness") from None
            self._size = other.size
            lines = self.ask(other.size, prove(other.size), note)
        self._size = parse_checkpoint(parse_note(note).text).size
        return lines

    def ask(self, old_size: int, proof: Sequence[bytes], note: bytes) -> list[str]:
        """One request; `OtherSize` when it has to be made again from there."""
        lines = [f"old {old_size}", *(b64encode(digest).decode() for digest in proof), "", ""]
        status, kind, body = self._post("\n".join(lines).encode() + note)
        if status == 200:
            return self._verified(body, note)
        if status == 409 and kind == SIZE_TYPE:
            raise OtherSize(_size(body))
        if status == 429 or status >= 500:
            raise Busy(RETRY_SECONDS)
        said = body[:200].decode(errors="replace").strip()
        raise VerificationFailed(f"{self.key.name} refuses ({status}): {said}", path="witness")

    def _post(self, body: bytes) -> tuple[int, str, bytes]:
        """Status, content type and at most a note of what is answered."""
        found = bytearray()
        try:
            with self._http.stream("POST", self._url, content=body) as response:
                for part in response.iter_raw():
                    found += part
                    if len(found) > NOTE_BYTES_MAX:
                        raise Malformed(f"{self.key.name} answers more than a note")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Busy(RETRY_SECONDS) from error
        return response.status_code, response.headers.get("content-type", ""), bytes(found)

    def _verified(self, body: bytes, note: bytes) -> list[str]:
        text = parse_note(note).text
        try:
            answered = parse_note(format_note(text, [body.decode()]).encode())
        except UnicodeDecodeError:
            raise Malformed(f"{self.key.name} answers no signature lines") from None
        lines = []
        for signature in answered.signatures:
            if signature.name == self.key.name:
                alone = Note(text, (signature,))
                try:
                    verify_cosignature(alone, self.key.name, self.key.key)
                except VerificationFailed:
                    continue  # of another key of this name
                lines.append(signature.line)
        if not lines:
            raise VerificationFailed(f"no co-signature of {self.key.name}", path="witness")
        return lines


def _size(body: bytes) -> int:
    digits = body.removesuffix(b"\n")
    if not (digits.isdigit() and len(digits) <= 16):
        raise Malformed("the witness does not say which size it knows")
    return int(digits)
