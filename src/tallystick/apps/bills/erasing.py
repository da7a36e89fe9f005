"""Erasure at work: what the ledger orders, each vault that it names carries out and acknowledges.

An organisation with a vault, or finance with its archive, runs this beside it. A round reads the
orders, destroys what they name, and says so on the ledger. A kill between the two costs nothing:
the vault knows what it has erased, and the next round says it.

Invariant: a copy is acknowledged only once no file of the vault has it and no letter box does; a
legal hold that came after an order of term keeps the body. See docs/spec/vault.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tallystick.apps.bills.sending import Submit, new_nonce
from tallystick.contracts.bills.items.accounts import Erased as ErasedItem
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.accounts import Erasure, erasure_id, month_of, period_id
from tallystick.contracts.bills.records.bills import Bill, parse_bill_id
from tallystick.contracts.bills.views.accounts import erased_copies, find_erasure, find_hold
from tallystick.contracts.bills.views.bills import acts_for, find_bill
from tallystick.contracts.kit.context import Reader
from tallystick.durable import DiskFull, Locked
from tallystick.ledger.receipts import read_segment
from tallystick.ledger.view import Reading
from tallystick.protocol.canonical import Record
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.errors import Damaged, Malformed
from tallystick.protocol.keys import Signer
from tallystick.protocol.transaction import sign_transaction, signing_bytes, transaction_id
from tallystick.protocol.values import Count, Instant, OrgId, Word, format_instant, parse_instant
from tallystick.vault import Erased, Kept, mail, read_head

AT_ONCE = 100
"""Bodies of one step of a vault, and items of one transaction."""
VALID_SECONDS = 600
ERASED_ACTION = "bills.erased/1"
IS_SAID = frozenset({ACCEPTED, BillsReason.UNCHANGED.value})
"""What becomes of an acknowledgement that stands now: this one, or one before a kill."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order that names an organisation's copy, and where it stands."""

    bill: Bill
    digest: bytes
    unanswered: int
    """Copies of the organisation, and of those whose duties it took over, that are not known to be
    gone."""
    held: str | None
    """By whose legal hold it waits."""

    @property
    def acknowledged(self) -> bool:
        """All copies that are the organisation's to erase are said to be gone."""
        return not self.unanswered

    @property
    def place(self) -> tuple[int, int]:
        """Code and number of the bill."""
        return parse_bill_id(self.bill.id)


class CopyStatus(Record, kw_only=True):
    """One copy of a body that is to be erased."""

    org: OrgId
    done: Instant | None = None


class ErasureStatus(Record, kw_only=True):
    """k of m: how far an erasure is."""

    bill: str
    state: str
    by: OrgId
    basis: Word
    reason: Word
    done: Count
    known: Count
    copies: list[CopyStatus]


@dataclass(slots=True)
class Round:
    """What one round did; texts name bills."""

    erased: list[str] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    """A legal hold stands: nothing was done."""
    waiting: list[str] = field(default_factory=list)
    """Erased, not acknowledged: a file or a letter box still has something."""
    details: list[str] = field(default_factory=list)


def orders_for(reader: Reader, org: str, utc_offset_seconds: int) -> Iterator[Order]:
    """All orders that name a copy that is this organisation's to erase, done or not, by bill."""
    for row in reader.scan(Erasure, ""):
        mine = [each for each in row.copies if acts_for(reader, org, each.org)]
        if not mine:
            continue
        bill_id = row.id.removesuffix(erasure_id(""))
        bill = find_bill(reader, bill_id)
        if bill is None or bill.bill_kind not in ("blue", "red"):
            raise Damaged(f"the ledger orders {row.id}, and has no such bill")
        held = None if row.basis == "legal_order" else find_holder(reader, bill, utc_offset_seconds)
        yield Order(bill, row.order, sum(each.done is None for each in mine), held)


def orders_of(view: Reading, org: str) -> list[Order]:
    """The same, at the network's own time."""
    return list(orders_for(view, org, view.genesis.utc_offset_seconds))


def erased_for(view: Reading, org: str, at: int) -> list[Erased]:
    """What a vault that comes out of a backup must not bring back."""
    return [
        Erased(*order.place, order.digest, at)
        for order in orders_of(view, org)
        if order.acknowledged or order.held is None
    ]


def erasure_status(reader: Reader, bill_id: str) -> ErasureStatus | None:
    """How far the erasure of one bill's body is; None: nobody has ordered it."""
    row = find_erasure(reader, bill_id)
    return None if row is None else _status(row)


def erasure_list(reader: Reader, *, unfinished: bool = False) -> Iterator[ErasureStatus]:
    """All that was ordered, by bill; `unfinished`: where a copy is not known to be gone."""
    for row in reader.scan(Erasure, ""):
        if not (unfinished and row.good):
            yield _status(row)


def _status(row: Erasure) -> ErasureStatus:
    done, known = erased_copies(row)
    return ErasureStatus(
        bill=row.id.removesuffix(erasure_id("")),
        state=row.state,
        by=row.by,
        basis=row.basis,
        reason=row.reason,
        done=done,
        known=known,
        copies=[CopyStatus(org=each.org, done=each.done) for each in row.copies],
    )


def find_holder(reader: Reader, bill: Bill, utc_offset_seconds: int) -> str | None:
    """Who keeps a body from erasure now: the ledger asked it when the order was given."""
    month = month_of(parse_instant(bill.issued_at), utc_offset_seconds)
    code, _ = parse_bill_id(bill.id)
    for what in (bill.id, period_id(bill.issuer, code // 100, month)):
        hold = find_hold(reader, what)
        if hold is not None and hold.orders:
            return hold.orders[0].by
    return None


class Eraser:
    """Carries out what is ordered of one organisation's vaults. For one thread."""

    def __init__(
        self,
        kept: Kept,
        *,
        org: str,
        network: bytes,
        signer: Signer,
        submit: Submit,
        view: Callable[[], AbstractContextManager[Reading]],
        clock: Callable[[], int],
        also: Sequence[Kept] = (),
        boxes: Sequence[Path] = (),
        answer_seconds_max: float | None = None,
    ) -> None:
        """`also`: vaults of those whose duties the organisation took over.

        `boxes`: folders of letters to these vaults that they have not taken yet.
        """
        self._vaults = (kept, *also)
        self._org = org
        self._network = network
        self._signer = signer
        self._submit = submit
        self._view = view
        self._clock = clock
        self._boxes = boxes
        self._answer_seconds_max = answer_seconds_max

    def run_once(self) -> Round:
        """Carry out and acknowledge all that is due."""
        done = Round()
        with self._view() as view:
            orders = orders_of(view, self._org)
            done.held = [order.bill.id for order in orders if order.held and not order.acknowledged]
            orders = [order for order in orders if order.acknowledged or not order.held]
            due = [order for order in orders if not self._is_erased(order)]
            for start in range(0, len(due), AT_ONCE):
                self._erase(due[start : start + AT_ONCE], done)
            left = self._unfinished(done)
            posted = set(self._posted()) if self._boxes else set()
            ready: list[Order] = []
            for order in orders:
                if order.acknowledged:
                    continue
                if order.unanswered > len(self._vaults):
                    done.details.append(
                        f"{order.bill.id}: {order.unanswered} copies are to be erased, "
                        f"{len(self._vaults)} vaults are at hand"
                    )
                    done.waiting.append(order.bill.id)
                elif order.place in left or (posted and _record(view, order.bill) in posted):
                    done.waiting.append(order.bill.id)
                else:
                    ready.append(order)
        for start in range(0, len(ready), AT_ONCE):
            self._acknowledge(ready[start : start + AT_ONCE], done)
        return done

    def _is_erased(self, order: Order) -> bool:
        return all(order.place in kept.erasures for kept in self._vaults)

    def _erase(self, orders: Sequence[Order], done: Round) -> None:
        at = self._clock()
        erased = [Erased(*order.place, order.digest, at) for order in orders]
        for kept in self._vaults:
            self._try(partial(kept.erase_many, erased), done)
        done.erased += [order.bill.id for order in orders if self._is_erased(order)]

    def _unfinished(self, done: Round) -> set[tuple[int, int]]:
        """What may still lie in a file, after trying once more."""
        left: set[tuple[int, int]] = set()
        for kept in self._vaults:
            if kept.erasures.all(unfinished=True):
                self._try(partial(kept.erasures.finish, None), done)
                left |= {(one.code, one.number) for one in kept.erasures.all(unfinished=True)}
        return left

    def _try(self, step: Callable[[], None], done: Round) -> None:
        try:
            step()
        except (Locked, DiskFull, OSError) as error:
            if str(error) not in done.details:
                done.details.append(str(error))

    def _posted(self) -> Iterator[tuple[str, int]]:
        """The records that letters are about which wait in the boxes."""
        for box in self._boxes:
            for letter in mail.collect(box):
                for data in mail.unpack(letter.data):
                    try:
                        head = read_head(data)
                    except Malformed:
                        continue  # it opens for nobody
                    yield head.tx, head.n

    def _acknowledge(self, orders: Sequence[Order], done: Round) -> None:
        data = sign_transaction(
            self._signer,
            network=self._network,
            sender=self._org,
            action=ERASED_ACTION,
            items=[ErasedItem(nonce=new_nonce(), bill=order.bill.id) for order in orders],
            idempotency=new_nonce(),
            valid_until=format_instant(self._clock() + VALID_SECONDS),
        )
        committed = self._submit(data).result(self._answer_seconds_max)
        for order, outcome in zip(orders, committed.outcomes, strict=True):
            if outcome in IS_SAID:
                done.acknowledged.append(order.bill.id)
            else:
                done.waiting.append(order.bill.id)
                done.details.append(f"{order.bill.id}: {outcome}")


def _record(view: Reading, bill: Bill) -> tuple[str, int]:
    """Transaction and item that made a bill, as heads of letters name them."""
    if bill.entry is None:
        raise Damaged(f"the ledger does not say where {bill.id} was made")
    segment = view.segment(bill.entry)
    tx_id = transaction_id(signing_bytes(read_segment(segment)[0].header))
    return tx_id, bill.entry - segment.first
