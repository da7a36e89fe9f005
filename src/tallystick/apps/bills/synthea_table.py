"""One CSV file of a Synthea export, read strictly: whoever reads a field gets a sound value.

Every complaint is one `ExportDamaged`, which names file, line and column and repeats no value: the
files are about people. The sizes of file, line, field and row count are bounded.

Invariant: a line that was cut, a row with too many or too few fields, and bytes that are no text
never become a value. See docs/guides/synthea.md.
"""

from __future__ import annotations

import csv
import re
from calendar import timegm
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from tallystick.contracts.bills.amounts import parse_amount
from tallystick.protocol.errors import Malformed, Rejected

FILE_BYTES_MAX = 512 * 1024 * 1024
LINE_BYTES_MAX = 64 * 1024
FIELD_MAX = 2_000
"""Characters of any field, read or not."""
TEXT_MAX = 500
"""Characters of a field that becomes a text of a bill."""
ROWS_MAX = 1_000_000

_REFERENCE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_CODE = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,39}", re.ASCII)
_COUNT = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_INSTANT = "%Y-%m-%dT%H:%M:%SZ"


class ExportDamaged(Malformed):
    """A file of the export is not what Synthea writes; nothing of the export may be used."""

    def __init__(self, file: str, line: int, column: str, detail: str) -> None:
        place = ":".join(part for part in (file, str(line) if line else "", column) if part)
        super().__init__(detail, path=place)
        self.file = file
        self.line = line
        self.column = column

    def __str__(self) -> str:
        line = f", line {self.line}" if self.line else ""
        column = f", column {self.column}" if self.column else ""
        return f"{self.file}{line}{column}: {self.detail}"


class Line:
    """One row: asked for a column, it gives a value of the wanted kind or raises."""

    __slots__ = ("_fields", "file", "number")

    def __init__(self, file: str, number: int, fields: dict[str, str]) -> None:
        self.file = file
        self.number = number
        self._fields = fields

    def wrong(self, column: str, detail: str) -> ExportDamaged:
        """What to raise about one of its fields."""
        return ExportDamaged(self.file, self.number, column, detail)

    def blank(self, column: str) -> bool:
        """Whether nothing stands there."""
        return not self._fields[column]

    def text(self, column: str, *, optional: bool = False) -> str:
        """A text for people to read."""
        text = self._fields[column]
        if not text and not optional:
            raise self.wrong(column, "is empty")
        if len(text) > TEXT_MAX:
            raise self.wrong(column, f"{len(text)} characters, limit {TEXT_MAX}")
        return text

    def reference(self, column: str) -> str:
        """The id of a row, of this table or of another."""
        return self._shaped(column, _REFERENCE, "an id like 57f2562b-445c-f11c-ba40-edc55af3c84f")

    def code(self, column: str) -> str:
        """A code of some code system."""
        return self._shaped(column, _CODE, "a code of 1 to 40 letters and digits")

    def count(self, column: str) -> int:
        """A number of things."""
        return int(self._shaped(column, _COUNT, "a count"))

    def choice(self, column: str, allowed: Sequence[str]) -> str:
        """One of a few words."""
        text = self._fields[column]
        if text not in allowed:
            names = ", ".join(word or "nothing" for word in allowed)
            raise self.wrong(column, f"is none of {names}")
        return text

    def cents(self, column: str, *, optional: bool = False, signed: bool = False) -> int:
        """Money with two decimals, in minor units; nothing counts as zero where that may stand."""
        text = self._fields[column]
        if not text and optional:
            return 0
        if optional and text == "0":  # the columns OUTSTANDING of a claim
            return 0
        try:
            amount = parse_amount(text)
        except Rejected:
            raise self.wrong(column, "is not an amount like 993.54") from None
        if amount < 0 and not signed:
            raise self.wrong(column, "is negative")
        return amount

    def day(self, column: str) -> str:
        """The day, in UTC, of an instant; of any year."""
        self.instant(column)
        return self._fields[column][:10]

    def instant(self, column: str) -> int:
        """An instant, in seconds since 1970: of any year, so it may be negative."""
        text = self._fields[column]
        try:
            moment = datetime.strptime(text, _INSTANT)  # noqa: DTZ007 - the texts are in UTC
        except ValueError:
            raise self.wrong(column, "is not an instant like 2026-01-31T09:00:00Z") from None
        if moment.strftime(_INSTANT) != text:
            raise self.wrong(column, "is not an instant like 2026-01-31T09:00:00Z")
        return timegm(moment.timetuple())

    def _shaped(self, column: str, pattern: re.Pattern[str], what: str) -> str:
        text = self._fields[column]
        if pattern.fullmatch(text) is None:
            raise self.wrong(column, "is empty" if not text else f"is not {what}")
        return text


def read_table(folder: Path, file: str, columns: Sequence[str]) -> Iterator[Line]:
    """The rows of one file in their order; columns that nobody asked for may stand in it too."""
    path = folder / file
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ExportDamaged(file, 0, "", f"more than {FILE_BYTES_MAX} bytes")
        with path.open("rb") as stream:
            lines = _lines(stream, file)
            header = next(lines, None)
            if header is None:
                raise ExportDamaged(file, 1, "", "is empty")
            names = _fields(file, *header)
            _check_header(file, names, columns)
            for number, text in lines:
                if number > ROWS_MAX + 1:
                    raise ExportDamaged(file, number, "", f"more than {ROWS_MAX} rows")
                fields = _fields(file, number, text)
                if len(fields) != len(names):
                    column = names[min(len(fields), len(names) - 1)]
                    detail = f"{len(fields)} fields, the header has {len(names)}"
                    raise ExportDamaged(file, number, column, detail)
                for column, field in zip(names, fields, strict=True):
                    if len(field) > FIELD_MAX:
                        raise ExportDamaged(file, number, column, f"longer than {FIELD_MAX}")
                yield Line(file, number, dict(zip(names, fields, strict=True)))
    except OSError as error:
        raise ExportDamaged(file, 0, "", error.strerror or "cannot be read") from None


def read_by_id(folder: Path, file: str, columns: Sequence[str], key: str) -> dict[str, Line]:
    """A whole table by the id of its rows, in their order; an id stands once."""
    found: dict[str, Line] = {}
    for line in read_table(folder, file, columns):
        name = line.reference(key)
        if name in found:
            raise line.wrong(key, f"stands in line {found[name].number} too")
        found[name] = line
    return found


def _lines(stream: BinaryIO, file: str) -> Iterator[tuple[int, str]]:
    """Numbered lines without their ends. Synthea ends every line: one without an end was cut."""
    number = 0
    while data := stream.readline(LINE_BYTES_MAX):
        number += 1
        if not data.endswith(b"\n"):
            cut = len(data) < LINE_BYTES_MAX
            detail = "the file ends within it" if cut else f"more than {LINE_BYTES_MAX} bytes"
            raise ExportDamaged(file, number, "", detail)
        try:
            text = data.removesuffix(b"\n").removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            detail = f"byte {error.start + 1} is no UTF-8"
            raise ExportDamaged(file, number, "", detail) from None
        if control := _CONTROL.search(text):
            detail = f"character U+{ord(control[0]):04X}"
            raise ExportDamaged(file, number, "", detail)
        yield number, text


def _fields(file: str, number: int, text: str) -> list[str]:
    """A line's fields. Each line stands for itself: a quoted field never goes on in the next."""
    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise ExportDamaged(file, number, "", str(error)) from None


def _check_header(file: str, names: Sequence[str], columns: Sequence[str]) -> None:
    for n, name in enumerate(names):
        if name in names[:n]:
            raise ExportDamaged(file, 1, name, "stands twice")
    for name in columns:
        if name not in names:
            raise ExportDamaged(file, 1, name, "is missing")
