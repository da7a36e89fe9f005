"""What holders of bills say: signed within by their keys, relayed by any member.

Whoever relays needs no grant: the authority is the inner signature. The id of an act keys its row,
or the act names what it changes so closely (a binding, a pending one) that it fits only once.

Invariant: whatever a relay does, an act is entered at most once and only as it was signed; while a
new binding by the issuer waits, the old key can object, once, and take back what it allowed.
See docs/spec/contracts/bills-holders.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.actions.checks import (
    check_bill_scope,
    check_issuer,
    check_org,
    fetch_blue,
    put_bill,
    rules_of,
)
from tallystick.contracts.bills.items import holders as items
from tallystick.contracts.bills.items.holders import Act, SaidHelper, SaidOfBill
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import (
    Bill,
    Pending,
    TypePointer,
    holder_now,
    parse_bill_id,
)
from tallystick.contracts.bills.records.holders import (
    Consent,
    Helper,
    Mandate,
    commit_holder,
    consent_holds,
    helper_holds,
    holder_salt,
)
from tallystick.contracts.kit.acts import ACT_WORK, Said, check_act, signed_within
from tallystick.contracts.kit.context import Action, Context
from tallystick.contracts.kit.keys import authorise, check_sender, check_version, read_instant
from tallystick.contracts.kit.reasons import KitReason
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Rejected
from tallystick.protocol.row import Row
from tallystick.protocol.values import format_instant, parse_instant


def check_holder_act(
    ctx: Context, bill: Bill, said: Said, act: Act, makes: type[Row] | None = None
) -> str:
    """The id of an act by whoever may speak for the holder of `bill` now; refuses all others.

    `makes`: what kind of row has the act's id, so that it is entered once.
    """
    signed = check_act(ctx, said, act.key, act.signature)
    if makes is not None:
        _check_new(ctx, makes, signed)
    _check_not_waiting(ctx, bill)
    check_holder_key(ctx, bill, said, act)
    return signed


def check_holder_key(ctx: Context, bill: Bill, said: Said, act: Act) -> None:
    """Refuse another binding than the one that counts, and a key that does not speak for it."""
    commitment, bound = holder_now(bill, ctx.block_time)
    if isinstance(said, SaidOfBill | SaidHelper) and said.bound != bound:
        raise Rejected(BillsReason.BOUND_STALE, f"binding {bound} counts now", path="said/bound")
    if act.helper is not None:
        _check_helper(ctx, bill, act, act.helper)
    elif act.salt is None or commit_holder(act.key, act.salt) != commitment:
        raise Rejected(BillsReason.HOLDER_KEY, f"not the key of {bill.id}", path="act/key")


def _check_helper(ctx: Context, bill: Bill, act: Act, helper: str) -> None:
    row = ctx.fetch(Helper, helper, BillsReason.HELPER_UNKNOWN, "act/helper")
    if row.key != act.key or not helper_holds(row, bill, ctx.block_time):
        raise Rejected(BillsReason.HELPER_UNKNOWN, f"not on {bill.id} now", path="act/helper")
    if row.mandate_key is None:
        return
    opening = act.opening
    if opening is None or (
        commit_holder(opening.key, holder_salt(opening.nonce, row.mandate_key))
        != holder_now(bill, ctx.block_time)[0]
    ):
        raise Rejected(BillsReason.HOLDER_KEY, f"{bill.id} does not open so", path="act/opening")


def _check_not_waiting(ctx: Context, bill: Bill) -> None:
    """In the waiting time the old key could hurry to use what it is about to lose."""
    pending = bill.pending
    if pending is None:
        return
    if pending.disputed:
        raise Rejected(BillsReason.REBIND_WAITS, "the arbiter has to decide", path="bill")
    if ctx.block_time < parse_instant(pending.due):
        raise Rejected(BillsReason.REBIND_WAITS, f"until {pending.due}", path="bill")


def _check_in_person(act: Act) -> None:
    """Who gives away a bill, or appoints others, does so with a key of the holder's own."""
    if act.helper is not None:
        raise Rejected(BillsReason.HELPER_UNKNOWN, "not by a helper", path="act/helper")


def _check_new(ctx: Context, kind: type[Row], signed: str) -> None:
    if ctx.find(kind, signed) is not None:
        raise Rejected(KitReason.ACT_REPLAYED, f"{kind.KIND} {signed}", path="act")


def _check_until(ctx: Context, until: str) -> None:
    if read_instant(until, "said/until") <= ctx.block_time:
        raise Rejected(KitReason.UNTIL_PAST, until, path="said/until")


def _fetch_said(ctx: Context, bill_id: str) -> Bill:
    check_sender(ctx, parse_bill_id(bill_id)[0])
    return fetch_blue(ctx, bill_id)


# ------------------------------------------------------------------------------------- bindings


def bind(ctx: Context, item: items.Bind) -> None:
    """The holder takes a bill to another key: it, not the issuer, has chosen the key from now."""
    # READ
    bill = _fetch_said(ctx, item.said.bill)
    # CHECK
    _check_in_person(item.act)
    check_holder_act(ctx, bill, item.said, item.act)
    # WRITE
    put_bill(ctx, bill, holder=item.said.holder, bound=item.said.bound + 1, pending=None)


def rebind(ctx: Context, item: items.Rebind) -> None:
    """The issuer binds anew: at once if nobody ever bound the bill, else after a waiting time."""
    # READ
    code, number = parse_bill_id(item.bill)
    authorise(ctx, code)
    check_bill_scope(ctx, number)
    bill = fetch_blue(ctx, item.bill)
    holder, bound = holder_now(bill, ctx.block_time)
    # CHECK
    check_issuer(ctx, bill)
    check_version(bill, item.version)
    _check_not_waiting(ctx, bill)
    if item.holder == holder:
        raise Rejected(BillsReason.UNCHANGED, "it is bound so", path="holder")
    # WRITE
    wait = rules_of(ctx, bill).rebind_wait_seconds if bound else 0
    if wait:
        due = format_instant(ctx.block_time + wait)
        pending = Pending(holder=item.holder, due=due, since=ctx.index)
        put_bill(ctx, bill, holder=holder, bound=bound, pending=pending)
    else:
        put_bill(ctx, bill, holder=item.holder, bound=bound + 1, pending=None)


def object_binding(ctx: Context, item: items.ObjectBinding) -> None:
    """The old key says that it is the holder's: the new one waits for the arbiter."""
    # READ
    bill = _fetch_said(ctx, item.said.bill)
    pending = bill.pending
    # CHECK
    _check_in_person(item.act)
    check_act(ctx, item.said, item.act.key, item.act.signature)
    if pending is None or pending.disputed or ctx.block_time >= parse_instant(pending.due):
        raise Rejected(BillsReason.NOTHING_PENDING, f"{bill.id} waits for nothing", path="said")
    if (item.said.holder, item.said.due) != (pending.holder, pending.due):
        raise Rejected(BillsReason.NOTHING_PENDING, "another binding waits", path="said/holder")
    check_holder_key(ctx, bill, item.said, item.act)
    # WRITE
    put_bill(ctx, bill, pending=replace(pending, disputed=True))


def arbitrate(ctx: Context, item: items.Arbitrate) -> None:
    """The arbiter has heard both: the new binding holds from now, or the old one goes on."""
    # READ
    authorise(ctx, parse_bill_id(item.bill)[0])
    bill = fetch_blue(ctx, item.bill)
    pending = bill.pending
    # CHECK
    check_version(bill, item.version)
    if pending is None or not pending.disputed:
        raise Rejected(BillsReason.NOTHING_PENDING, f"{bill.id} is not in dispute", path="bill")
    # WRITE
    if item.uphold == "new":
        put_bill(ctx, bill, holder=pending.holder, bound=bill.bound + 1, pending=None)
    else:
        put_bill(ctx, bill, pending=None)


# ------------------------------------------------------------------------------------- consents


def consent(ctx: Context, item: items.GiveConsent) -> None:
    """One reader may read named fields of one bill, for one purpose."""
    # READ
    said = item.said
    bill = _fetch_said(ctx, said.bill)
    # CHECK
    signed = check_holder_act(ctx, bill, said, item.act, makes=Consent)
    check_org(ctx, said.reader, "said/reader")
    _check_until(ctx, said.until)
    # WRITE
    ctx.put(
        Consent(
            kind=Consent.KIND,
            id=signed,
            state="given",
            good=True,
            until=said.until,
            bill=said.bill,
            bound=said.bound,
            reader=said.reader,
            purpose=said.purpose,
            fields=said.fields,
        )
    )


def mandate(ctx: Context, item: items.GiveMandate) -> None:
    """The same for every bill whose commitment opens to the key that signs."""
    # READ
    said, key = item.said, item.act.key
    check_sender(ctx)
    # CHECK
    _check_in_person(item.act)
    signed = check_act(ctx, said, key, item.act.signature)
    _check_new(ctx, Mandate, signed)
    check_org(ctx, said.reader, "said/reader")
    for n, each in enumerate(said.types):
        ctx.fetch(TypePointer, str(each), BillsReason.TYPE_UNKNOWN, f"said/types/{n}")
    _check_until(ctx, said.until)
    # WRITE
    ctx.put(
        Mandate(
            kind=Mandate.KIND,
            id=signed,
            state="given",
            good=True,
            until=said.until,
            key=key,
            reader=said.reader,
            purpose=said.purpose,
            types=said.types,
            cap=said.cap,
            fields=said.fields,
        )
    )


def appoint_helper(ctx: Context, item: items.AppointHelper) -> None:
    """Another key may act for the holder, on one bill or on all of a wallet's."""
    # READ
    said, act = item.said, item.act
    if said.bill is None:
        check_sender(ctx)
        bill = None
    else:
        bill = _fetch_said(ctx, said.bill)
    # CHECK
    _check_in_person(act)
    if bill is None:
        signed = check_act(ctx, said, act.key, act.signature)
        _check_new(ctx, Helper, signed)
    else:
        signed = check_holder_act(ctx, bill, said, act, makes=Helper)
    _check_until(ctx, said.until)
    # WRITE
    ctx.put(
        Helper(
            kind=Helper.KIND,
            id=signed,
            state="appointed",
            good=True,
            until=said.until,
            key=said.helper,
            bill=said.bill,
            bound=said.bound,
            mandate_key=act.key if bill is None else None,
        )
    )


def revoke(ctx: Context, item: items.Revoke) -> None:
    """What an act allowed is over: by whoever could allow it now."""
    _REVOKE[item.kind](ctx, item)


def _revoke_consent(ctx: Context, item: items.Revoke) -> None:
    # READ
    row = ctx.fetch(Consent, item.said.of, BillsReason.CONSENT_UNKNOWN, "said/of")
    bill = _fetch_said(ctx, row.bill)
    # CHECK
    check_act(ctx, item.said, item.act.key, item.act.signature)
    if not consent_holds(row, bill, ctx.block_time):
        raise Rejected(BillsReason.CONSENT_UNKNOWN, "it is over", path="said/of")
    check_holder_key(ctx, bill, item.said, item.act)
    # WRITE
    ctx.put(row, state="revoked", good=False)


def _revoke_mandate(ctx: Context, item: items.Revoke) -> None:
    # READ
    check_sender(ctx)
    row = ctx.fetch(Mandate, item.said.of, BillsReason.CONSENT_UNKNOWN, "said/of")
    # CHECK
    _check_in_person(item.act)
    check_act(ctx, item.said, item.act.key, item.act.signature)
    if not row.good:
        raise Rejected(BillsReason.CONSENT_UNKNOWN, "it is over", path="said/of")
    if item.act.key != row.key:
        raise Rejected(BillsReason.HOLDER_KEY, "another key gave it", path="act/key")
    # WRITE
    ctx.put(row, state="revoked", good=False)


def _revoke_helper(ctx: Context, item: items.Revoke) -> None:
    # READ
    row = ctx.fetch(Helper, item.said.of, BillsReason.HELPER_UNKNOWN, "said/of")
    bill = None if row.bill is None else _fetch_said(ctx, row.bill)
    if bill is None:
        check_sender(ctx)
    # CHECK
    _check_in_person(item.act)
    check_act(ctx, item.said, item.act.key, item.act.signature)
    if not row.good:
        raise Rejected(BillsReason.HELPER_UNKNOWN, "it is over", path="said/of")
    if bill is not None:
        check_holder_key(ctx, bill, item.said, item.act)
    elif item.act.key != row.mandate_key:
        raise Rejected(BillsReason.HOLDER_KEY, "another key appointed it", path="act/key")
    # WRITE
    ctx.put(row, state="revoked", good=False)


_REVOKE = {"consent": _revoke_consent, "mandate": _revoke_mandate, "helper": _revoke_helper}

ACTIONS: dict[str, Action] = {
    "bills.bind/1": Action(items.Bind, bind, work=ACT_WORK, signed=signed_within),
    "bills.rebind/1": Action(items.Rebind, rebind),
    "bills.object_binding/1": Action(
        items.ObjectBinding, object_binding, work=ACT_WORK, signed=signed_within
    ),
    "bills.arbitrate/1": Action(items.Arbitrate, arbitrate),
    "bills.consent/1": Action(items.GiveConsent, consent, work=ACT_WORK, signed=signed_within),
    "bills.mandate/1": Action(items.GiveMandate, mandate, work=ACT_WORK, signed=signed_within),
    "bills.appoint_helper/1": Action(
        items.AppointHelper, appoint_helper, work=ACT_WORK, signed=signed_within
    ),
    "bills.revoke/1": Action(items.Revoke, revoke, work=ACT_WORK, signed=signed_within),
}
