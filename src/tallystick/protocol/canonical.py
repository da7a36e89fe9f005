"""One value, one byte string: canonical JSON, that is RFC 8785 without floats, with ASCII names.

Four words: a `Record` is a closed typed object, `encode` writes it, `decode` reads it and refuses
every other spelling, `narrow` types what was already parsed. Bytes travel as padded base64
(RFC 4648 section 4, as in C2SP); integers stay within ±(2^53 - 1). See docs/spec/encoding.md.

Invariant: ``encode(decode(data, T)) == data`` for every accepted `data`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, TypeVar, dataclass_transform

import msgspec

from tallystick.protocol.errors import Malformed

T = TypeVar("T")

INTEGER_MAX = 2**53 - 1
"""Largest integer that every JSON reader keeps exactly (RFC 8785 appendix D)."""

DOCUMENT_BYTES_MAX = 4 * 1024 * 1024
"""Nothing that we parse as one value is larger: an upper bound on the memory of one decode."""
DEPTH_MAX = 32
"""Objects and arrays within each other in an untyped value. A number of our own, so that no node's
stack decides what is well formed."""


class _RecordMeta(msgspec.StructMeta):
    """Keyword-only for every subclass: msgspec by itself does not hand this one down."""

    def __new__(
        cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any
    ) -> Any:
        return super().__new__(cls, name, bases, namespace, **({"kw_only": True} | config))


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Record(
    msgspec.Struct,
    metaclass=_RecordMeta,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    gc=False,
):
    """A closed object: unknown members are refused, a member at its default is absent.

    A default is None, a truth value, a small integer or something empty, and nothing else: msgspec
    recognises those wherever the value came from, so that equal records have equal bytes (tested).
    The decorator only tells type checkers that the keywords above hold for every subclass.
    """


Raw = msgspec.Raw
"""The bytes of a value that is not parsed yet."""

Meta = msgspec.Meta
replace = msgspec.structs.replace
"""A copy of a record with some fields changed."""

_encoder = msgspec.json.Encoder(order="sorted")
encode = _encoder.encode
"""The one byte string of a value: sorted names, no white space, base64 for bytes."""


@cache
def decoder(kind: type[Any]) -> msgspec.json.Decoder[Any]:
    """A compiled, strict parser for `kind`. It does not check that the spelling is canonical."""
    return msgspec.json.Decoder(kind, strict=True)


def parse(data: bytes, kind: type[T]) -> T:
    """Parse `data` as `kind` without the canonical check: for callers that compare themselves."""
    if len(data) > DOCUMENT_BYTES_MAX:
        raise Malformed(f"{len(data)} bytes, more than {DOCUMENT_BYTES_MAX}")
    key: Any = kind  # every type is hashable, which type checkers cannot know of type[T]
    try:
        parsed: T = decoder(key).decode(data)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        raise Malformed(message, path=_pointer(path)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"not JSON: {error}") from None
    except RecursionError:
        raise Malformed("nested too deeply") from None
    return parsed


def decode(data: bytes, kind: type[T]) -> T:
    """Read `data` as the one encoding of a value of type `kind`.

    Raises `Malformed` for anything else: other white space or order, duplicate or unknown
    members, defaults spelled out, floats, trailing data.
    """
    value = parse(data, kind)
    check_plain(value)
    if encode(value) != data:
        raise Malformed("not the canonical encoding of this value")
    return value


def narrow(value: object, kind: type[T]) -> T:
    """Type an already parsed value (dicts, lists, strings) as `kind`, or raise `Malformed`."""
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        raise Malformed(message, path=_pointer(path)) from None


def from_texts(values: dict[str, str], kind: type[T]) -> T:
    """Type the texts of a query string: integers in their one spelling, ``true``, ``false``, names.

    There is no word for nothing: what may be left out is left out.
    """
    try:
        found = msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        raise Malformed(message, path=_pointer(path)) from None
    for name, text in values.items():
        value = getattr(found, name)
        if value is None or (type(value) is int and str(value) != text):
            raise Malformed("an integer has one spelling, and nothing has none", path=name)
    return found


def schemas(kinds: Iterable[type[Any]], template: str) -> tuple[list[Any], dict[str, Any]]:
    """JSON Schemas (2020-12) of record types: one a type, and the components they refer to.

    `template` says where a component lies, as ``#/components/schemas/{name}``.
    """
    found, components = msgspec.json.schema_components(list(kinds), ref_template=template)
    return list(found), components


def builtins(value: object) -> Any:
    """The value as dicts, lists, strings and integers, as it stands in the JSON text."""
    return msgspec.to_builtins(value, order="sorted")


def _pointer(path: str) -> str:
    """Turn msgspec's ``$.items[3].number`` into ``items/3/number``."""
    return (
        path.rstrip("`").lstrip("$").replace("[", "/").replace("]", "").replace(".", "/").strip("/")
    )


def check_plain(value: object, depth_max: int = DEPTH_MAX) -> None:
    """Refuse what the profile lacks in untyped values; typed fields cannot hold it.

    `decode` looks into plain values only: a record with an untyped field checks that field itself.
    """
    if isinstance(value, float):
        raise Malformed("a number with a fraction or exponent")
    if isinstance(value, int) and abs(value) > INTEGER_MAX:
        raise Malformed("an integer beyond 2^53 - 1")
    if isinstance(value, dict | list):
        if not depth_max:
            raise Malformed("nested too deeply")
        if isinstance(value, list):
            members: Iterable[object] = value
        else:
            members = value.values()
            if not all(name.isascii() for name in value):
                raise Malformed("a name that is not ASCII")
        for member in members:
            check_plain(member, depth_max - 1)
