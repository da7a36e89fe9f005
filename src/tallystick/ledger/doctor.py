"""The doctor: checks all of a ledger by means that share nothing with how it was written.

Each check reports the first difference that it finds and leaves the rest to the others: a damaged
row does not hide a damaged tile. Nothing is changed. A running ledger is seen as of one moment.
See docs/spec/storage.md.

Invariant: a ledger without a finding follows, byte for byte, from its founding file and its blocks.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import apsw

from tallystick.ledger.feed import read_blocks
from tallystick.ledger.ledger import GENESIS_FILE
from tallystick.ledger.records import Head
from tallystick.ledger.replay import rebuild
from tallystick.ledger.rules import SEEN_ID, Rules, SeenDigest
from tallystick.ledger.sqlite import FILE
from tallystick.ledger.staged import (
    Seen,
    VerifiedRows,
    group_key,
    seen_digest,
    slot_place,
)
from tallystick.ledger.start import CheckedBlock, checked_blocks
from tallystick.ledger.store import Snapshot, read_beside
from tallystick.protocol import page, statemap
from tallystick.protocol.errors import Damaged, TallystickError
from tallystick.protocol.genesis import Genesis, read_genesis
from tallystick.protocol.row import row_hash, row_key
from tallystick.protocol.values import DAY_SECONDS, format_instant, parse_instant

FREE_BYTES_MIN = 1024**3
"""A day of a province's bills; less is said."""
BEHIND_SECONDS_MAX = 300
AHEAD_SECONDS_MAX = 30 * DAY_SECONDS
INTEGRITY_LINES = 5

_RESTORE = (
    "stop the node, keep this folder as it is for later, and import the published blocks (feed or "
    "export) or a newer backup into a new folder"
)
_BROKEN = (
    TallystickError,
    apsw.Error,
    OSError,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
)
"""What a check may meet in a file that can hold anything: its finding, never the doctor's end."""


class Severity(StrEnum):
    """How much a finding matters."""

    DAMAGE = "damage"
    """What is stored is not what was written."""
    WARNING = "warning"
    """It is, but something will go wrong."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be."""

    severity: Severity
    check: str
    file: str
    what: str
    """The first difference."""
    todo: str


@dataclass(slots=True)
class Report:
    """What an examination found."""

    folder: Path
    head: Head | None = None
    rows: int = 0
    checks: list[str] = field(default_factory=list)
    """Those that were made, whatever they found."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged."""
        return all(finding.severity is not Severity.DAMAGE for finding in self.findings)


Progress = Callable[[str, int, int], None]
"""Is told a check, how many blocks or rows of it are done, and of how many."""


def examine(
    folder: Path,
    rules: Rules,
    progress: Progress | None = None,
    *,
    deep: bool = True,
    now: int | None = None,
    scratch: Path | None = None,
) -> Report:
    """Check everything: database, log, rows, idempotency keys, disk, clock and, if `deep`, replay.

    `now` is what the machine's clock says, Unix seconds; `scratch` is where the replay may put a
    ledger as large as this one, by default where temporary files go. Raises `FileNotFoundError`
    where there is no ledger; all else that is wrong is a finding.
    """
    report = Report(folder)
    if not (folder / FILE).exists():
        raise FileNotFoundError(f"{folder} holds no ledger")
    exam = _Examination(report, rules, progress or (lambda check, done, total: None))
    try:
        with read_beside(folder) as snapshot:
            exam.run(snapshot, deep=deep, now=now, scratch=scratch)
    except _BROKEN as error:  # not even its head can be read
        exam.damage("database", str(error))
    return report


class _Examination:
    """One round over one moment of one ledger."""

    def __init__(self, report: Report, rules: Rules, progress: Progress) -> None:
        self.report = report
        self.folder = report.folder
        self.rules = rules
        self.progress = progress

    def damage(self, check: str, what: str, file: str = FILE) -> None:
        finding = Finding(Severity.DAMAGE, check, str(self.folder / file), what, _RESTORE)
        self.report.findings.append(finding)

    def warn(self, check: str, what: str, todo: str) -> None:
        finding = Finding(Severity.WARNING, check, str(self.folder), what, todo)
        self.report.findings.append(finding)

    def run(self, snapshot: Snapshot, *, deep: bool, now: int | None, scratch: Path | None) -> None:
        self._make("database", lambda: self._database(snapshot))
        head = self.report.head = snapshot.head()
        try:
            data = (self.folder / GENESIS_FILE).read_bytes()
            genesis, network = read_genesis(data)
        except (TallystickError, OSError) as error:
            self.damage("founding", str(error), GENESIS_FILE)
            return
        if network != head.network:
            self.damage("founding", f"the ledger is of {head.network.hex()}", GENESIS_FILE)
            return
        self._make("log", lambda: self._log(snapshot, genesis, head))
        self._make("rows", lambda: self._rows(snapshot, head))
        if deep:
            self._make("replay", lambda: self._replay(snapshot, head, data, scratch))
        self._make("disk", self._disk)
        if now is not None:
            self._make("clock", lambda: self._clock(head, now))

    def _make(self, check: str, run: Callable[[], None]) -> None:
        self.report.checks.append(check)
        try:
            run()
        except _BROKEN as error:
            self.damage(check, str(error) or type(error).__name__)

    def _database(self, snapshot: Snapshot) -> None:
        lines = snapshot.all(f"PRAGMA integrity_check({INTEGRITY_LINES:d})")
        if lines != [("ok",)]:
            self.damage("database", "; ".join(str(line[0]) for line in lines))

    def _log(self, snapshot: Snapshot, genesis: Genesis, head: Head) -> None:
        """All leaves against all tiles, all records; and what follows from them: keys seen."""
        seen = _SeenAgain(snapshot, head)
        segments = 0
        for block in checked_blocks(snapshot, parse_instant(genesis.founded_at), 1):
            segments += len(block.transactions)
            seen.add(block)
            self.progress("log", block.record.block, head.block)
        tiles, width = 0, head.size
        while width:
            tiles, width = tiles + -(-width // 256), width >> 8
        counts = {
            "blocks": head.block,
            "segments": segments,
            "tiles": tiles,
            "leaves": -(-head.size // 16),
            "branches": head.size >> 8,
        }
        for table, count in counts.items():
            there = snapshot.one(f"SELECT count(*) FROM {table}")
            if there != count:
                raise Damaged(f"table {table} has {there} rows, the head asks for {count}")
        seen.finish()

    def _rows(self, snapshot: Snapshot, head: Head) -> None:
        """The map and the pages made again out of the rows alone."""
        total = snapshot.one("SELECT count(*) FROM rows") + snapshot.one(
            "SELECT count(*) FROM slots"
        )
        changes: dict[bytes, bytes | None] = {}
        groups = 0
        for code, at, slots in _pages(snapshot):
            root, made = page.update(lambda group: None, slots)
            _check_page(snapshot, code, at, made)
            changes[statemap.key_hash(page.page_key(code, at))] = page.page_hash(root)
            self.report.rows += len(slots)
            groups += len(made)
            self.progress("rows", self.report.rows, total)
        if snapshot.one("SELECT count(*) FROM page_groups") != groups:
            raise Damaged("table page_groups has groups of pages that have no row")
        for key, data in snapshot.iterate("SELECT key, data FROM rows ORDER BY key"):
            changes[statemap.key_hash(key)] = row_hash(data)
            self.report.rows += 1
        self.progress("rows", self.report.rows, total)
        root, map_groups = statemap.update(lambda prefix: None, changes)
        if root != head.state:
            self._name_the_row(snapshot, head)
            raise Damaged(f"the rows give state root {root.hex()}, the head has {head.state.hex()}")
        _check_map(snapshot, map_groups)

    def _name_the_row(self, snapshot: Snapshot, head: Head) -> None:
        """Raise `Damaged` with the first row that does not lead to the root."""
        proofs = VerifiedRows(snapshot, head.state)
        for key, data in snapshot.iterate("SELECT key, data FROM rows ORDER BY key"):
            proofs.check(key, data)

    def _replay(self, snapshot: Snapshot, head: Head, genesis: bytes, scratch: Path | None) -> None:
        """Every block executed again, in a folder that is thrown away."""
        wanted = snapshot.path.stat().st_size * 3 // 2
        with tempfile.TemporaryDirectory(prefix="tallystick-doctor-", dir=scratch) as name:
            free = shutil.disk_usage(name).free
            if free < wanted:
                self.report.checks.remove("replay")
                self.warn(
                    "replay",
                    f"not made: it needs {wanted} bytes in {Path(name).parent}, {free} are free",
                    "name another folder for it",
                )
                return
            try:
                end = rebuild(
                    Path(name),
                    genesis,
                    self.rules,
                    read_blocks(snapshot, 1),
                    lambda block: self.progress("replay", block.block, head.block),
                )
            except (OSError, apsw.FullError) as error:
                self.warn("replay", f"not finished: {error}", "name another folder for it")
                return
        if end != head:
            raise Damaged("the head is not the one that the blocks lead to")

    def _disk(self) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < max(FREE_BYTES_MIN, (self.folder / FILE).stat().st_size // 10):
            self.warn("disk", f"{free} bytes are free", "make room: a full disk stops the node")

    def _clock(self, head: Head, now: int) -> None:
        told = f"the clock says {format_instant(now)}, the last block {format_instant(head.at)}"
        if not head.at - BEHIND_SECONDS_MAX <= now <= head.at + AHEAD_SECONDS_MAX:
            self.warn("clock", told, "set the clock, or confirm it if it is right")


class _SeenAgain:
    """The digest and the tables of idempotency keys, as they follow from the transactions."""

    def __init__(self, snapshot: Snapshot, head: Head) -> None:
        self._snapshot = snapshot
        self._head = head
        self._days = snapshot.days()
        self._digest = bytes(32)
        self._count = 0
        self._kept: dict[int, int] = {}

    def add(self, block: CheckedBlock) -> None:
        for segment, parts, tx_id in block.transactions:
            header = parts.header
            day = parse_instant(header.valid_until) // DAY_SECONDS
            seen = Seen(day, header.sender, header.idempotency, tx_id, segment.first)
            self._digest = seen_digest(self._digest, seen)
            self._count += 1
            if (day + 1) * DAY_SECONDS > self._head.at:
                self._kept[day] = self._kept.get(day, 0) + 1
                self._look_up(seen)

    def finish(self) -> None:
        if self._days != sorted(self._kept):
            raise Damaged(f"idempotency keys of days {self._days}, not {sorted(self._kept)}")
        for day, count in self._kept.items():
            there = self._snapshot.one(f"SELECT count(*) FROM seen_{day:d}")
            if there != count:
                raise Damaged(f"table seen_{day} has {there} rows, the log asks for {count}")
        rows = VerifiedRows(self._snapshot, self._head.state)
        row = rows.get(row_key(SeenDigest.KIND, SEEN_ID), SeenDigest)
        if self._count and (row is None or row.digest != self._digest):
            raise Damaged("the digest of transactions seen is not that of the log")

    def _look_up(self, seen: Seen) -> None:
        there = None
        if seen.day in self._days:
            there = self._snapshot.all(
                f"SELECT tx, first FROM seen_{seen.day:d} WHERE sender = ? AND key = ?",
                *(seen.sender, seen.key),
            )
        if there != [(bytes.fromhex(seen.tx_id), seen.first)]:
            raise Damaged(
                f"table seen_{seen.day} has not, or has another, transaction {seen.tx_id} "
                f"of entry {seen.first}"
            )


def _pages(snapshot: Snapshot) -> Iterator[tuple[int, int, dict[int, bytes]]]:
    """Code, page, and the hash of each taken slot, page by page."""
    place: tuple[int, int] | None = None
    slots: dict[int, bytes] = {}
    for key, data in snapshot.iterate("SELECT key, data FROM slots ORDER BY key"):
        code, at, slot = slot_place(key)
        if place is not None and (code, at) != place:
            yield *place, slots
            slots = {}
        place = code, at
        slots[slot] = page.slot_hash(data)
    if place is not None:
        yield *place, slots


def _check_page(snapshot: Snapshot, code: int, at: int, made: dict[int, bytes]) -> None:
    """The stored groups of a page are those that its rows give."""
    base = group_key(code, at, 0)
    stored = {
        key - base: data
        for key, data in snapshot.all(
            "SELECT key, data FROM page_groups WHERE key BETWEEN ? AND ?", base, base + 511
        )
    }
    for group in sorted(made.keys() | stored.keys()):
        a, b = made.get(group, page.EMPTY_GROUP), stored.get(group, b"")
        if a == b:
            continue
        if group << 4 >= page.SLOTS:
            raise Damaged(f"page {at} of code {code}: group {group} is not what its slots give")
        slot = next(n for n in range(16) if a[n * 32 : n * 32 + 32] != b[n * 32 : n * 32 + 32])
        number = at * page.SLOTS + (group << 4) + slot
        raise Damaged(f"number {number} of code {code}: row and hash do not agree")


def _check_map(snapshot: Snapshot, made: dict[bytes, bytes]) -> None:
    """The stored groups of the map are those that the rows give."""
    stored = 0
    for prefix, data in snapshot.iterate("SELECT prefix, data FROM map_groups ORDER BY prefix"):
        stored += 1
        if made.get(prefix) != data:
            raise Damaged(
                f"group {prefix.hex() or 'at the root'} of the map is not as the rows say"
            )
    if stored != len(made):
        raise Damaged(f"the map has {stored} groups, the rows ask for {len(made)}")
