"""One value has one byte string, and every other spelling is refused with `Malformed`.

Invariant: whatever bytes come, `decode` returns a value or raises `Malformed`; nothing else.
See docs/spec/encoding.md.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from typing import Annotated, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tallystick
from tallystick.protocol.canonical import (
    DEPTH_MAX,
    DOCUMENT_BYTES_MAX,
    INTEGER_MAX,
    Meta,
    Record,
    builtins,
    check_plain,
    decode,
    encode,
    narrow,
    parse,
    replace,
)
from tallystick.protocol.errors import Malformed
from tallystick.protocol.values import Digest

NAMES = st.text(st.characters(max_codepoint=0x7F), max_size=8)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


class Inner(Record):
    digest: Digest
    small: Annotated[int, Meta(ge=0, le=9)] = 0


class Outer(Record):
    inner: list[Inner]
    note: str = ""
    flag: bool = False
    maybe: str | None = None
    more: dict[str, int] = {}


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@given(st.dictionaries(NAMES, PLAIN, max_size=5))
def test_what_was_encoded_decodes_to_itself(value: dict[str, Any]) -> None:
    data = encode(value)
    assert decode(data, dict[str, Any]) == value
    assert encode(decode(data, dict[str, Any])) == data


@given(st.dictionaries(NAMES, PLAIN, max_size=5))
def test_another_implementation_writes_the_same_bytes(value: dict[str, Any]) -> None:
    theirs = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert encode(value) == theirs.encode()


@given(st.dictionaries(NAMES, PLAIN, min_size=1, max_size=4), st.data())
def test_white_space_and_other_bytes_are_refused_or_another_value(
    value: dict[str, Any], data: st.DataObject
) -> None:
    good = encode(value)
    at = data.draw(st.integers(0, len(good) - 1))
    changed = bytearray(good)
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        other = decode(bytes(changed), dict[str, Any])
    except Malformed:
        return
    assert encode(other) == bytes(changed) != good


@given(st.binary(max_size=60))
@example(b"\xef\xbb\xbf{}")
@example(b"{")
def test_noise_is_malformed_or_canonical(noise: bytes) -> None:
    for kind in (dict[str, Any], Outer, list[Any]):
        try:
            value = decode(noise, kind)
        except Malformed:
            continue
        assert encode(value) == noise


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        '{"a":1} ',
        '{"a":1}\n',
        '{"b":1,"a":2}',
        '{"a":1,"a":1}',
        '{"a":1,"a":2}',
        '{"a":1.0}',
        '{"a":1e2}',
        '{"a":1E400}',
        '{"a":-0}',
        '{"a":01}',
        '{"a":+1}',
        '{"a":NaN}',
        '{"a":Infinity}',
        '{"a":9007199254740992}',
        '{"a":-9007199254740992}',
        '{"a":18446744073709551616}',
        '{"a":"\\u0041"}',
        '{"a":"\\u001F"}',
        '{"a":"\\/"}',
        '{"a":"\\ud800"}',
        '{"a":"\\ud83d\\ude00"}',
        '{"\\ud800":1}',
        '{"é":1}',
        '{"a":1}{"a":1}',
        '{"a":1}\x00',
        "{'a':1}",
        '{"a":1,}',
        '{"a":tru}',
        "null",
        "[]",
        "",
        '{"a":' + "9" * 5_000 + "}",
    ],
)
def test_other_spellings(text: str) -> None:
    with pytest.raises(Malformed):
        decode(text.encode(), dict[str, Any])


@pytest.mark.parametrize(
    "data", [b'{"a":"\xff"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xc0\xaf"}', b'{"\xff":1}']
)
def test_bad_utf8(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data, dict[str, Any])


@pytest.mark.parametrize("depth", [DEPTH_MAX + 1, 900, 1_500, 100_000])
def test_deep_nesting_is_malformed_whatever_the_stack(depth: int) -> None:
    def deeper(frames: int) -> None:
        if frames:
            deeper(frames - 1)
            return
        with pytest.raises(Malformed):
            decode(nested(depth), list[Any])

    deeper(0)
    deeper(300)
    with pytest.raises(Malformed):
        decode(b'{"a":' * depth + b"1" + b"}" * depth, dict[str, Any])


def test_the_depth_that_is_allowed_is_allowed() -> None:
    assert encode(decode(nested(DEPTH_MAX), list[Any])) == nested(DEPTH_MAX)


def test_numbers_reach_to_the_last_exact_integer() -> None:
    data = b'{"a":9007199254740991,"b":-9007199254740991}'
    assert decode(data, dict[str, Any]) == {"a": INTEGER_MAX, "b": -INTEGER_MAX}


def test_documents_have_a_limit() -> None:
    with pytest.raises(Malformed, match="more than"):
        parse(b" " * (DOCUMENT_BYTES_MAX + 1), dict[str, Any])


def test_records_are_closed_and_leave_out_defaults() -> None:
    record = Outer(inner=[Inner(digest=bytes(32))])
    data = encode(record)
    assert data == b'{"inner":[{"digest":"' + b"A" * 43 + b'="}]}'
    assert decode(data, Outer) == record
    assert replace(record, note="x").note == "x"
    assert builtins(record) == {"inner": [{"digest": "A" * 43 + "="}]}
    other_base64 = data.replace(b"A=", b"B=")
    changed = [data[:-1] + b',"%s}' % more for more in (b'note":""', b'other":1', b'maybe":null')]
    changed += [b'{"flag":false,' + data[1:], data[:-1] + b',"more":{}}', other_base64]
    for other in changed:
        with pytest.raises(Malformed):
            decode(other, Outer)


def test_the_place_of_a_fault_is_named() -> None:
    with pytest.raises(Malformed) as caught:
        decode(b'{"inner":[{"digest":"","small":1}]}', Outer)
    assert caught.value.path == "inner/0/digest"
    with pytest.raises(Malformed) as caught:
        narrow({"inner": [{"digest": "A" * 43 + "=", "small": 10}]}, Outer)
    assert str(caught.value).startswith("inner/0/small: ")


def test_narrow_types_what_was_parsed() -> None:
    assert narrow({"inner": []}, Outer) == Outer(inner=[])


def test_plain_values_only() -> None:
    for bad in (0.5, {"a": [1.5]}, [2**53], {"\N{SNOWMAN}": 1}):
        with pytest.raises(Malformed):
            check_plain(bad)
    check_plain({"a": [True, None, "\N{SNOWMAN}", -(2**53) + 1]})


def records() -> list[type[Record]]:
    for module in pkgutil.walk_packages(tallystick.__path__, "tallystick."):
        if module.name.split(".")[1] != "cli":
            importlib.import_module(module.name)
    found, waiting = [], [Record]
    while waiting:
        found.append(waiting.pop())
        waiting += found[-1].__subclasses__()
    return [kind for kind in found if kind.__module__.startswith("tallystick.")]


def test_defaults_are_such_that_equal_records_have_equal_bytes() -> None:
    """msgspec leaves out a default by identity: another object of equal value would be written."""
    wrong = []
    for kind in records():
        defaults = kind.__struct_defaults__
        names = kind.__struct_fields__[len(kind.__struct_fields__) - len(defaults) :]
        for name, default in zip(names, defaults, strict=True):
            if isinstance(default, int) and -5 <= default <= 256:
                continue
            if isinstance(default, bytes | str | int) and default not in (b"", ""):
                wrong.append(f"{kind.__module__}.{kind.__name__}.{name}")
    assert wrong == []
