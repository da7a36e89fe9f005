"""Who signed a request: HTTP Message Signatures (RFC 9421), read in one narrow profile.

A general library takes 200 µs a request, most of it to parse what our profile does not allow. Here
one pattern says what a signature may look like, and what it does not match is refused; tests hold
whatever is accepted against that library. Ed25519 is `protocol.keys`' strict one, whatever the
message says. Replay is refused elsewhere, once it is known whose key it is: see `web.nonces`.

Invariant: a request counts as signed only if method, authority, path, query, body and what it shows
of a bill are those that were signed, within a minute. See docs/spec/requests.md.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from tallystick.client.signing import (
    COMPONENTS,
    CONTENT_DIGEST,
    COVERED_WHERE_PRESENT,
    LIFE_SECONDS_MAX,
    OPENING_HEADER,
    TAG,
)
from tallystick.protocol.errors import Rejected, VerificationFailed
from tallystick.protocol.keys import verify_signature
from tallystick.web.reasons import WebReason

AHEAD_SECONDS_MAX = 10
"""How far the clock of whoever signs may be ahead of ours."""
INPUT_LENGTH_MAX = 1_024
FIELDS_MAX = 16
"""Components of one signature."""

RawHeaders = Iterable[tuple[bytes, bytes]]
"""Names in lower case, as ASGI has them; a name may come several times."""

_INPUT = re.compile(
    r'([a-z*][a-z0-9_.*-]{0,31})=(\(("[@a-z0-9-]{1,40}"(?: "[@a-z0-9-]{1,40}"){0,15})\)'
    r'((?:;[a-z]{1,16}=(?:(?:0|[1-9][0-9]{0,14})|"[ !#-\[\]-~]{0,200}")){1,8}))'
)
_PARAMETER = re.compile(r';([a-z]+)=(?:([0-9]+)|"([^"]*)")')
_SIGNATURE = re.compile(r"([a-z*][a-z0-9_.*-]{0,31})=:([A-Za-z0-9+/]{86}==):")
_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")
_KEY = re.compile(r"[0-9a-f]{64}")
_NONCE = re.compile(r"[A-Za-z0-9+/]{22}==")
_AUTHORITY = re.compile(r"[a-z0-9._~-]+(:[0-9]{1,5})?|\[[0-9a-f:.]+\](:[0-9]{1,5})?")
_PARAMETERS = frozenset({"created", "expires", "keyid", "nonce", "tag"})
_ALGORITHM = "ed25519"
_SINGLE = ("signature-input", "signature", "host", *COVERED_WHERE_PRESENT)


@dataclass(frozen=True, slots=True)
class SignedBy:
    """A request whose signature holds; whether it came before is not asked yet."""

    key: bytes
    nonce: bytes
    expires: int
    """Unix seconds; from then on the nonce may be forgotten."""
    created: int
    digest: bytes | None
    """SHA-256 of the body; None: there must be none."""
    opening: str
    """The value of `OPENING_HEADER`, signed with the rest; empty: none."""

    def check_body(self, body: bytes) -> None:
        """Refuse another body than the one that was signed."""
        check = BodyCheck(self.digest)
        check.update(body)
        check.finish()


class BodyCheck:
    """The same for a body that is read in parts."""

    __slots__ = ("_digest", "_hash", "_some")

    def __init__(self, digest: bytes | None) -> None:
        self._digest = digest
        self._hash = sha256()
        self._some = False

    def update(self, part: bytes) -> None:
        """The next bytes of it; refuses the first of a body whose digest was not signed."""
        if self._digest is None and part:
            raise Rejected(WebReason.UNCOVERED, f"a body without {CONTENT_DIGEST}")
        self._hash.update(part)

    def finish(self) -> None:
        """That was all; refuses the body unless it is the one that was signed."""
        if self._digest is not None and self._hash.digest() != self._digest:
            raise Rejected(WebReason.DIGEST, path=CONTENT_DIGEST)


def is_signed(headers: RawHeaders) -> bool:
    """Whether a request means to be signed."""
    return any(name in (b"signature-input", b"signature") for name, _ in headers)


class RequestVerifier:
    """Verifies requests that are signed for one of the names of a server."""

    def __init__(
        self, authorities: Sequence[str], clock: Callable[[], int], *, prefix: str = ""
    ) -> None:
        """`authorities`: ``host`` or ``host:port`` as clients write it, the public one first.

        `prefix`: what a proxy before us takes off the path. `clock` gives Unix seconds.
        """
        if not authorities or not all(_AUTHORITY.fullmatch(each) for each in authorities):
            raise ValueError(f"{list(authorities)}: a server's names are host or host:port")
        self._authorities = tuple(authorities)
        self._clock = clock
        self._prefix = prefix

    def verify(self, method: str, path: str, query: str, headers: RawHeaders) -> SignedBy:
        """Who signed this; `path` and `query` as they came, not decoded, `query` without its ``?``.

        `Rejected` with a reason of the web unless exactly one signature is there, and holds.
        """
        fields = _fields(headers)
        label, params, names, given = _read_input(fields)
        signature = _read_signature(fields, label)
        key, nonce, created, expires = self._read_parameters(given)
        _check_coverage(names, fields)
        host = fields.get("host", "").lower()
        known = host if host in self._authorities else self._authorities[0]
        values = {"@method": method, "@path": self._prefix + path or "/", "@query": f"?{query}"}

        def base(authority: str) -> bytes:
            said = {**fields, **values, "@authority": authority}
            lines = [f'"{name}": {said[name]}' for name in names]
            return _ascii("\n".join([*lines, f'"@signature-params": {params}']))

        try:
            verify_signature(key, base(known), signature)
        except VerificationFailed as error:
            if host and host != known and _holds(key, base(host), signature):
                raise Rejected(WebReason.AUTHORITY, f"it was signed for {host}") from None
            raise Rejected(WebReason.SIGNATURE, error.detail, path="signature") from None
        digest = _read_digest(fields) if CONTENT_DIGEST in names else None
        return SignedBy(key, nonce, expires, created, digest, fields.get(OPENING_HEADER, ""))

    def _read_parameters(self, given: Mapping[str, int | str]) -> tuple[bytes, bytes, int, int]:
        """Key, nonce, created, expires; the message may name our algorithm, and no other."""
        named = set(given)
        if given.get("alg", _ALGORITHM) != _ALGORITHM or named - {"alg"} != _PARAMETERS:
            raise _unsound(f"its parameters are {', '.join(sorted(_PARAMETERS))}; Ed25519 alone")
        key, nonce, tag = (str(given[name]) for name in ("keyid", "nonce", "tag"))
        if tag != TAG or not _KEY.fullmatch(key) or not _NONCE.fullmatch(nonce):
            raise _unsound("tag, keyid or nonce has not its form")
        created, expires, now = given["created"], given["expires"], self._clock()
        if not isinstance(created, int) or not isinstance(expires, int):
            raise _unsound("created and expires are numbers")
        if not created < expires <= created + LIFE_SECONDS_MAX:
            raise Rejected(WebReason.CLOCK, f"it is for {expires - created} s", path="expires")
        if created > now + AHEAD_SECONDS_MAX:
            raise Rejected(WebReason.CLOCK, f"{created - now} s ahead of {now}", path="created")
        if expires <= now:
            raise Rejected(WebReason.CLOCK, f"over since {now - expires} s", path="expires")
        return bytes.fromhex(key), b64decode(nonce), created, expires


def _fields(headers: RawHeaders) -> dict[str, str]:
    """Each header's value; those that decide something come once."""
    found: dict[str, str] = {}
    for raw, value in headers:
        name = raw.decode("latin-1")
        text = value.decode("latin-1").strip(" \t")
        if name in found:
            if name in _SINGLE:
                raise _unsound(f"{name} comes twice")
            text = f"{found[name]}, {text}"
        found[name] = text
    return found


def _read_input(
    fields: Mapping[str, str],
) -> tuple[str, str, list[str], dict[str, int | str]]:
    """Label, the parameters as they were signed, the components, and the parameters one by one."""
    text = fields.get("signature-input", "")
    if not text and "signature" not in fields:
        raise Rejected(WebReason.UNSIGNED)
    found = _INPUT.fullmatch(text) if len(text) <= INPUT_LENGTH_MAX else None
    if found is None:
        raise _unsound("signature-input is not one signature of our form")
    label, params, inner, rest = found.groups()
    names = inner[1:-1].split('" "')
    given: dict[str, int | str] = {}
    for name, number, word in _PARAMETER.findall(rest):
        if name in given:
            raise _unsound(f"{name} stands twice")
        given[name] = int(number) if number else word
    return label, params, names, given


def _read_signature(fields: Mapping[str, str], label: str) -> bytes:
    found = _SIGNATURE.fullmatch(fields.get("signature", ""))
    if found is None or found[1] != label:
        raise _unsound("signature is not one of the same label")
    return b64decode(found[2])


def _read_digest(fields: Mapping[str, str]) -> bytes:
    found = _DIGEST.fullmatch(fields[CONTENT_DIGEST])
    if found is None:
        raise Rejected(WebReason.DIGEST, "one digest, of sha-256", path=CONTENT_DIGEST)
    return b64decode(found[1])


def _check_coverage(names: list[str], fields: Mapping[str, str]) -> None:
    """All that must be covered is, each once; what is covered besides is a header that is there."""
    covered = set(names)
    if len(covered) != len(names):
        raise _unsound("it covers something twice")
    for name in COMPONENTS:
        if name not in covered:
            raise Rejected(WebReason.UNCOVERED, name)
    for name in COVERED_WHERE_PRESENT:
        if name in fields and name not in covered:
            raise Rejected(WebReason.UNCOVERED, name)
    if CONTENT_DIGEST not in covered and (
        fields.get("content-length", "0") != "0" or "transfer-encoding" in fields
    ):
        raise Rejected(WebReason.UNCOVERED, CONTENT_DIGEST)
    for name in covered.difference(COMPONENTS):
        if name not in fields:
            raise _unsound(f"it covers {name}, which is no header here")


def _ascii(text: str) -> bytes:
    try:
        return text.encode("ascii")
    except UnicodeEncodeError:
        raise _unsound("something that it covers is not ASCII") from None


def _holds(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        verify_signature(key, message, signature)
    except VerificationFailed:
        return False
    return True


def _unsound(detail: str) -> Rejected:
    return Rejected(WebReason.SIGNATURE, detail, path="signature-input")
