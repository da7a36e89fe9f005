"""An issuer's office: makes bills out of drafts, keeps their bodies, and never loses one.

The order is what makes a crash harmless: 1. a number is taken, the body checked and sealed
2. the body lies in the vault 3. the signed transaction lies in ``pending/`` 4. it is submitted
5. its answer and the deliveries that are now owed are noted in the vault 6. it leaves ``pending/``.
So a body without a transaction was never sent, and a transaction that still lies there is submitted
again, byte for byte. For one thread.

Invariant: no record is submitted whose body is not in the vault. See docs/guides/office.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from tallystick.apps.bills.acts import (
    SCHEMAS,
    Act,
    BillId,
    Issued,
    Replacement,
    Reversal,
    SealedBill,
    Status,
    UnderWay,
    Word,
    bills_of,
    said_of,
    undone_by,
)
from tallystick.apps.bills.address import Address
from tallystick.apps.bills.addresses import Addresses, Holders
from tallystick.apps.bills.delivering import KeyOf, Routes, deliver_owed, key_of
from tallystick.apps.bills.drafting import Drafting, Recipient
from tallystick.apps.bills.holders import BillKey
from tallystick.apps.bills.numbers import Place
from tallystick.apps.bills.sending import Sending, Sent, Submit, new_nonce
from tallystick.apps.bills.sharing import Sharing
from tallystick.contracts.bills.body import Body, Payer
from tallystick.contracts.bills.items.bills import Issue, Release, Replace, Withhold
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import Bill, format_bill_id
from tallystick.contracts.bills.views.bills import find_bill, find_issuer, is_archived
from tallystick.contracts.kit.context import slot_key
from tallystick.contracts.members.views import find_delivery
from tallystick.ledger.receipts import read_segment
from tallystick.ledger.view import Reading
from tallystick.protocol.body import encoded_root
from tallystick.protocol.canonical import decode, encode
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.errors import Malformed, Rejected
from tallystick.protocol.keys import Signer
from tallystick.protocol.transaction import (
    ITEM_BYTES_MAX,
    ITEMS_MAX,
    TRANSACTION_BYTES_MAX,
    Item,
    check_item,
    signing_bytes,
    transaction_id,
)
from tallystick.vault import Message, Read, Recorded, Vault
from tallystick.vault import Sent as Delivered

PENDING = "pending"
ITEMS_BYTES_MAX = TRANSACTION_BYTES_MAX - ITEM_BYTES_MAX - 4 * 1024
"""A batch that has come so far takes no further item: room for one, and for the header."""
NEVER_SENT = "office.never_sent"
"""What the vault says of a body whose transaction was never made: its number is free again."""
MALFORMED = "office.malformed"
"""What the office says of a draft that is no body: a field is out of bounds or has no such form."""
NUMBERS_GONE = frozenset(
    {
        BillsReason.NUMBER_USED.value,
        BillsReason.NUMBER_VOID.value,
        BillsReason.NUMBER_NOT_ALLOCATED.value,
    }
)
"""Refusals after which a number is not tried again."""
PREPARED_MAX = 1_000_000

T = TypeVar("T")
Make = Callable[[Reading, int, T], Act]
ViewFactory = Callable[[], AbstractContextManager[Reading]]


class Office:
    """One issuer's side. Begin with `resolve()`."""

    def __init__(
        self,
        folder: Path,
        vault: Vault,
        *,
        org: str,
        network: bytes,
        signer: Signer,
        holder_key: bytes,
        submit: Submit,
        view: ViewFactory,
        clock: Callable[[], int],
        archive: Recipient | None = None,
        addresses: Addresses | None = None,
        places: Sequence[Place] | None = None,
        answer_seconds_max: float | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """`archive`: whom deliveries are sealed to; if the ledger has its key, that one counts.
        `places`: the only allotments to use. `addresses`: of payers whose wallets get their bills.

        `holder_key`: 32 bytes that bill keys come from (`holders.py`). `clock`: Unix seconds.
        """
        self.vault = vault
        self.org = org
        self._network = network
        self._holders = Holders(network, holder_key, addresses)
        self._view = view
        self._clock = clock
        self._archive = archive
        self._answer_seconds_max = answer_seconds_max
        self._drafting = Drafting(vault, org, network, self._holders, places)
        self._sending = Sending(
            folder / PENDING,
            org=org,
            network=network,
            signer=signer,
            submit=submit,
            clock=clock,
            pause=pause,
        )
        self.refresh()

    def refresh(self) -> None:
        """Read types, allotments and the archive's key anew: after a new one, in a new year."""
        with self._view() as view:
            self._drafting.read(view, self._clock())
            if self._archive is not None:
                row = find_delivery(view, self._archive.org)
                if row is not None:
                    self._archive = Recipient(self._archive.org, row.key)

    # ------------------------------------------------------------------------------- acts

    def issue(self, drafts: Iterable[Body]) -> list[Issued]:
        """A bill out of each draft; network, issuer and number are filled in.

        Each fails alone; the answer has one `Issued` a draft, in order. After an exception or a
        crash `resolve()` says what became of those that were under way.
        """
        return self._act("bills.issue/1", drafts, self._drafting.new_blue)

    def begin(self, drafts: Iterable[Body]) -> UnderWay:
        """The same, but not waited for: `finish` it once its answers are there."""
        answers: dict[int, Issued] = {}
        sent = list(self._send("bills.issue/1", drafts, self._drafting.new_blue, answers))
        return UnderWay(answers, sent)

    def finish(self, under_way: UnderWay) -> list[Issued]:
        """Note what became of what was begun; waits where there is no answer yet."""
        answers = dict(under_way.refused)
        for sent, acts in under_way.sent:
            self._answer(sent, acts, answers)
        return [answers[position] for position in sorted(answers)]

    def reverse(self, reversals: Iterable[Reversal]) -> list[Issued]:
        """A red bill for each, of the whole bill as issued or as its draft says."""
        now = self._clock()

        def make(view: Reading, position: int, reversal: Reversal) -> Act:
            return self._drafting.new_red(view, position, reversal, now)

        return self._act("bills.reverse/1", reversals, make)

    def replace(self, replacements: Iterable[Replacement]) -> list[Issued]:
        """Reverse each bill whole and issue the draft in its place, in one step."""
        return self._act("bills.replace/1", replacements, self._drafting.new_pair)

    def withhold(self, bills: Iterable[BillId], reason: str) -> list[Issued]:
        """These may not be claimed, as of a patient in arrears."""
        return self._of_bills("bills.withhold/1", Withhold, bills, reason)

    def release(self, bills: Iterable[BillId], reason: str) -> list[Issued]:
        """These may be claimed after all."""
        return self._of_bills("bills.release/1", Release, bills, reason)

    def resolve(self) -> list[Issued]:
        """Find out what became of everything that was under way when this office last stopped.

        1. what is pending is submitted again: the old answer, or a first one    2. a body that the
        ledger has is recorded    3. one that was never sent makes room for another
        """
        done: list[Issued] = []
        for sent in self._sending.send_again(SCHEMAS):  # 1
            done += self._settle(sent, [])
        with self._view() as view:
            for one in self.vault.prepared(limit=PREPARED_MAX):
                done.append(self._resolve(view, (one.code, one.number)))  # 2, 3
        self.refresh()
        return done

    # ------------------------------------------------------------------------ what stands

    def status(self, code: int, number: int) -> Status:
        """How a bill stands; "issued" is said as the type's `ack` demands."""
        with self._view() as view:
            row = find_bill(view, format_bill_id(code, number))
            if row is None or row.root is None or row.issuer != self.org:
                standing = self.vault.find(code, number)
                if standing is None:
                    return Status("unknown")
                refused = standing.state == "refused"
                return Status("refused" if refused else "issuing", reason=standing.reason)
            word, archived = said_of(view, row), is_archived(view, row)
        return Status(word, row.state, row.entry, archived, row.reason)

    def said(self, answers: Iterable[Issued]) -> list[Word | None]:
        """What people are told of each new bill; None where there is none."""
        with self._view() as view:
            answers = list(answers)
            view.prefetch([slot_key(one.code, one.number) for one in answers if one.accepted], Bill)
            rows = [
                find_bill(view, format_bill_id(one.code, one.number)) if one.accepted else None
                for one in answers
            ]
            return [said_of(view, row) if row and row.root else None for row in rows]

    def bill_key(self, code: int, number: int) -> BillKey:
        """What the holder of a bill is given. `KeyError`: no blue bill whose key is known here."""
        with self._view() as view:
            row = find_bill(view, format_bill_id(code, number))
        if row is None or row.root is None or row.issuer != self.org or row.holder is None:
            raise KeyError(f"{format_bill_id(code, number)} is no blue bill of this office")
        body = decode(self.vault.get(code, number)[0], Body)
        key = self._holders.find_key(body.payer, row.root, row.holder)
        if key is None:
            raise KeyError(f"{format_bill_id(code, number)} is bound to a key of its holder's own")
        return key

    def register(self, payer: Payer, address: Address) -> None:
        """From now on a payer's bills are held by their wallet and go to this address of it."""
        self._holders.register(payer, address, at=self._clock())

    # ------------------------------------------------------------------------- deliveries

    def deliver(self, to: Routes | Path, *, limit: int = 1_000) -> Delivered:
        """Hand over what is due: into letter boxes of this machine, or over HTTP."""
        at, keys, sharing = self._clock(), self._key_of(), self.sharing
        return deliver_owed(self.vault, to, at=at, limit=limit, key_of=keys, sharing=sharing)

    @property
    def sharing(self) -> Sharing:
        """What is owed to reimbursers, as holders allowed."""
        at_hand = (self.vault, self._network, self._view, self._clock)
        return Sharing(*at_hand, key_of=self._key_of())

    def _key_of(self) -> KeyOf:
        return key_of(self._view)

    def deliver_again(self) -> int:
        """Owe anew what finance names as missing: how many bodies."""
        with self._view() as view:
            issuer = find_issuer(view, self.org)
        messages: list[Message] = []
        exceptions = issuer.exceptions if issuer else []
        for code, number in ((each.code, n) for each in exceptions for n in each.numbers):
            one = self.vault.find(code, number)
            if one is not None and one.state == "recorded" and one.tx_id and one.n is not None:
                body = ((code, number), *self.vault.get(code, number))
                messages += self._drafting.messages(self._archive, one.tx_id, one.n, [body])
        self.vault.outbox.put(messages, at=self._clock())
        return len(messages)

    # ----------------------------------------------------------------- making and keeping

    def _act(self, action: str, wanted: Iterable[T], make: Make[T]) -> list[Issued]:
        """Make, keep and send in batches; while one is under way, the next is made."""
        answers: dict[int, Issued] = {}
        before: tuple[Sent, list[Act]] | None = None
        for batch in self._send(action, wanted, make, answers):
            if before is not None:
                self._answer(*before, answers)
            before = batch
        if before is not None:
            self._answer(*before, answers)
        return [answers[position] for position in sorted(answers)]

    def _send(
        self, action: str, wanted: Iterable[T], make: Make[T], answers: dict[int, Issued]
    ) -> Iterator[tuple[Sent, list[Act]]]:
        """Transactions, each sent when it is given; what is refused here is answered at once."""
        numbered, more = enumerate(wanted), True
        while more:
            acts, more = self._make(numbered, make, answers)
            acts = self._keep(acts, answers)
            if acts:
                yield self._sending.send(action, [act.item for act in acts]), acts

    def _make(
        self, wanted: Iterator[tuple[int, T]], make: Make[T], answers: dict[int, Issued]
    ) -> tuple[list[Act], bool]:
        """As many acts as one transaction holds, and whether there may be more."""
        acts: list[Act] = []
        size = 0
        self._drafting.begin()
        with self._view() as view:
            for position, one in wanted:
                try:
                    act = self._checked(make(view, position, one))
                except (Malformed, Rejected) as error:
                    answers[position] = _refused_here(error)
                    continue
                acts.append(act)
                size += act.size + 1
                if len(acts) == ITEMS_MAX or size > ITEMS_BYTES_MAX:
                    return acts, True
        return acts, False

    def _checked(self, act: Act) -> Act:
        """An act that no ledger could read would lie in ``pending/`` for ever."""
        try:
            check_item(act.item)
        except Malformed:
            self._drafting.give_back(act.item)
            raise
        return act

    def _keep(self, acts: list[Act], answers: dict[int, Issued]) -> list[Act]:
        """Put the bodies into the vault; an act whose body it does not take is out of the batch."""
        at = self._clock()
        undone = [bill for act in acts if (bill := undone_by(act.item)) is not None]
        read = Read(at=at, who=self.org, what="read", why="reversal")
        self.vault.note_reads([(*bill, read) for bill in undone])
        while acts:
            bodies = [(act, one) for act in acts for one in act.prepared()]
            try:
                self.vault.put_many([one for _, one in bodies])
            except (Malformed, Rejected) as error:
                _, index, path = error.path.split("/", 2)
                culprit = bodies[int(index)][0]
                error.path = path
                answers[culprit.position] = issued = _refused_here(error)
                self._give_back(culprit.item, issued.outcome)
                acts = [act for act in acts if act is not culprit]
            else:
                break
        return acts

    def _of_bills(
        self, action: str, kind: type[Withhold] | type[Release], bills: Iterable[BillId], why: str
    ) -> list[Issued]:
        def make(view: Reading, position: int, bill: BillId) -> Act:
            bill_id = format_bill_id(*bill)
            row = find_bill(view, bill_id)
            item = kind(
                nonce=new_nonce(),
                bill=bill_id,
                version=row.version if row else 0,
                reason=why,
            )
            return Act(position, item, [], len(encode(item)))

        return self._act(action, bills, make)

    # --------------------------------------------------------------------------- settling

    def _answer(self, sent: Sent, acts: list[Act], answers: dict[int, Issued]) -> None:
        bodies = [body for act in acts for body in act.bodies]
        for act, issued in zip(acts, self._settle(sent, bodies), strict=True):
            answers[act.position] = issued

    def _settle(self, sent: Sent, bodies: Sequence[SealedBill]) -> list[Issued]:
        """Wait for the answer and note it; one `Issued` an item.

        `bodies` are at hand when this office has just made them; others are in the vault.
        """
        at_hand = {(one.bill.code, one.bill.number): (one.data, one.secret) for one in bodies}
        first, outcomes = self._outcomes(sent)
        recorded: list[Recorded] = []
        refused: list[tuple[int, int, str]] = []
        messages: list[Message] = []
        done: list[Issued] = []
        for n, (item, outcome) in enumerate(zip(sent.items, outcomes, strict=True)):
            bills, entry = bills_of(item), first + n
            code, number = bills[0] if bills else (0, 0)
            if outcome == ACCEPTED:
                recorded += [Recorded(*bill, entry, sent.tx_id, n) for bill in bills]
                messages += self._owed(sent.tx_id, n, bills, at_hand, _holder_of(item))
                done.append(Issued(outcome, code, number, entry, sent.tx_id, n))
            else:
                refused += [(*bill, outcome) for bill in bills]
                self._give_back(item, outcome)
                done.append(Issued(outcome, code, number, None, sent.tx_id, n))
        self.vault.mark_recorded(recorded, messages, at=self._clock())
        self.vault.mark_refused(refused)
        self._note_reversed(
            [item for item, each in zip(sent.items, done, strict=True) if each.accepted]
        )
        self._sending.done(sent)
        return done

    def _give_back(self, item: Item, outcome: str) -> None:
        """Use its numbers for the next bill, unless they are what was refused."""
        if outcome not in NUMBERS_GONE:
            self._drafting.give_back(item)

    def _outcomes(self, sent: Sent) -> tuple[int, Sequence[str]]:
        """First entry and outcomes; the ledger is asked where the engine has forgotten."""
        try:
            committed = sent.answer.result(self._answer_seconds_max)
        except Rejected as error:
            with self._view() as view:
                first = _first_entry(view, sent)
                if first is None:
                    return 0, [error.reason.value] * len(sent.items)
                return first, read_segment(view.segment(first))[2]
        return committed.first, committed.outcomes

    def _owed(
        self,
        tx_id: str,
        n: int,
        bills: list[BillId],
        at_hand: dict[BillId, tuple[bytes, bytes]],
        holder: bytes | None,
    ) -> list[Message]:
        """The deliveries of bodies that were not known to be recorded: each is owed once.

        `holder`: what the record of the blue one commits to.
        """
        bodies = []
        for bill in bills:
            standing = None if bill in at_hand else self.vault.find(*bill)
            if standing is None or standing.state not in ("recorded", "erased"):
                bodies.append((bill, *(at_hand.get(bill) or self.vault.get(*bill))))
        letters = [
            self._holders.letter(tx_id, n, body, secret, holder) for _, body, secret in bodies
        ]
        messages = self._drafting.messages(self._archive, tx_id, n, bodies)
        return messages + [letter for letter in letters if letter is not None]

    def _note_reversed(self, items: Iterable[Item]) -> None:
        """Tell the vault which bills are wholly reversed: their business codes are free again."""
        about = [bill for item in items if (bill := undone_by(item)) is not None]
        if not about:
            return
        with self._view() as view:
            rows = [(bill, find_bill(view, format_bill_id(*bill))) for bill in about]
        self.vault.mark_reversed(
            [
                bill
                for bill, row in rows
                if row is not None and row.state == "reversed" and self.vault.find(*bill)
            ]
        )

    def _resolve(self, view: Reading, bill: BillId) -> Issued:
        """What became of a body that no pending transaction names."""
        row = find_bill(view, format_bill_id(*bill))
        if row is None or row.entry is None or row.root != self._root_of(bill):
            self.vault.mark_refused([(*bill, NEVER_SENT)])
            return Issued(NEVER_SENT, *bill)
        segment = view.segment(row.entry)
        tx_id = transaction_id(signing_bytes(read_segment(segment)[0].header))
        n = row.entry - segment.first
        messages = self._owed(tx_id, n, [bill], {}, row.holder)
        self.vault.mark_recorded([Recorded(*bill, row.entry, tx_id, n)], messages, at=self._clock())
        return Issued(ACCEPTED, *bill, row.entry, tx_id, n)

    def _root_of(self, bill: BillId) -> bytes:
        body, secret = self.vault.get(*bill)
        return encoded_root(body, secret)


def _holder_of(item: Item) -> bytes | None:
    return item.holder if isinstance(item, Issue | Replace) else None


def _first_entry(view: Reading, sent: Sent) -> int | None:
    """The first entry of a transaction that is on the ledger, by a bill that it made."""
    for n, item in enumerate(sent.items):
        for bill in bills_of(item):
            row = find_bill(view, format_bill_id(*bill))
            if row is not None and row.entry is not None:
                segment = view.segment(row.entry)
                header = read_segment(segment)[0].header
                if transaction_id(signing_bytes(header)) == sent.tx_id:
                    return row.entry - n
    return None


def _refused_here(error: Malformed | Rejected) -> Issued:
    reason = error.reason.value if isinstance(error, Rejected) else MALFORMED
    return Issued(reason, path=error.path, detail=error.detail)
