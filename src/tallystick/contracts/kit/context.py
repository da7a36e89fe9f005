"""All that an action may know and touch.

Invariant: an action reads and writes the state only through its context; the clock is the block's;
there is no I/O and no chance. See docs/spec/contracts/kit.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from tallystick.contracts.kit.reasons import ReasonText
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Reason, Rejected
from tallystick.protocol.genesis import Genesis
from tallystick.protocol.keys import Signed
from tallystick.protocol.row import Row, row_key
from tallystick.protocol.transaction import Item

R = TypeVar("R", bound=Row)

NUMBERS_PER_CODE = 10**10
"""Ten digits: a slot's key is code * 10^10 + number, an integer that ascends with the numbers."""

FOUNDING_INDEX = -1
"""`Context.index` while the founding file is written: no entry made those rows."""

VALID_SECONDS_MAX = 72 * 3600
"""How far ahead of ledger time a transaction may end, unless its action says more: its idempotency
key is kept so long."""

UNSALTED = b""
"""In place of an item hash: the row holds a commitment that nobody can guess, its hash hides it."""

Key = str | int
"""A row's key: ``<kind>/<id>`` in the map, an integer for a slot of a page."""


def slot_key(code: int, number: int) -> int:
    """The integer under which a numbered thing is stored."""
    return code * NUMBERS_PER_CODE + number


class Reader(Protocol):
    """Reading rows at one moment: what views and the READ part of actions use."""

    def get(self, key: Key, kind: type[R]) -> R | None:
        """The row under `key`, typed as `kind`, or None."""

    def scan(self, kind: type[R], prefix: str) -> Iterator[R]:
        """Rows of the map whose id starts with `prefix`, by id. For views, never for actions."""

    def scan_slots(self, kind: type[R], code: int, first: int, last: int) -> Iterator[R]:
        """Numbered rows in [first, last], by number. For views, never for actions."""


class State(Protocol):
    """What an action writes to: staged, undone when the item is refused."""

    def get(self, key: Key, kind: type[R]) -> R | None:
        """The row under `key` as this block has it so far, or None."""

    def set(self, key: Key, row: Row, item_hash: bytes) -> None:
        """Stage a row; `item_hash` salts it when the block is sealed."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The same for every item of a block."""

    network: bytes
    region: int
    utc_offset_seconds: int
    block: int
    block_time: int
    """Unix seconds; the only clock there is."""
    cleared: frozenset[bytes] = frozenset()
    """Signatures within items that whoever executes has verified before: `acts.signature_id`."""


@dataclass(slots=True)
class Context:
    """One item's world. `n`, `index` and `item_hash` move on from item to item of a transaction."""

    state: State
    env: Environment
    sender: str
    key: bytes
    action: str
    tx_id: str
    n: int = 0
    index: int = 0
    """Log index that this item's entry will have."""
    item_hash: bytes = b""
    memo: dict[str, Any] = field(default_factory=dict)
    """What holds for every item of one transaction: looked up once (authority, rules). Only what no
    item of the same action can change may lie here; a refused item does not undo it."""

    @property
    def block_time(self) -> int:
        """Unix seconds of the block."""
        return self.env.block_time

    @property
    def item_id(self) -> str:
        """The id of a thing that this item makes and that has no number of its own."""
        return f"{self.tx_id}.{self.n}"

    def find(self, kind: type[R], row_id: str) -> R | None:
        """The row of the map with this id, or None."""
        return self.state.get(row_key(kind.KIND, row_id), kind)

    def fetch(self, kind: type[R], row_id: str, reason: Reason, path: str = "") -> R:
        """The row of the map with this id; refuses the item with `reason` when there is none."""
        row = self.state.get(row_key(kind.KIND, row_id), kind)
        if row is None:
            raise Rejected(reason, f"no {kind.KIND} {row_id}", path=path)
        return row

    def find_slot(self, kind: type[R], code: int, number: int) -> R | None:
        """What befell a number, or None."""
        return self.state.get(slot_key(code, number), kind)

    def put(self, row: R, /, **changes: Any) -> R:
        """Stage a row of the map, with `changes` applied; counts its versions."""
        return self._put(row_key(row.kind, row.id), row, changes)

    def put_slot(self, code: int, number: int, row: R, /, **changes: Any) -> R:
        """Stage what befell a number, with `changes` applied."""
        return self._put(slot_key(code, number), row, changes)

    def _put(self, key: Key, row: R, changes: dict[str, Any]) -> R:
        if row.version == 0 and self.index >= 0:
            changes["entry"] = self.index
        row = replace(row, version=row.version + 1, **changes)
        self.state.set(key, row, self.item_hash)
        return row


Run = Callable[[Context, Any], None]
"""An action: READ, CHECK (raises `Rejected`), WRITE."""


@dataclass(frozen=True, slots=True)
class Action:
    """One version of one action."""

    item: type[Item]
    run: Run
    work: int = 1
    """Units of a block's budget an item costs: 1, or 8 for a signature within."""
    signed: Callable[[bytes, str, Any], Signed | None] | None = None
    """The signature within an item of a network and an action: so that it can be verified ahead."""
    from_block: int = 0
    until_block: int | None = None
    valid_seconds_max: int = VALID_SECONDS_MAX
    """A transaction of this action may be made so long before it reaches the ledger."""


@dataclass(frozen=True, slots=True)
class Domain:
    """One contract folder, whole: the one table that says it all."""

    name: str
    actions: Mapping[str, Action]
    """``bills.issue/1`` to its code; a released version is never edited."""
    rows: tuple[type[Row], ...]
    reasons: type[Reason]
    texts: Mapping[Reason, ReasonText]
    """Each refusal in Chinese and English, with what to do."""
    found: Callable[[Context, Genesis], None] | None = None
    """Writes the domain's first rows out of the founding file."""
