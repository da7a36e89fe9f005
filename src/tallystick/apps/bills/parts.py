"""Where whoever reimburses keeps the fields of bills that it was sent, and how they come in.

A letter is opened, held against the record and the right on a ledger that we executed ourselves,
and kept encrypted, under a key of its own; so an erasure reaches it.

Invariant: a part is kept only once the record's root commits to it, the fields are those that the
holder allowed us, and the right holds. See docs/spec/delivery.md.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tallystick.apps.bills.erasing import find_holder
from tallystick.apps.bills.sharing import CLAIM, Part, fields_of, find_right
from tallystick.apps.bills.showing import check_allowed, verify_open, verify_shown
from tallystick.contracts.bills.records.bills import format_bill_id, parse_bill_id
from tallystick.contracts.bills.views.accounts import find_erasure
from tallystick.contracts.bills.views.bills import find_bill
from tallystick.ledger.view import Reading
from tallystick.protocol.body import SECRET_BYTES, parse_disclosure
from tallystick.protocol.canonical import decode, encode
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.vault import Erased, Kept, mail, open_delivery, post, reads
from tallystick.vault.ciphers import Ciphers
from tallystick.vault.files import Files
from tallystick.vault.kept import Business

WAIT_SECONDS_MAX = 86_400
"""How long a letter about what our ledger does not have yet stays in the box."""

_SCHEMA = f"""
    CREATE TABLE IF NOT EXISTS parts (
        id INTEGER PRIMARY KEY, code INTEGER NOT NULL, number INTEGER NOT NULL,
        act TEXT NOT NULL, cell INTEGER NOT NULL, at INTEGER NOT NULL, UNIQUE (code, number, act)
    );
    CREATE TABLE IF NOT EXISTS business (key BLOB PRIMARY KEY) WITHOUT ROWID;
    {post.SCHEMA}
    {reads.SCHEMA}
"""


@dataclass(slots=True)
class Took:
    """What one look into the box did; texts name bills."""

    kept: list[str] = field(default_factory=list)
    waiting: int = 0
    refused: list[str] = field(default_factory=list)
    """Why letters were thrown away."""
    erased: list[str] = field(default_factory=list)


class Parts(Kept):
    """The parts of bills that one reimburser was sent."""

    KIND = "parts"
    SCHEMA = _SCHEMA

    @classmethod
    def open(cls, folder: Path, key: bytes) -> Self:
        """Open them in `folder` under their 32-byte key, making the files if need be."""
        return cls(Files(folder, Ciphers(key), cls.KIND, cls.SCHEMA))

    def put(self, part: Part, *, at: int) -> bool:
        """Keep a part that was judged; whether it is new. Nothing of a bill that was erased."""
        place, act = parse_bill_id(part.bill), _act_of(part)
        if place in self.erasures:
            return False
        with self._files.transaction(with_keys=True) as db:
            known = self._files.query(
                "SELECT 1 FROM parts WHERE code = ? AND number = ? AND act = ?", (*place, act)
            )
            if known:
                return False
            secret = secrets.token_bytes(SECRET_BYTES)
            cell = self._files.add_cell(encode(part), secret, _label(*place, act))
            db.execute(
                "INSERT INTO parts (code, number, act, cell, at) VALUES (?, ?, ?, ?, ?)",
                (*place, act, cell, at),
            )
        return True

    def of(self, bill_id: str) -> list[Part]:
        """What we were sent of a bill, the oldest first."""
        place = parse_bill_id(bill_id)
        rows = self._files.query(
            "SELECT act, cell FROM parts WHERE code = ? AND number = ? ORDER BY id", place
        )
        return [
            decode(self._files.read_cell(cell, _label(*place, act))[0], Part) for act, cell in rows
        ]

    def bills(self) -> list[str]:
        """Of which bills there is something."""
        rows = self._files.query("SELECT DISTINCT code, number FROM parts ORDER BY code, number")
        return [format_bill_id(code, number) for code, number in rows]

    def _erase_within(self, code: int, number: int) -> tuple[list[int], list[bytes]]:
        rows = self._files.query(
            "SELECT cell FROM parts WHERE code = ? AND number = ?", (code, number)
        )
        self._files.db.execute("DELETE FROM parts WHERE code = ? AND number = ?", (code, number))
        return [cell for (cell,) in rows], []

    def _delivered(self, code: int, number: int) -> list[int]:
        return []  # whoever reimburses hands nothing on

    def _index_again(self, business: Business) -> None:
        """There is no index of parts."""


class PartLetters:
    """A reimburser's desk where parts come in. For one thread."""

    def __init__(
        self,
        parts: Parts,
        *,
        org: str,
        network: bytes,
        keys: Mapping[bytes, X25519PrivateKey],
        box: Path,
        view: Callable[[], AbstractContextManager[Reading]],
        clock: Callable[[], int],
    ) -> None:
        """`keys`: its delivery keys by public key; `box`: its letter box."""
        self._parts = parts
        self._org = org
        self._network = network
        self._keys = keys
        self._box = box
        self._view = view
        self._clock = clock

    def run_once(self) -> Took:
        """Take what lies in the box; destroy what the ledger has ordered to be erased."""
        told = Took()
        with self._view() as view:
            now = max(self._clock(), view.head.at)
            judged = []
            for letter in mail.collect(self._box) if self._box.is_dir() else ():
                before = told.waiting
                for data in mail.unpack(letter.data):
                    self._take(view, data, now, told)
                if told.waiting == before or self._is_old(letter.path):
                    judged.append(letter)
            self._erase(view, told)
        mail.remove(self._box, judged)
        return told

    def _take(self, view: Reading, data: bytes, now: int, told: Took) -> None:
        try:
            part = self._judge(view, data, now)
        except (Malformed, VerificationFailed) as error:
            told.refused.append(str(error))
            return
        if part is None:
            told.waiting += 1
        elif self._parts.put(part, at=self._clock()):
            told.kept.append(part.bill)

    def _judge(self, view: Reading, data: bytes, now: int) -> Part | None:
        """The part, or None where our ledger does not know bill or right yet.

        1. sealed to us, as this    2. for us, of this network    3. the right is on the ledger
        4. it holds, and is for us and this purpose    5. the record commits to the fields    6. the
        holder allowed them    7. what is open is the record's
        """
        head, letter = open_delivery(data, self._keys)  # 1
        if head.purpose != CLAIM:
            raise VerificationFailed(f"sealed for {head.purpose}", path="purpose")
        part = decode(letter.body, Part)
        if (part.audience, head.network) != (self._org, self._network):  # 2
            raise VerificationFailed(f"it is for {part.audience}", path="audience")
        bill = find_bill(view, part.bill)
        right = find_right(view, part.bill, part.basis, now)
        if bill is None or right is None:  # 3
            return None
        named = (right.row.reader, right.row.purpose)
        if not right.live or named != (part.audience, part.purpose):  # 4
            raise VerificationFailed("nothing lets us read it now", path="basis")
        if bill.root is None or bill.bill_kind != "blue":
            raise VerificationFailed("such a number is shown to nobody", path="bill")
        shown = verify_shown(part, bill.root)  # 5
        fields = fields_of(part.basis, right)
        for each in shown:  # 6
            check_allowed(each.path, fields)
        verify_open(shown, bill, self._network)  # 7
        return part

    def _erase(self, view: Reading, told: Took) -> None:
        """Whether or not the order names us: what was allowed to be read is to be gone."""
        at = self._clock()
        orders = []
        for bill_id in self._parts.bills():
            row, bill = find_erasure(view, bill_id), find_bill(view, bill_id)
            if row is None or bill is None:
                continue
            held = find_holder(view, bill, view.genesis.utc_offset_seconds)
            if row.basis == "legal_order" or held is None:
                orders.append(Erased(*parse_bill_id(bill_id), row.order, at))
                told.erased.append(bill_id)
        if orders:
            self._parts.erase_many(orders)

    def _is_old(self, path: Path) -> bool:
        return path.stat().st_mtime + WAIT_SECONDS_MAX < self._clock()


def values_of(part: Part) -> dict[str, Any]:
    """Each field that is shown with its value, by path."""
    shown = [parse_disclosure(text) for text in part.disclosures]
    return {each.path: each.value for each in shown}


def _act_of(part: Part) -> str:
    return part.basis.consent or part.basis.mandate or ""


def _label(code: int, number: int, act: str) -> bytes:
    return encode(["part", code, number, act])
