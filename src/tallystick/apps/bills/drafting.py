"""Out of drafts, acts that are ready to be sent: numbered, checked, sealed, each with its item.

Invariant: a draft that is refused here has used no number and left no trace.
See docs/guides/office.md.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from tallystick.apps.bills.acts import Act, BillId, Replacement, Reversal, SealedBill, seal
from tallystick.apps.bills.addresses import Holders
from tallystick.apps.bills.numbers import Numbers, Place
from tallystick.apps.bills.sending import new_nonce
from tallystick.contracts.bills.body import Body, Liability, Relates
from tallystick.contracts.bills.items.bills import Issue, Replace, Reverse
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import Bill, BillType, format_bill_id
from tallystick.contracts.bills.views.bills import find_bill, find_type
from tallystick.contracts.kit.context import Reader
from tallystick.ledger.view import Reading
from tallystick.protocol.body import SECRET_BYTES
from tallystick.protocol.canonical import decode, encode, replace
from tallystick.protocol.errors import Malformed, Rejected
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import format_instant, local_day, parse_instant
from tallystick.vault import Head, Letter, Message, Vault, seal_delivery
from tallystick.vault.archive import PURPOSE


@dataclass(frozen=True, slots=True)
class Recipient:
    """To whom bodies are delivered: an organisation and the X25519 key of its archive."""

    org: str
    key: bytes


class Drafting:
    """What one issuer needs to make bills: numbers, rules and keys, as of the last `read`."""

    def __init__(
        self,
        vault: Vault,
        org: str,
        network: bytes,
        holders: Holders,
        places: Collection[Place] | None,
    ) -> None:
        self._vault = vault
        self._org = org
        self._network = network
        self._holders = holders
        self._places = places

    def read(self, view: Reading, at: int) -> None:
        """Read what the ledger says now. Only while nothing is under way."""
        taken = [(one.code, one.number) for one in self._vault.prepared(limit=1_000_000)]
        self._numbers = Numbers(view, self._org, at, taken=taken, places=self._places)
        self.begin()

    def use(self, numbers: Numbers) -> None:
        """Take numbers from there; for an office that has no ledger at hand."""
        self._numbers = numbers
        self.begin()

    def begin(self) -> None:
        """Begin a batch: what types there are is asked anew."""
        self._kinds: dict[int, list[BillType]] = {}

    def give_back(self, item: Item) -> None:
        """What an item would have taken is free again."""
        if isinstance(item, Issue | Reverse | Replace):
            place = (item.code, item.level, item.first)
            self._numbers.give_back(place, item.number)
            if isinstance(item, Replace):
                self._numbers.give_back(place, item.red_number)

    def new_blue(self, view: Reader, position: int, draft: Body) -> Act:
        """A bill out of a draft."""
        _check_kind(draft)
        place, numbers = self._numbers.take(draft.code)
        try:
            sealed = self._seal(view, draft, number=numbers[0])
            item = Issue(**self._blue(place, sealed))
        except (Malformed, Rejected):
            self._numbers.give_back(place, numbers[0])
            raise
        return Act(position, item, [sealed], len(encode(item)))

    def new_red(self, view: Reading, position: int, reversal: Reversal, now: int) -> Act:
        """A red bill for a bill of ours."""
        row, old = self._find_own(view, reversal.code, reversal.number, whole=not reversal.draft)
        at = max(now, parse_instant(row.issued_at))
        year = int(local_day(at, view.genesis.utc_offset_seconds)[:4])
        code = reversal.code // 100 * 100 + year % 100
        place, numbers = self._numbers.take(code)
        try:
            red = replace(_red_of(reversal.draft or old, row), issued_at=format_instant(at))
            sealed = self._seal(view, red, code=code, number=numbers[0])
            told = _place(place, sealed) | _amounts(sealed.bill)
            item = Reverse(
                **told,
                root=sealed.root,
                bill=row.id,
                version=row.version,
                reason=reversal.reason,
            )
        except (Malformed, Rejected):
            self._numbers.give_back(place, numbers[0])
            raise
        return Act(position, item, [sealed], len(encode(item)))

    def new_pair(self, view: Reading, position: int, replacement: Replacement) -> Act:
        """A red bill and the new one, in one item."""
        draft = replacement.draft
        _check_kind(draft)
        row, old = self._find_own(view, replacement.code, replacement.number, whole=True)
        place, numbers = self._numbers.take(draft.code, 2)
        red_number, number = numbers
        try:
            red = self._seal(
                view,
                replace(_red_of(old, row), issued_at=draft.issued_at),
                code=draft.code,
                number=red_number,
            )
            new = self._seal(view, _successor(draft, old, row), number=number)
            item = Replace(
                **self._blue(place, new),
                red_number=red_number,
                red_root=red.root,
                bill=row.id,
                version=row.version,
                reason=replacement.reason,
            )
        except (Malformed, Rejected):
            for each in numbers:
                self._numbers.give_back(place, each)
            raise
        replaces = (replacement.code, replacement.number)
        return Act(position, item, [new, red], len(encode(item)), replaces)

    def messages(
        self,
        to: Recipient | None,
        tx_id: str,
        n: int,
        bodies: Iterable[tuple[BillId, bytes, bytes]],
    ) -> list[Message]:
        """Sealed deliveries of bodies with their secrets; none where nobody archives."""
        if to is None:
            return []
        head = Head(network=self._network, tx=tx_id, n=n, to=to.key, purpose=PURPOSE)
        return [
            Message(code, number, to.org, seal_delivery(head, Letter(code, number, body, secret)))
            for (code, number), body, secret in bodies
        ]

    def _seal(self, view: Reader, draft: Body, **numbered: int) -> SealedBill:
        bill = replace(draft, network=self._network, issuer=self._org, **numbered)
        kind = self._kind(view, bill.code // 100, bill.issued_at)
        secret = secrets.token_bytes(SECRET_BYTES)
        return seal(bill, kind.rules, kind.type_version, secret)

    def _kind(self, view: Reader, type_id: int, issued_at: str) -> BillType:
        """The version in force; each is looked up once a batch. Instants compare as texts."""
        known = self._kinds.setdefault(type_id, [])
        for kind in known:
            if kind.valid_from <= issued_at:
                return kind
        while not known or known[-1].type_version > 1:
            version = known[-1].type_version - 1 if known else None
            found = find_type(view, type_id, version)
            if found is None:
                break
            known.append(found)
            if found.valid_from <= issued_at:
                return found
        raise Rejected(BillsReason.TYPE_UNKNOWN, f"no {type_id} at {issued_at}", path="type")

    def _blue(self, place: Place, sealed: SealedBill) -> dict[str, Any]:
        bill = sealed.bill
        return (
            _place(place, sealed)
            | _amounts(bill)
            | {
                "currency": bill.currency,
                "root": sealed.root,
                "holder": self._holders.new_key(bill.payer, sealed.root).commitment,
                "settles": list(bill.relates.settles) if bill.relates else [],
            }
        )

    def _find_own(self, view: Reading, code: int, number: int, *, whole: bool) -> tuple[Bill, Body]:
        """A bill of ours on the ledger, and its body out of the vault."""
        bill_id = format_bill_id(code, number)
        row = find_bill(view, bill_id)
        if row is None or row.bill_kind != "blue":
            raise Rejected(BillsReason.REV_NOT_FOUND, f"no blue bill {bill_id}", path="bill")
        if row.issuer != self._org:
            raise Rejected(BillsReason.REV_OTHER_ISSUER, f"{row.issuer} issued it", path="bill")
        if row.state == "reversed":
            raise Rejected(BillsReason.REV_ENDED, f"{bill_id} is wholly reversed", path="bill")
        if whole and row.reversed_by:
            raise Rejected(
                BillsReason.REV_EXCEEDS,
                f"{bill_id} is partly reversed: a draft must say what is taken off",
                path="draft",
            )
        try:
            body, _ = self._vault.get(code, number)
        except KeyError:
            raise Rejected(
                BillsReason.REV_NOT_FOUND, f"no body of {bill_id} is here", path="bill"
            ) from None
        return row, decode(body, Body)


def _check_kind(draft: Body) -> None:
    if draft.kind != "blue":
        raise Rejected(BillsReason.RELATION_INVALID, "a draft of a new bill is blue", path="kind")


def _red_of(draft: Body, blue: Bill) -> Body:
    """The same, taken back."""
    return replace(draft, kind="red", relates=Relates(reversal_of=blue.id))


def _successor(draft: Body, old: Body, row: Bill) -> Body:
    """The draft in its predecessor's place; the next by ordinal where it is for the same."""
    settles = draft.relates.settles if draft.relates else ()
    same = draft.purpose == old.purpose and any(
        code in old.business_codes for code in draft.business_codes
    )
    return replace(
        draft,
        relates=Relates(replaces=row.id, settles=settles),
        ordinal=old.ordinal + 1 if same else draft.ordinal,
    )


def _place(place: Place, sealed: SealedBill) -> dict[str, Any]:
    code, level, first = place
    return {
        "nonce": new_nonce(),
        "code": code,
        "level": level,
        "first": first,
        "number": sealed.bill.number,
        "type_version": sealed.type_version,
        "issued_at": sealed.bill.issued_at,
    }


def _amounts(bill: Body) -> dict[str, int]:
    """What the record holds of the money, as `content.open_fields` has it."""
    sources, liability = bill.payment.sources, bill.payment.liability or Liability()
    return {
        "total": bill.total,
        "account": sources.account,
        "cash": sources.cash,
        "self_pay": liability.self_pay,
        "self_expense": liability.self_expense,
    }
