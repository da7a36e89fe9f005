"""The events of bills: all their words, and who may see which of them.

A lock hides its reimburser from whoever may see the bill; so do these events: a claim's, consent's
or plan's are whole for the reimburser that they name and for supervisors, and without names for the
bill's issuer. See docs/spec/events.md.

Invariant: who reimburses, or may, is told to itself and to who reads all bills of a code; to nobody
else, by no field and by no filter.
"""

from __future__ import annotations

from functools import cache

from tallystick.apps.bills.event_words import DESCRIBERS
from tallystick.client.passes import BILLS_READ, LEDGER_READ
from tallystick.contracts.bills.views.bills import acts_for
from tallystick.contracts.kit.context import Reader
from tallystick.ledger.events import DomainEvents, MayRead, Sight, Told
from tallystick.protocol.canonical import replace
from tallystick.protocol.event import About, Event

PARTIES = ("issuer", "reimburser", "holder", "reviewer", "archive", "vault", "successor", "by")
"""Roles of organisations: who stands in one sees the event."""
HIDDEN = ("reimburser", "act")
"""Roles that a private event keeps from all but the reimburser itself."""
PRIVATE = frozenset({"claim", "consent", "mandate", "helper", "plan", "booking"})
"""Families of events that say, or let one guess, who insures whom."""
RELAYED = frozenset({"bill.bound", "binding.disputed"})
"""Words of acts that any member may relay: who did is nobody's business."""
CONSEQUENCES = frozenset({"claim.due", "claim.settled", "booking.doubtful"})
"""What an act may do to others, whom even its sender is not told of."""
ENDED = frozenset({"consent.revoked", "mandate.revoked", "helper.revoked"})
"""Told of a row that the item names by its act alone: who relays the end need not know the rest."""
CATALOGUE = frozenset({"type.defined"})
"""What every member may know."""

TYPES = frozenset(
    {
        *("type.defined", "issuer.suspended", "issuer.resumed", "issuer.archived"),
        *("issuer.succeeded", "numbers.allotted", "numbers.given_back", "numbers.recalled"),
        *("numbers.used_before", "numbers.voided", "numbers.suspended", "numbers.resumed"),
        *("bill.issued", "bill.reversing", "bill.not_reversing", "bill.reversed"),
        *("bill.replaced", "bill.withheld", "bill.released", "bill.bound", "bill.rebound"),
        *("bill.frozen", "bill.unfrozen", "deposit.used"),
        *("binding.disputed", "binding.decided", "finding.made", "finding.answered"),
        *("consent.given", "consent.revoked", "mandate.given", "mandate.revoked"),
        *("helper.appointed", "helper.revoked"),
        *("claim.locked", "claim.renewed", "claim.released", "claim.rejected", "claim.settled"),
        *("claim.supplemented", "claim.due", "claim.recovered", "claim.waived"),
        *("plan.made", "plan.named", "plan.accepted", "plan.waived", "plan.ready"),
        *("paper.printing", "paper.live", "paper.cancelled", "paper.reprinted"),
        *("paper.recovered", "paper.lost", "booking.made", "booking.undone", "booking.doubtful"),
        *("account.submitted", "account.returned", "account.accepted", "account.archived"),
        *("hold.stated", "hold.lifted", "erasure.ordered", "erasure.owed", "erasure.done"),
    }
)
ROLES = frozenset(
    {
        *(*PARTIES, *HIDDEN),
        *("bill", "code", "red", "new", "claim", "paper", "type", "allotment", "account"),
        "finding",
    }
)


def describe(reader: Reader, told: Told) -> list[About]:
    """What an accepted item did to bills."""
    return list(DESCRIBERS[told.action](reader, told))


def visible(reader: Reader, org: str, may_read: MayRead) -> Sight:
    """What a member may see of what it and others did."""

    @cache
    def reads(code: str) -> bool:
        number = int(code) if code else None
        return may_read(BILLS_READ, number) or may_read(LEDGER_READ, number)

    @cache
    def is_own(name: str) -> bool:
        return bool(org) and acts_for(reader, org, name)

    def see_part(about: About, *, own: bool) -> About | None:
        ids = about.ids
        if reads(ids.get("code", "")) or (about.type in CATALOGUE and org):
            return about
        if own and about.type not in CONSEQUENCES | ENDED:
            return about  # it wrote all of that itself
        if not any(is_own(ids[role]) for role in PARTIES if role in ids):
            ended = own and about.type in ENDED
            return replace(about, ids={"act": ids["act"]}) if ended else None
        if not _is_private(about) or is_own(ids.get("reimburser", "")):
            return about
        return replace(about, ids={role: ids[role] for role in ids if role not in HIDDEN})

    def see(event: Event) -> Event | None:
        own = bool(org) and event.sender == org
        parts = (see_part(each, own=own) for each in event.about)
        about = [each for each in parts if each is not None]
        if not about:
            return None
        hides = not all(
            reads(each.ids.get("code", ""))
            or not _is_private(each)
            or event.sender == each.ids.get("issuer")
            for each in about
        )
        return replace(event, about=about, sender=None if hides and not own else event.sender)

    return see


def _is_private(about: About) -> bool:
    return about.type.partition(".")[0] in PRIVATE or about.type in RELAYED


EVENTS = DomainEvents(describe=describe, visible=visible, types=TYPES, roles=ROLES)
"""What the composition hands to `ledger.events`."""
