"""What became of many acts: sums, and the first of those to show; every one only in JSON.

Invariant: a million answers take no more memory than a thousand: what `--json` lists waits on the
disk until all is done. See docs/cli.md.
"""

from __future__ import annotations

import shutil
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, Self

from tallystick.cli import out
from tallystick.cli.acting import ACCEPTED, ITEMS_SHOWN_MAX
from tallystick.cli.forms import in_words
from tallystick.cli.reasons import both, explain

if TYPE_CHECKING:
    from tallystick.apps.bills.acts import Issued, Word

SPOOLED_CHARS_MAX = 4 * 1024 * 1024
"""What is kept in memory of a list before it goes to the disk."""


class Listing(ABC):
    """Collects one row an answer, then prints; a context that lets go of its file."""

    KEY = ""
    """Under what name JSON lists the rows."""
    COLUMNS: tuple[str, ...] = ()

    def __init__(self, done_word: str, *, as_json: bool) -> None:
        self.count = 0
        self._done_word = done_word
        self._as_json = as_json
        self._shown: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
        self._refused: Counter[str] = Counter()
        self._rows = SpooledTemporaryFile(  # noqa: SIM115  # closed by __exit__
            SPOOLED_CHARS_MAX, mode="w+", encoding="utf-8"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()

    @property
    def refused(self) -> int:
        """How many were."""
        return self._refused.total()

    @property
    def accepted(self) -> int:
        """How many are on the ledger."""
        return self.count - self.refused

    def add_row(self, outcome: str, row: dict[str, Any]) -> None:
        """The next one, in order."""
        row = {"n": self.count, "outcome": outcome} | row
        if self._as_json:
            self._rows.write(("," if self.count else "") + out.json_text(row))
        shown = self._shown[outcome == ACCEPTED]
        if len(shown) < ITEMS_SHOWN_MAX:
            shown.append(row)
        self.count += 1
        if outcome != ACCEPTED:
            self._refused[outcome] += 1

    def print(self) -> None:
        """One JSON object, or sums and a table: of the refused, else of the first accepted."""
        if self._as_json:
            self._rows.seek(0)
            sys.stdout.write(f'{{"{self.KEY}":[')
            shutil.copyfileobj(self._rows, sys.stdout)
            print(f'],"refused":{self.refused}}}')
            return
        style = "bold yellow" if self.refused else "bold green"
        out.say(f"{self.accepted:,} of {self.count:,} {self._done_word}", style)
        self._print_table()
        for code in self._refused:
            out.say(f"  {code}: {explain(code, out.language())}")
        for line in self.words():
            out.say(line)

    def in_words(self, detail: str) -> str:
        """What is wrong with a field, for who reads it here."""
        return in_words(detail, "en" if self._as_json else out.language())

    @abstractmethod
    def cells(self, row: dict[str, Any]) -> tuple[out.Cell, ...]:
        """A row as the table has it."""

    def words(self) -> Iterable[str]:
        """What else there is to say, line by line."""
        return ()

    def _print_table(self) -> None:
        shown = self._shown[not self.refused]
        title = "refused" if self.refused else self._done_word
        out.table(title, self.COLUMNS, [self.cells(row) for row in shown])
        left = (self.refused or self.count) - len(shown)
        if left:
            out.say(f"… and {left:,} more; --json has all")


class Answers(Listing):
    """Of an issuer's office."""

    KEY = "bills"
    COLUMNS = ("bill", "n#", "entry#", "outcome", "field", "found")

    def __init__(self, done_word: str, *, as_json: bool) -> None:
        super().__init__(done_word, as_json=as_json)
        self._said: Counter[Word | None] = Counter()

    def add(self, answers: Iterable[Issued], said: Iterable[Word | None]) -> None:
        """The next ones, in order."""
        from tallystick.contracts.bills.records.bills import format_bill_id

        for one, word in zip(answers, said, strict=True):
            row = {
                "bill": format_bill_id(one.code, one.number) if one.number else None,
                "entry": one.entry,
                "path": one.path,
                "detail": self.in_words(one.detail),
                "said": word,
            }
            self.add_row(one.outcome, row)
            self._said[word] += 1

    def cells(self, row: dict[str, Any]) -> tuple[out.Cell, ...]:
        return (
            *(row["bill"], row["n"], row["entry"]),
            *(both(row["outcome"]), row["path"], row["detail"]),
        )

    def words(self) -> Iterable[str]:
        from tallystick.apps.bills.acts import WORDS

        for word, (zh, en) in WORDS.items():
            if count := self._said[word]:
                yield f"{zh} {en}: {count:,}"
        if self._said["issuing"]:
            yield "  finance's archive must have their bodies first: tally bills deliver"
            yield "  issued without --deliver-to, nothing is on its way yet: deliver --again"
