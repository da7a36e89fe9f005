"""An entry's place in the log as C2SP writes it (tlog-proof@v1), for log clients that are not ours.

The index, the path, the co-signed checkpoint, and as extra data the leaf: the entry's canonical
JSON, which has hashes and an outcome and nothing of the item. Less than a receipt: who signed the
item and what it says is not in it. See docs/spec/tlog-proof.md.

Invariant: ``read_tlog_proof`` refuses whatever ``write_tlog_proof`` would write differently.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass

from tallystick.protocol import merkle
from tallystick.protocol.canonical import INTEGER_MAX, decode, encode
from tallystick.protocol.checkpoint import NOTE_BYTES_MAX, parse_checkpoint, parse_note
from tallystick.protocol.entry import Entry
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.receipt import LOG_PATH_MAX, Receipt
from tallystick.protocol.trust import TrustPolicy, Vouched, verify_checkpoint

TLOG_PROOF_BYTES_MAX = 24 * 1024
"""A note of at most 16 KiB, 64 hashes, and a leaf of a few hundred bytes."""
HEADER = "c2sp.org/tlog-proof@v1"

_EXTRA = "extra "
_INDEX = "index "


@dataclass(frozen=True, slots=True)
class TlogProof:
    """What stands in the file; nothing of it is verified yet."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    """The note, byte for byte."""
    leaf: bytes | None = None
    """The extra data: of a proof of ours the leaf, of another's whatever its writer meant."""


def tlog_proof_of(receipt: Receipt) -> TlogProof:
    """The proof that a receipt contains."""
    return TlogProof(
        index=receipt.index,
        path=tuple(receipt.log_path),
        checkpoint=receipt.checkpoint.encode(),
        leaf=encode(receipt.entry),
    )


def write_tlog_proof(proof: TlogProof) -> bytes:
    """The proof's one text."""
    extra = [] if proof.leaf is None else [_EXTRA + b64encode(proof.leaf).decode()]
    path = [b64encode(digest).decode() for digest in proof.path]
    lines = [HEADER, *extra, f"{_INDEX}{proof.index}", *path, "", ""]
    return "\n".join(lines).encode() + proof.checkpoint


def read_tlog_proof(data: bytes) -> TlogProof:
    """Read a proof; any other spelling of it is `Malformed`. Nothing is verified yet."""
    if len(data) > TLOG_PROOF_BYTES_MAX:
        raise Malformed(f"proof has {len(data)} bytes, more than {TLOG_PROOF_BYTES_MAX}")
    head, blank, checkpoint = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Malformed("not a tlog-proof: its lines are ASCII") from None
    if not blank or lines.pop(0) != HEADER:
        raise Malformed(f"not a tlog-proof: it begins with {HEADER}")
    leaf = None
    if lines and lines[0].startswith(_EXTRA):
        leaf = _unb64(lines.pop(0).removeprefix(_EXTRA), "extra")
    index = _index(lines.pop(0)) if lines else _index("")
    if len(lines) > LOG_PATH_MAX:
        raise Malformed(f"{len(lines)} hashes, more than {LOG_PATH_MAX}", path="path")
    proof = TlogProof(index, tuple(_hash(line) for line in lines), checkpoint, leaf)
    if len(checkpoint) > NOTE_BYTES_MAX or write_tlog_proof(proof) != data:
        raise Malformed("not the one text of this proof")
    parse_checkpoint(parse_note(checkpoint).text)
    return proof


def verify_tlog_proof(
    policy: TrustPolicy, proof: TlogProof, leaf: bytes | None = None
) -> tuple[Entry, Vouched]:
    """What became of the entry, and who vouches for it, or `VerificationFailed`.

    Without `leaf` the proof's own is taken: it need not be trusted, since its hash is proven.
    1. the leaf is an entry    2. the path leads to the root    3. the policy accepts the checkpoint
    """
    data = proof.leaf if leaf is None else leaf
    if data is None:
        raise VerificationFailed("there is no leaf: neither given nor in the proof", path="extra")
    entry = decode(data, Entry)  # 1
    note = parse_note(proof.checkpoint)
    checkpoint = parse_checkpoint(note.text)
    merkle.verify_path(  # 2
        merkle.leaf_hash(data), proof.index, checkpoint.size, proof.path, checkpoint.root
    )
    return entry, verify_checkpoint(policy, note)  # 3


def _index(line: str) -> int:
    digits = line.removeprefix(_INDEX)
    if not (line.startswith(_INDEX) and digits.isdigit() and len(digits) <= len(str(INTEGER_MAX))):
        raise Malformed("there is no index line", path="index")
    index = int(digits)
    if index > INTEGER_MAX:
        raise Malformed("no log has such an index", path="index")
    return index


def _hash(line: str) -> bytes:
    digest = _unb64(line, "path")
    if len(digest) != merkle.HASH_BYTES:
        raise Malformed(f"a hash of {len(digest)} bytes", path="path")
    return digest


def _unb64(text: str, path: str) -> bytes:
    try:
        return b64decode(text, validate=True)  # written again and compared by who calls
    except ValueError:
        raise Malformed("not base64", path=path) from None
