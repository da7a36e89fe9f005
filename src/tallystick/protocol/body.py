"""Sealing a body: each field and line is one disclosure, and one root commits to all of them.

A disclosure is RFC 9901's: base64url of ``[salt, path, value]``; its SHA-256 is the leaf data of an
RFC 9162 tree in the order of the paths. Salts come out of one secret a body, so that whoever has
body and secret can seal again, and a shown salt says nothing about another. See docs/spec/body.md.

Invariant: ``open_body(seal_body(body, secret).disclosures, root) == body``; one root, one body.
"""

from __future__ import annotations

import re
from binascii import Error as NotBase64
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from operator import itemgetter
from typing import Any

from tallystick.protocol import merkle
from tallystick.protocol.canonical import INTEGER_MAX, Raw, decode, encode, parse
from tallystick.protocol.errors import Malformed, VerificationFailed

SECRET_BYTES = 32
SALT_BYTES = 16
"""128 bits, as RFC 9901 section 9.3 asks."""
DISCLOSURES_MAX = 32_768
"""More than the longest list of a bill has lines; bounds the work of one opening."""

_SALT_CONTEXT = b"tallystick/body-salt/v1\n"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_INDEX = re.compile(r"0|[1-9][0-9]{0,5}")
_URLSAFE = bytes.maketrans(b"+/", b"-_")
_HASH_BLOCK_BYTES = 64
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))
"""HMAC's, RFC 2104."""


@dataclass(frozen=True, slots=True)
class SealedBody:
    """A body as it is shown to others: the root stands on the record, the rest does not."""

    root: bytes
    disclosures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One field or line of a body, read but not yet verified."""

    salt: bytes
    path: str
    value: Any


def leaves(body: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What a body is divided into: (path, value), in the order of the paths as ASCII text.

    A member that is a list gives one leaf a line, ``items/0``; one that is an object gives one leaf
    a member of its own, ``payment/sources``, whatever that holds; anything else, and what is empty,
    is a leaf itself. Names are lower-case words, so that no name looks like an index or two paths.
    """
    found = []
    for name, value in body.items():
        _check_name(name)
        if value and isinstance(value, list | tuple):
            found += [(f"{name}/{index}", line) for index, line in enumerate(value)]
        elif value and isinstance(value, dict):
            for inner, member in value.items():
                _check_name(inner)
                found.append((f"{name}/{inner}", member))
        else:
            found.append((name, value))
    if not 1 <= len(found) <= DISCLOSURES_MAX:
        raise Malformed(f"{len(found)} fields and lines, not 1 to {DISCLOSURES_MAX}")
    found.sort(key=itemgetter(0))
    return found


def seal_body(body: Mapping[str, Any], secret: bytes) -> SealedBody:
    """The disclosures of a body of JSON values, and the root over them."""
    disclosures = _disclose(body, secret)
    return SealedBody(_root(disclosures), tuple(text.decode() for text in disclosures))


def body_root(body: Mapping[str, Any], secret: bytes) -> bytes:
    """The root alone: for whoever has body and secret and a record to compare with."""
    return _root(_disclose(body, secret))


def encoded_root(data: bytes, secret: bytes) -> bytes:
    """`body_root` of a body given as its canonical bytes, half as dear: values stay as they lie.

    The caller has read `data` as a record, so it is canonical and holds JSON values only.
    """
    return _root(_texts(_encoded_leaves(data), secret))


def encoded_disclosures(data: bytes, secret: bytes) -> tuple[list[str], list[str]]:
    """Paths and disclosures of a body given as its canonical bytes: as `encoded_root` reads it."""
    divided = _encoded_leaves(data)
    texts = [text.decode() for text in _texts(divided, secret)]
    return [path.decode() for path, _ in divided], texts


def open_body(disclosures: Sequence[str], root: bytes) -> dict[str, Any]:
    """The body that all of `disclosures` make up, which `root` commits to.

    1. each is a disclosure    2. they are the one division of a body    3. the root is theirs
    """
    if len(disclosures) > DISCLOSURES_MAX:
        raise Malformed(f"{len(disclosures)} disclosures, more than {DISCLOSURES_MAX}")
    parsed = [parse_disclosure(text) for text in disclosures]  # 1
    divided = [(one.path, one.value) for one in parsed]
    body = _rebuild(divided)  # 2
    if leaves(body) != divided:
        raise Malformed("not the disclosures of one body in their order")
    if _root([text.encode() for text in disclosures]) != root:  # 3
        raise VerificationFailed("the body is not the one that the record commits to", path="root")
    return body


def parse_disclosure(text: str) -> Disclosure:
    """Read one disclosure; every other spelling of it is `Malformed`."""
    try:
        data = _from_base64url(text)
        salt_text, path, value = decode(data, list[Any])
        salt = _from_base64url(salt_text)
        names = path.split("/")
    except (TypeError, AttributeError, ValueError):
        raise Malformed("not a disclosure: base64url of [salt, path, value]") from None
    if len(salt) != SALT_BYTES:
        raise Malformed(f"a salt of {len(salt)} bytes, not {SALT_BYTES}")
    second = len(names) < 2 or _INDEX.fullmatch(names[1]) or _NAME.fullmatch(names[1])
    if len(names) > 2 or not _NAME.fullmatch(names[0]) or not second:
        raise Malformed(f"{path[:80]!r} is not the path of a field or line")
    return Disclosure(salt, path, value)


def disclosure_digest(text: str) -> bytes:
    """RFC 9901 section 4.2.3: SHA-256 over the disclosure's characters."""
    return sha256(text.encode("ascii")).digest()


def disclosure_path(disclosures: Sequence[str], index: int) -> list[bytes]:
    """The path from one disclosure to the root over all of them."""
    return merkle.path([merkle.leaf_hash(disclosure_digest(text)) for text in disclosures], index)


def verify_disclosure(
    text: str, index: int, size: int, path: Sequence[bytes], root: bytes
) -> Disclosure:
    """The disclosure, once `path` leads from it to `root`.

    `root` proves path and value. `index` and `size` only say how to walk: they are the shower's
    claim, and nothing may be concluded from them about fields that are not shown.
    """
    disclosure = parse_disclosure(text)
    merkle.verify_path(merkle.leaf_hash(disclosure_digest(text)), index, size, path, root)
    return disclosure


def _disclose(body: Mapping[str, Any], secret: bytes) -> list[bytes]:
    _check_json(body)
    return _texts([(path.encode(), encode(value)) for path, value in leaves(body)], secret)


def _encoded_leaves(data: bytes) -> list[tuple[bytes, bytes]]:
    """`leaves`, with each value as it lies in the canonical bytes."""
    found: list[tuple[bytes, bytes]] = []
    for name, raw in parse(data, dict[str, Raw]).items():
        value, path = bytes(raw), _path(name)
        if value[:1] == b"[" and value != b"[]":
            lines = parse(value, list[Raw])
            found += [(b"%b/%d" % (path, index), bytes(line)) for index, line in enumerate(lines)]
        elif value[:1] == b"{" and value != b"{}":
            members = parse(value, dict[str, Raw]).items()
            found += [(_path(name, inner), bytes(member)) for inner, member in members]
        else:
            found.append((path, value))
    if not 1 <= len(found) <= DISCLOSURES_MAX:
        raise Malformed(f"{len(found)} fields and lines, not 1 to {DISCLOSURES_MAX}")
    found.sort()  # no path stands twice, so values are never compared
    return found


@lru_cache(maxsize=4_096)
def _path(name: str, inner: str | None = None) -> bytes:
    """The path of a field, or of a member of it; `Malformed` unless the names are names."""
    _check_name(name)
    if inner is None:
        return name.encode()
    _check_name(inner)
    return f"{name}/{inner}".encode()


def _root(disclosures: Sequence[bytes]) -> bytes:
    return merkle.root([sha256(b"\x00" + sha256(text).digest()).digest() for text in disclosures])


def _texts(leaves: Sequence[tuple[bytes, bytes]], secret: bytes) -> list[bytes]:
    """The disclosures of (path, canonical value), each salted by its path.

    A salt is HMAC-SHA256(secret, context + path), cut to `SALT_BYTES`. It is written out, with the
    two keyed halves hashed once a body: a third of the time of `hmac.digest`.
    """
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"a body's secret has {SECRET_BYTES} bytes, not {len(secret)}")
    key = secret.ljust(_HASH_BLOCK_BYTES, b"\x00")
    inner_half = sha256(key.translate(_INNER_PAD) + _SALT_CONTEXT)
    outer_half = sha256(key.translate(_OUTER_PAD))
    texts = []
    for path, value in leaves:
        inner, outer = inner_half.copy(), outer_half.copy()
        inner.update(path)
        outer.update(inner.digest())
        salt = _base64url(outer.digest()[:SALT_BYTES])
        texts.append(_base64url(b'["%b","%b",%b]' % (salt, path, value)))
    return texts


def _rebuild(divided: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The inverse of `leaves`, for what `leaves` can give; the caller compares."""
    members: dict[str, Any] = {}
    for path, value in divided:
        name, slash, inner = path.partition("/")
        if not slash:
            members[name] = value
            continue
        inside = members.setdefault(name, {})
        if not isinstance(inside, dict):
            raise Malformed("both a field and a part of it", path=path)
        inside[inner] = value
    return {name: _as_lines(value) for name, value in members.items()}


def _as_lines(value: Any) -> Any:
    """A list where the names are the indices from 0; everything else as it is."""
    if not isinstance(value, dict) or "0" not in value:
        return value
    try:
        return [value[str(index)] for index in range(len(value))]
    except KeyError as error:
        raise Malformed("a line is missing", path=str(error.args[0])) from None


def _check_json(value: Any) -> None:
    """Refuse what would not come back from its JSON as it was: floats, bytes, large integers.

    Tuples are lists, as in records; `canonical.check_plain` is for what was read, which has none.
    """
    if isinstance(value, dict | list | tuple):
        for member in value.values() if isinstance(value, dict) else value:
            if type(member) is not str:  # most are, and a call each would double the price
                _check_json(member)
    elif isinstance(value, int):
        if abs(value) > INTEGER_MAX:
            raise Malformed("an integer beyond 2^53 - 1")
    elif value is not None and not isinstance(value, str):
        raise Malformed(f"a body holds JSON values, not {type(value).__name__}")


@lru_cache(maxsize=4_096)
def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Malformed(f"{name[:80]!r} is not the name of a field")


def _base64url(data: bytes) -> bytes:
    return b2a_base64(data, newline=False).translate(_URLSAFE).rstrip(b"=")


def _from_base64url(text: str) -> bytes:
    """Only what `_base64url` writes: other alphabets, padding and stray bits are `Malformed`."""
    encoded = text.encode("ascii")
    try:
        data = a2b_base64(encoded.replace(b"-", b"+").replace(b"_", b"/") + b"=" * (-len(text) % 4))
    except NotBase64:
        raise Malformed("not base64url") from None
    if _base64url(data) != encoded:
        raise Malformed("not the one base64url of these bytes")
    return data
