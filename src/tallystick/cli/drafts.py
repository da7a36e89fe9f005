"""Drafts of bills out of a file: one JSON document, or JSON Lines of any length, one draft a line.

Invariant: of a file of lines no more than one line is held in memory, and a draft that is not well
formed stands in for itself alone. See docs/guides/office.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tallystick.cli.failures import fail
from tallystick.cli.inputs import TEXT_BYTES_MAX, not_json, open_plain
from tallystick.contracts.bills.body import Body
from tallystick.protocol.canonical import DOCUMENT_BYTES_MAX, check_plain, narrow, replace
from tallystick.protocol.errors import Malformed

LINE_BYTES_MAX = DOCUMENT_BYTES_MAX
"""No body may be longer."""
LINES_SUFFIXES = (".jsonl", ".ndjson")


@dataclass(frozen=True, slots=True)
class Drafts:
    """What a file holds, in order; a `Malformed` in place of what is no draft."""

    each: Iterator[Body | Malformed]
    count: int | None
    """None: not known before the last line is read."""


@contextmanager
def open_drafts(file: Path) -> Iterator[Drafts]:
    """The drafts of a file, ``-`` for the standard input; network and number are the office's.

    Lines, if the name says so or the first line is a draft by itself; else one document.
    """
    with open_plain(file) as opened:
        first = opened.readline(TEXT_BYTES_MAX + 1)
        if file.suffix in LINES_SUFFIXES or _is_object(first):
            yield Drafts(drafts_of(_lines(first, opened)), None)
            return
        listed = _listed(first, opened, file)
        yield Drafts(drafts_of(listed), len(listed))


def read_draft(file: Path) -> Body:
    """The one draft of a file."""
    with open_drafts(file) as drafts:
        one = next(drafts.each, None)
        if one is None or next(drafts.each, None) is not None:
            fail("cli.one_draft", "只能用一张新票替换", "one bill is replaced by one draft")
    if isinstance(one, Malformed):
        raise one
    return one


def _listed(first: bytes, opened: BinaryIO, file: Path) -> list[Any]:
    """A document of one draft or a list of them."""
    data = first + opened.read(TEXT_BYTES_MAX + 1 - len(first))
    if len(data) > TEXT_BYTES_MAX:
        fail(
            *("cli.too_large", "文件过大", "the file is too large for one JSON document"),
            todo=(
                "改用 JSON Lines：每行一张草稿，文件大小不限",
                "write JSON Lines, one draft a line: such a file may be of any length",
            ),
            detail=f"{file}: more than {TEXT_BYTES_MAX:,} bytes",
        )
    try:
        stated = json.loads(data)
    except (ValueError, RecursionError) as error:
        not_json(file, error)
    listed = stated if isinstance(stated, list) else [stated]
    if not listed or not isinstance(stated, dict | list):
        fail(
            *("cli.drafts", "应为一个或多个 JSON 对象", "a draft is a JSON object, or a list of"),
            detail=str(file),
        )
    return listed


def _lines(first: bytes, opened: BinaryIO) -> Iterator[Any]:
    """What each line says; a `Malformed` for one that says nothing; blank ones are passed over."""
    line = first
    while line:
        if len(line) > LINE_BYTES_MAX:
            while line and not line.endswith(b"\n"):
                line = opened.readline(LINE_BYTES_MAX)
            yield Malformed(f"a line of more than {LINE_BYTES_MAX:,} bytes")
        elif line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                yield Malformed(f"not JSON: {error}")
        line = opened.readline(LINE_BYTES_MAX + 1)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def drafts_of(stated: Iterable[Any]) -> Iterator[Body | Malformed]:
    """Drafts out of plain values, each standing in for itself alone."""
    for one in stated:
        if isinstance(one, Malformed):
            yield one
        elif not isinstance(one, dict):
            yield Malformed("a draft is a JSON object")
        else:
            try:
                draft = narrow(_filled_in(one), Body)
                check_plain(one)  # what no field's type looks into
                yield replace(draft, network=b"", number=0)
            except Malformed as error:
                yield error


def _filled_in(draft: dict[str, Any]) -> dict[str, Any]:
    """A draft with what the office sets later, and what follows from its code."""
    code = draft.get("code", 0)
    known = {"network": "A" * 43 + "=", "number": 1, "kind": "blue", "ordinal": 1}
    if isinstance(code, int):
        known["type"] = code // 100
    return known | draft | {"network": "A" * 43 + "=", "number": 1}
