"""Claims out of a file: JSON Lines or one JSON document, or a table with commas and a head line.

Amounts are whole minor units as numbers, or text with two decimals: ``1230`` or ``"12.30"``; in a
table they are text.

Invariant: a line that is not well formed stands in for itself alone. See docs/guides/reimburser.md.
"""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TypeVar

from tallystick.cli.drafts import LINE_BYTES_MAX
from tallystick.cli.failures import Usage, fail
from tallystick.cli.inputs import TEXT_BYTES_MAX, not_json, open_plain, parse_bill
from tallystick.contracts.bills.amounts import parse_amount
from tallystick.contracts.bills.records.bills import format_bill_id
from tallystick.contracts.bills.records.holders import Opening
from tallystick.protocol.canonical import narrow
from tallystick.protocol.errors import Malformed, Rejected

TABLE_SUFFIXES = (".csv",)
LINES_SUFFIXES = (".jsonl", ".ndjson")
MONEY = ("amount",)
DIGESTS = ("decision",)

T = TypeVar("T")
Line = dict[str, Any] | Malformed


@contextmanager
def open_lines(file: Path) -> Iterator[Iterator[Line]]:
    """The lines of a file, ``-`` for JSON Lines on the standard input."""
    with open_plain(file) as opened:
        if file.suffix.lower() in TABLE_SUFFIXES:
            text = TextIOWrapper(opened, "utf-8-sig", errors="replace", newline="")
            try:
                yield _table(text, file)
            finally:
                text.detach()  # whoever opened the file closes it
            return
        first = opened.readline(LINE_BYTES_MAX + 1)
        if file.suffix.lower() in LINES_SUFFIXES or _is_object(first):
            yield _json_lines(first, lambda: opened.readline(LINE_BYTES_MAX + 1))
            return
        data = first + opened.read(TEXT_BYTES_MAX + 1)
        if len(data) > TEXT_BYTES_MAX:
            fail("cli.too_large", "文件过大", "the file is too large; write JSON Lines")
        yield _document(data, file)


def orders(
    lines: Iterable[Line], kind: Callable[..., T], *, names: Iterable[str], given: dict[str, Any]
) -> Iterator[T | Malformed]:
    """An order out of each line; `given` are fields of those that do not name them."""
    known = {*names, "opening_key", "opening_nonce"}
    for line in lines:
        if isinstance(line, Malformed):
            yield line
            continue
        try:
            unknown = sorted(line.keys() - known)
            if unknown:
                raise Malformed(f"there is no field {unknown[0]}", path=unknown[0])
            yield kind(**(given | _typed(line)))
        except Malformed as error:
            yield error
        except TypeError as error:
            missing = str(error).rpartition(": ")[2]
            yield Malformed(f"the field {missing} is missing")


def money(text: str, path: str = "amount") -> int:
    """Minor units of ``12.30``."""
    try:
        return parse_amount(text, path=path)
    except Rejected as error:
        raise Malformed(f"{error.detail}: two decimals", path=path) from None


def opening_of(stated: object, path: str = "opening") -> Opening:
    """An opening as it is delivered: ``{"key": base64, "nonce": base64}``."""
    try:
        return narrow(stated, Opening)
    except Malformed as error:
        raise Malformed(error.detail, path=f"{path}/{error.path}".rstrip("/")) from None


def _typed(line: dict[str, Any]) -> dict[str, Any]:
    """A line's fields as orders have them; empty cells are left out."""
    made: dict[str, Any] = {}
    for name, value in line.items():
        if value in ("", None):
            continue
        if name in ("bill", "paper"):
            made[name] = _bill(value, name)
        elif name in MONEY:
            made[name] = _money(value, name)
        elif name in DIGESTS:
            made[name] = _digest(value, name)
        elif name == "opening":
            made[name] = opening_of(value)
        elif not isinstance(value, str | int) or isinstance(value, bool):
            raise Malformed("expected text", path=name)
        elif name not in ("opening_key", "opening_nonce"):
            made[name] = str(value)
    if line.get("opening_key") or line.get("opening_nonce"):
        parts = {
            name: _bytes(line.get(f"opening_{name}") or "", f"opening_{name}")
            for name in ("key", "nonce")
        }
        made["opening"] = opening_of(
            {name: base64.b64encode(data).decode() for name, data in parts.items()}
        )
    return made


def _bill(value: object, name: str) -> str:
    try:
        return format_bill_id(*parse_bill(str(value)))
    except Usage as error:
        raise Malformed(f"{value}: {error.failure.en}", path=name) from None


def _money(value: object, name: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise Malformed("expected a whole number or text like 12.30", path=name)
    return money(value, name)


def _digest(value: object, name: str) -> bytes:
    data = _bytes(value, name)
    if len(data) != 32:
        raise Malformed("a digest has 64 hex digits", path=name)
    return data


def _bytes(value: object, name: str) -> bytes:
    """Hex, or base64 as records are shown in JSON."""
    text = str(value)
    try:
        return bytes.fromhex(text)
    except ValueError:
        pass
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Malformed("neither hex nor base64", path=name) from None


def _table(text: TextIOWrapper, file: Path) -> Iterator[Line]:
    reader = csv.DictReader(text, strict=True)
    if not reader.fieldnames or "" in reader.fieldnames:
        fail(
            *("cli.table_head", "表格首行应为列名", "a table begins with the names of its columns"),
            detail=str(file),
        )
    while True:
        try:
            line = next(reader, None)
        except csv.Error as error:
            yield Malformed(f"line {reader.line_num} is no line of a table: {error}")
            return
        if line is None:
            return
        if None in line or None in line.values():
            yield Malformed(f"line {reader.line_num} has not as many cells as the first")
        else:
            yield {name.strip(): value.strip() for name, value in line.items()}


def _json_lines(first: bytes, more: Callable[[], bytes]) -> Iterator[Line]:
    line = first
    while line:
        if len(line) > LINE_BYTES_MAX:
            fail("cli.too_large", "行过长", "a line is too long")
        if line.strip():
            yield _object(line)
        line = more()


def _document(data: bytes, file: Path) -> Iterator[Line]:
    try:
        stated = json.loads(data)
    except (ValueError, RecursionError) as error:
        not_json(file, error)
    for each in stated if isinstance(stated, list) else [stated]:
        yield each if isinstance(each, dict) else Malformed("expected an object")


def _object(line: bytes) -> Line:
    try:
        stated = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Malformed(f"not JSON: {error}")
    return stated if isinstance(stated, dict) else Malformed("expected an object")


def _is_object(line: bytes) -> bool:
    return isinstance(_object(line), dict)
