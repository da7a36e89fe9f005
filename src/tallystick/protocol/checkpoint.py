"""Checkpoints, notes and co-signatures as C2SP writes them, and who signed what and when.

C2SP signed-note, tlog-checkpoint and tlog-cosignature; narrower than these, so that one statement
has one text everywhere: names in ASCII, no extension lines, one signature line a key, limits.
See docs/spec/log.md.

Invariant: ``parse`` refuses whatever ``format`` would write differently.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from tallystick.protocol.canonical import INTEGER_MAX
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.keys import Signer, verify_signature

NOTE_BYTES_MAX = 16 * 1024
"""A checkpoint with `SIGNATURES_MAX` co-signatures by names of usual length takes 11 KiB."""
SIGNATURES_MAX = 64
"""As many as a trust policy may name; C2SP asks for at least 16."""
COSIGNED_AT_MAX = 253_402_300_799
"""9999-12-31T23:59:59Z, the last instant that can be written; a later one would break readers."""

NOTE_KEY = 0x01
"""Signature type of an Ed25519 key that signs notes: a log's."""
COSIGNATURE_KEY = 0x04
"""Signature type of an Ed25519 key that co-signs with its time: a keeper's or a witness's."""

_KEY_TYPES = (NOTE_KEY, COSIGNATURE_KEY)
_KEY_ID_BYTES = 4
_KEY_BYTES = 32
_TIME_BYTES = 8
_DASH = "\N{EM DASH} "
_CHECKPOINT_LINES = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The whole log at one size."""

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line of a note, not yet verified."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The line, with its newline."""
        return f"{_DASH}{self.name} {_b64(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text, which ends in a newline, and its signatures; nothing of it is verified yet."""

    text: str
    signatures: tuple[NoteSignature, ...]


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """What one must know to verify a signer: its name, the type of its signatures, its key."""

    name: str
    key_type: int
    key: bytes


def format_checkpoint(checkpoint: Checkpoint) -> str:
    """The text that is signed."""
    return f"{checkpoint.origin}\n{checkpoint.size}\n{_b64(checkpoint.root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a note's text as a checkpoint; every other spelling of it is `Malformed`."""
    lines = text.split("\n")
    if len(lines) != _CHECKPOINT_LINES + 1 or lines[-1]:
        raise Malformed("a checkpoint has three lines", path="checkpoint")
    origin, size, root = lines[:-1]
    _check_name(origin)
    if not (size.isascii() and size.isdigit() and len(size) <= len(str(INTEGER_MAX))):
        raise Malformed("the second line is not a size", path="checkpoint")
    checkpoint = Checkpoint(origin, int(size), _unb64(root))
    if checkpoint.size > INTEGER_MAX or len(checkpoint.root) != sha256().digest_size:
        raise Malformed("no such size or root", path="checkpoint")
    if format_checkpoint(checkpoint) != text:
        raise Malformed("not the one text of this checkpoint", path="checkpoint")
    return checkpoint


def format_note(text: str, lines: Sequence[str]) -> str:
    """A text and its signature lines as one note."""
    return text + "\n" + "".join(lines)


def parse_note(data: bytes) -> Note:
    """Read a note; its text is worth nothing until a signature of a known key is verified."""
    if len(data) > NOTE_BYTES_MAX:
        raise Malformed(f"note has {len(data)} bytes, more than {NOTE_BYTES_MAX}")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise Malformed("note is not UTF-8") from None
    text, blank, block = whole.rpartition("\n\n")
    lines = block.split("\n")
    if not blank or lines.pop():
        raise Malformed("a note is a text, an empty line and signature lines")
    if not 1 <= len(lines) <= SIGNATURES_MAX:
        raise Malformed(f"note has {len(lines)} signatures, not 1 to {SIGNATURES_MAX}")
    note = Note(text + "\n", tuple(_parse_line(line) for line in lines))
    _check_text(note.text)
    keys = [(signature.name, signature.key_id) for signature in note.signatures]
    if len(keys) != len(dict.fromkeys(keys)):
        raise Malformed("a key has signed twice")
    return note


def sign_note(text: str, name: str, signer: Signer) -> str:
    """The signature line of a log over a note's text."""
    _check_text(text)
    _check_name(name)
    signature = signer.sign(text.encode())
    return NoteSignature(name, _key_id(name, NOTE_KEY, signer.public_key), signature).line


def cosign(text: str, name: str, signer: Signer, at_seconds: int) -> str:
    """The co-signature line of a keeper or witness over a checkpoint's text, made at that time."""
    parse_checkpoint(text)
    _check_name(name)
    if not 0 <= at_seconds <= COSIGNED_AT_MAX:
        raise ValueError(f"{at_seconds} is not a time to sign at")
    key_id = _key_id(name, COSIGNATURE_KEY, signer.public_key)
    signature = signer.sign(_cosigned_message(text, at_seconds))
    timed = at_seconds.to_bytes(_TIME_BYTES, "big") + signature
    return NoteSignature(name, key_id, timed).line


def verify_note_signature(note: Note, name: str, key: bytes) -> None:
    """Raise `VerificationFailed` unless the note has a good signature by this log key."""
    verify_signature(key, note.text.encode(), _find(note, name, NOTE_KEY, key))


def verify_cosignature(note: Note, name: str, key: bytes) -> int:
    """When this key co-signed the note, in Unix seconds, or `VerificationFailed` if it did not.

    1. the text is a checkpoint    2. a line of this key    3. a possible time    4. its signature
    """
    parse_checkpoint(note.text)  # 1
    timed = _find(note, name, COSIGNATURE_KEY, key)  # 2
    at_seconds = int.from_bytes(timed[:_TIME_BYTES], "big")
    if at_seconds > COSIGNED_AT_MAX:  # 3
        raise VerificationFailed(f"{name} co-signed at an impossible time", path="checkpoint")
    verify_signature(key, _cosigned_message(note.text, at_seconds), timed[_TIME_BYTES:])  # 4
    return at_seconds


def format_vkey(verifier: VerifierKey) -> str:
    """``name+hexid+base64(type||key)``, as C2SP's tools print and read it."""
    name, key_type, key = verifier.name, verifier.key_type, verifier.key
    return f"{name}+{_key_id(name, key_type, key).hex()}+{_b64(bytes([key_type]) + key)}"


def parse_vkey(text: str) -> VerifierKey:
    """Read what `format_vkey` writes: the key id is checked, other types are refused."""
    name, _, rest = text.partition("+")
    _, _, encoded = rest.partition("+")
    _check_name(name)
    typed = _unb64(encoded)
    if len(typed) != 1 + _KEY_BYTES or typed[0] not in _KEY_TYPES:
        raise Malformed("not an Ed25519 key for notes or co-signatures")
    verifier = VerifierKey(name, typed[0], typed[1:])
    if format_vkey(verifier) != text:
        raise Malformed("the key id is not that of the key")
    return verifier


def _find(note: Note, name: str, key_type: int, key: bytes) -> bytes:
    key_id = _key_id(name, key_type, key)
    for signature in note.signatures:
        if signature.name == name and signature.key_id == key_id:
            return signature.signature
    raise VerificationFailed(f"no signature of {name} by this key", path="checkpoint")


def _key_id(name: str, key_type: int, key: bytes) -> bytes:
    """Tells keys apart, proves nothing: four bytes can be made to collide."""
    return sha256(name.encode() + b"\n" + bytes([key_type]) + key).digest()[:_KEY_ID_BYTES]


def _cosigned_message(text: str, at_seconds: int) -> bytes:
    return f"cosignature/v1\ntime {at_seconds}\n{text}".encode()


def _parse_line(line: str) -> NoteSignature:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    _check_name(name)
    signed = _unb64(encoded)
    signature = NoteSignature(name, signed[:_KEY_ID_BYTES], signed[_KEY_ID_BYTES:])
    if not signature.signature or signature.line != line + "\n":
        raise Malformed("not a signature line")
    return signature


def _check_text(text: str) -> None:
    """Control characters could make a terminal show another text than was signed."""
    if not text.endswith("\n") or any(char < " " and char != "\n" for char in text):
        raise Malformed("a note's text has control characters or no newline at its end")


def _check_name(name: str) -> None:
    """Key names and origins: C2SP's rule within ASCII, since Unicode's spaces change over time."""
    if not name or any(not "!" <= char <= "~" or char == "+" for char in name):
        raise Malformed(f"{name[:80]!r} is not a key name")


def _b64(data: bytes) -> str:
    return b64encode(data).decode()


def _unb64(text: str) -> bytes:
    """Whoever calls this formats again and compares, since more than one text decodes to `data`."""
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise Malformed("not base64") from None
