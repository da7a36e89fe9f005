"""Who may read a bill, and why: whom it concerns, by its holder's word, by a grant.

An organisation reads what concerns it: bills that it issued or took over, that it reimburses or has
locked, those for which it names a holder's consent or mandate. A holder reads the bill whose
commitment the key of the request opens, a helper the one that it was appointed for. Grants of
``bills.read`` and ``ledger.read`` reach further, by code. See docs/spec/requests.md.

Invariant: whoever may not read a bill is not told whether it exists.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tallystick.apps.bills.holder_log import Touched
from tallystick.client.passes import BILLS_READ, LEDGER_READ
from tallystick.contracts.bills.actions.claiming import STATUTE_ACTION
from tallystick.contracts.bills.records.bills import Bill, BillId, holder_now, parse_bill_id
from tallystick.contracts.bills.records.claims import Terms, claimant
from tallystick.contracts.bills.records.holders import (
    Helper,
    Opening,
    commit_holder,
    consent_holds,
    helper_holds,
    holder_salt,
)
from tallystick.contracts.bills.views.bills import (
    acts_for,
    find_bill,
    list_allotments,
    own_ranges,
)
from tallystick.contracts.bills.views.claims import find_claims, find_plan
from tallystick.contracts.bills.views.holders import (
    find_consent,
    find_helper,
    find_mandate,
    is_mandate_live,
)
from tallystick.contracts.kit.acts import ActId
from tallystick.contracts.kit.context import Reader
from tallystick.contracts.kit.grants import Authority
from tallystick.contracts.members.views import may
from tallystick.protocol.canonical import Record, decode, encode, narrow
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.errors import Malformed, Rejected
from tallystick.protocol.row import row_key
from tallystick.protocol.values import Digest, Nonce, PublicKey, format_instant
from tallystick.web.access import Access
from tallystick.web.callers import Caller, Stranger, allows
from tallystick.web.reasons import WebReason

OPENING_LENGTH_MAX = 2_048
WEB = "web"
"""Where a read stands in a holder's log that came over the API."""

_TEXT = re.compile(r"[A-Za-z0-9_-]+")
_PATH = "tally-bill-opening"


class Shown(Record):
    """What a request shows of the one bill that it is about: `OPENING_HEADER`, in base64url."""

    bill: BillId
    salt: Digest | None = None
    """By the bill's own key: opens the commitment to it."""
    key: PublicKey | None = None
    nonce: Nonce | None = None
    """With `key`, of whoever uses a mandate or helps by one: opens it down to the mandate key."""
    right: ActId | None = None
    """The consent or the mandate of an organisation, or the act that appointed a helper."""
    claim: Nonce | None = None
    terms: Terms | None = None
    """With `claim`: shows that the lock is the organisation's."""

    @property
    def opening(self) -> Opening | None:
        """Down to the mandate key."""
        if self.key is None or self.nonce is None:
            return None
        return Opening(key=self.key, nonce=self.nonce)


def show(shown: Shown) -> str:
    """The header's value."""
    return urlsafe_b64encode(encode(shown)).rstrip(b"=").decode()


def show_right(bill: BillId, item: Mapping[str, Any]) -> str:
    """The header of a reimburser's item: what it says of its right to a bill, shown by itself."""
    terms, opening = item.get("terms"), item.get("opening")
    if not isinstance(terms, Mapping):
        return ""
    named = {"bill": bill, "terms": terms, "claim": item.get("claim"), "right": terms["right_id"]}
    if isinstance(opening, Mapping):
        named |= opening
    try:
        return show(narrow({n: each for n, each in named.items() if each is not None}, Shown))
    except Malformed:  # of a grant, say: that is looked up
        return ""


def read_shown(text: str) -> Shown:
    """What a header shows; `Malformed` for what is none."""
    if len(text) > OPENING_LENGTH_MAX or not _TEXT.fullmatch(text):
        raise Malformed("this is not base64url without padding", path=_PATH)
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise Malformed("this is not base64url without padding", path=_PATH) from None
    try:
        return decode(data, Shown)
    except Malformed as error:
        raise Malformed(error.detail, path=f"{_PATH}/{error.path}".rstrip("/")) from None


# ------------------------------------------------------------------------------- of no member


def holder_of(reader: Reader, key: bytes, text: str, now: int) -> Stranger:
    """For `web.callers.Door`: of which bill this key is the holder's or a helper's, as shown."""
    if not text:
        raise Rejected(WebReason.KEY, "not registered, and it shows no bill", path="keyid")
    shown = read_shown(text)
    bill = find_bill(reader, shown.bill)
    if bill is not None:
        bill = whose(reader, bill)
        commitment = holder_now(bill, now)[0]
        if shown.salt is not None and commit_holder(key, shown.salt) == commitment:
            return Stranger("holder", shown.bill)
        if shown.right is not None:
            helper = find_helper(reader, shown.right)
            if helper is not None and _helps(helper, bill, key, shown, now):
                return Stranger("helper", shown.bill)
    raise Rejected(WebReason.OPENING, path=_PATH)


def _helps(row: Helper, bill: Bill, key: bytes, shown: Shown, now: int) -> bool:
    if row.key != key or not helper_holds(row, bill, now):
        return False
    if row.mandate_key is None:
        return True
    opening = shown.opening
    return opening is not None and (
        commit_holder(opening.key, holder_salt(opening.nonce, row.mandate_key))
        == holder_now(bill, now)[0]
    )


def whose(reader: Reader, bill: Bill) -> Bill:
    """The bill that says whose a number is: of a red bill or a paper form, the blue one."""
    blue = bill.reversal_of or bill.paper_of
    found = find_bill(reader, blue) if blue else None
    return bill if found is None else found


# -------------------------------------------------------------------------------- of one bill


def find_readable(reader: Reader, caller: Caller, bill_id: BillId, now: int) -> tuple[Bill, str]:
    """A bill, and why the caller may read it.

    `Rejected`: may not, or there is none; the latter is said to those who may know, alone.
    """
    bill = find_bill(reader, bill_id)
    if bill is not None:
        return bill, may_read_bill(reader, caller, bill, now)
    if _may_know(reader, caller, *parse_bill_id(bill_id), now):
        raise Rejected(WebReason.NOT_FOUND, f"nothing befell {bill_id}", path="bill")
    raise forbidden(caller, bill_id)


def may_read_bill(reader: Reader, caller: Caller, bill: Bill, now: int) -> str:
    """Why the caller may read a bill at `now` (Unix seconds); `Rejected`: it may not."""
    if caller.kind in ("holder", "helper"):
        if caller.bill == bill.id:
            return caller.kind
        raise forbidden(caller, bill.id)
    code, _ = parse_bill_id(bill.id)
    base, org = whose(reader, bill), caller.org
    own = org is not None and caller.kind == "member" and caller.own(code)
    why = ""
    if org is not None and own:
        why = _concern(reader, org, caller, base) or _right(reader, org, caller, base, now)
    why = why or may_read_code(reader, caller, code, now)
    if not why:
        raise forbidden(caller, bill.id)
    return why


def may_read_code(reader: Reader, caller: Caller, code: int, now: int) -> str:
    """Why the caller may read all bills of a code; empty: it may not."""
    why, org = by_grant(reader, caller, code, now), caller.org
    if not why and org is not None and caller.kind == "member" and caller.own(code):
        why = "statute" if _by_law(reader, org, caller, code, now) else ""
    return why


def own_spans(reader: Reader, caller: Caller, code: int) -> Iterator[tuple[int, int]]:
    """Where bills of a code can be that the caller may read: what it issued, holds, or shows."""
    named = [caller.bill, read_shown(caller.opening).bill if caller.opening else None]
    for bill_code, number in (parse_bill_id(each) for each in named if each is not None):
        if bill_code == code:
            yield number, number
    org = caller.org
    if org is None or caller.kind != "member" or not caller.own(code):
        return
    for row in list_allotments(reader, code):
        if org in row.former or acts_for(reader, org, row.holder):
            yield from own_ranges(row)


def by_grant(
    reader: Reader,
    caller: Caller,
    code: int | None,
    now: int,
    words: Sequence[str] = (BILLS_READ, LEDGER_READ),
) -> str:
    """Which grant lets the caller read all that is of a code (None: of every code); empty: none."""
    for word in words:
        if allows(reader, caller, word, now, code):
            return "keeper" if caller.kind == "keeper" else word
    return ""


def _by_law(reader: Reader, org: str, caller: Caller, code: int, now: int) -> bool:
    """Whether a law lets it claim, by a key that is for that; of a pass it needs no word more."""
    keys = [each for each in caller.limits if not each.strict]
    return all(each.allows(STATUTE_ACTION) for each in keys) and may(
        reader, org, STATUTE_ACTION, now, code
    )


def _concern(reader: Reader, org: str, caller: Caller, bill: Bill) -> str:
    """What the organisation has to do with it; this a suspended one may read, too."""
    if acts_for(reader, org, bill.issuer):
        return "issuer"
    if any(claim.reimburser == org for claim in find_claims(reader, bill)):
        return "claim"
    plan = find_plan(reader, bill.id) if bill.plan else None
    if plan is not None and any(share.reimburser == org for share in plan.shares):
        return "plan"
    shown = _shown_of(caller, bill)
    if shown is None or shown.claim is None or shown.terms is None or bill.lock is None:
        return ""
    return "lock" if bill.lock.who == claimant(shown.claim, org, shown.terms) else ""


def _right(reader: Reader, org: str, caller: Caller, bill: Bill, now: int) -> str:
    """A holder's word that the request names: not for an organisation that is suspended."""
    shown = _shown_of(caller, bill)
    held = reader.get(row_key(Authority.KIND, org), Authority)
    if shown is None or shown.right is None or (held is not None and not held.good):
        return ""
    consent = find_consent(reader, shown.right)
    if consent is not None:
        holds = consent.reader == org and consent_holds(consent, bill, now)
        return f"consent/{consent.purpose}" if holds else ""
    mandate = find_mandate(reader, shown.right)
    if mandate is None or mandate.reader != org:
        return ""
    live = is_mandate_live(reader, mandate, bill, shown.opening, now)
    return f"mandate/{mandate.purpose}" if live else ""


def _shown_of(caller: Caller, bill: Bill) -> Shown | None:
    """What the request shows, if it is about this bill or a number of it."""
    if not caller.opening:
        return None
    shown = read_shown(caller.opening)
    return shown if shown.bill in (bill.id, *bill.reversed_by) else None


def _may_know(reader: Reader, caller: Caller, code: int, number: int, now: int) -> bool:
    """Whether the caller may know that a number was never used: by a grant, or as its holder."""
    if by_grant(reader, caller, code, now):
        return True
    if caller.kind != "member" or not caller.own(code):
        return False
    return any(
        row.first <= number <= row.last and caller.org in (row.holder, row.grantor, *row.former)
        for row in list_allotments(reader, code)
    )


def forbidden(caller: Caller, what: str) -> Rejected:
    """The one way to say no: the same whether `what` is there or not."""
    if caller.kind == "anonymous":
        return Rejected(WebReason.UNSIGNED)
    return Rejected(WebReason.FORBIDDEN, f"{what}: none, or none that {caller.name} may read")


# ---------------------------------------------------------------------------- the holder's log


def reads_of(rows: Iterable[Access]) -> list[Touched]:
    """What a server's log of reads says, as the holder's log has it."""
    return [
        Touched(
            at=format_instant(row.at),
            where=WEB,
            what="read",
            who=row.who,
            why=row.why,
            outcome=ACCEPTED,
        )
        for row in rows
    ]
