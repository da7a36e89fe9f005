"""Before anything is issued: which claims have a bill, which can have one, what the ledger says.

Invariant: nothing here writes; what is read of earlier runs is read off the ledger and out of the
vaults. See docs/guides/synthea.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tallystick.apps.bills.sending import new_nonce
from tallystick.apps.bills.synthea_bills import (
    Place,
    Setting,
    import_types,
    make_body,
    organisation_id,
    setting_of,
)
from tallystick.apps.bills.synthea_ledger import ImportLedger
from tallystick.apps.bills.synthea_reconcile import Refusal
from tallystick.apps.bills.synthea_records import Claim, Export, Party
from tallystick.contracts.bills.body import Body, Liability
from tallystick.contracts.bills.items.bills import Issue
from tallystick.contracts.bills.records.bills import Allotment, TypeRules, parse_bill_id, remaining
from tallystick.contracts.bills.views.bills import find_bills, list_allotments, remaining_ranges
from tallystick.protocol.canonical import decode
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import format_instant

REHEARSED_MAX = 500
"""Items of a rehearsal: some 600 bytes each stay below a transaction's limit."""
UNKNOWN_NETWORK = bytes(32)
UNKNOWN_TIME = "2026-01-01T00:00:00Z"


class ImportedBill(NamedTuple):
    """What the ledger says of a claim's bill."""

    bill: str
    total: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be issued, by organisation, and what cannot be."""

    export: Export
    ready: Mapping[Party, Sequence[tuple[Claim, Body]]]
    """Drafts: an office fills in network and number."""
    before: Mapping[str, ImportedBill]
    """By claim: imported by an earlier run."""
    refusals: tuple[Refusal, ...]

    @property
    def count(self) -> int:
        """How many bills are to be issued."""
        return sum(map(len, self.ready.values()))


def make_plan(export: Export, ledger: ImportLedger | None) -> Plan:
    """Make and check the body of every claim that has no bill yet; nothing is written.

    Without a ledger, or before its types are defined, the reference rules are asked.
    """
    before = find_imported(export, ledger) if ledger else {}
    network = ledger.node.network if ledger else UNKNOWN_NETWORK
    issued_at = format_instant(ledger.node.clock.now()) if ledger else UNKNOWN_TIME
    types = {setting: _place(setting, ledger) for setting in import_types()}
    ready: dict[Party, list[tuple[Claim, Body]]] = {}
    refusals = []
    for claim in export.claims:
        if claim.uuid in before:
            continue
        issuer = export.organisations[claim.encounter.organisation]
        code, template, rules = types[setting_of(claim)]
        try:
            body = make_body(claim, issuer, Place(network, code, 1, issued_at, template), rules)
        except Rejected as error:
            refusals.append(refusal_of(claim, error.reason.value, error.detail, error.path))
        else:
            ready.setdefault(issuer, []).append((claim, body))
    return Plan(export, ready, before, tuple(refusals))


def rehearse(plan: Plan, ledger: ImportLedger) -> tuple[Plan, bool]:
    """The plan without what the ledger would refuse, and whether the ledger could be asked at all.

    A claim for which there is no number left stays in the plan: its office will say so.
    """
    refusals, asked = list(plan.refusals), True
    ready: dict[Party, list[tuple[Claim, Body]]] = {}
    for issuer, drafts in plan.ready.items():
        outcomes = list(_rehearse(ledger, organisation_id(issuer.uuid), drafts))
        asked = asked and len(outcomes) == len(drafts)
        outcomes += [ACCEPTED] * (len(drafts) - len(outcomes))
        ready[issuer] = []
        for (claim, body), outcome in zip(drafts, outcomes, strict=True):
            if outcome == ACCEPTED:
                ready[issuer].append((claim, body))
            else:
                refusals.append(refusal_of(claim, outcome, "by the ledger's rehearsal", ""))
    return Plan(plan.export, ready, plan.before, tuple(refusals)), asked


def _place(setting: Setting, ledger: ImportLedger | None) -> tuple[int, str, TypeRules]:
    """Code, template and rules of a type."""
    reference = import_types()[setting]
    defined = ledger.find_type(reference.type_id) if ledger else None
    code = ledger.code(reference.type_id) if ledger else reference.code(0)
    return code, reference.entry.template, defined.rules if defined else reference.rules


def _rehearse(
    ledger: ImportLedger, org: str, drafts: Sequence[tuple[Claim, Body]]
) -> Iterator[str]:
    """Outcomes, as far as the organisation is a member with numbers."""
    with ledger.node.view() as view:
        places = list(list_allotments(view, holder=org))
    items: list[Issue] = []
    numbers = {code: _numbers(places, code) for code in dict.fromkeys(b.code for _, b in drafts)}
    for _, body in drafts:
        at = next(numbers[body.code], None)
        kind = ledger.find_type(body.type)
        if at is None or kind is None:
            break
        items.append(_item(body, at, kind.type_version))
    for start in range(0, len(items), REHEARSED_MAX):
        yield from ledger.rehearse(org, "bills.issue/1", items[start : start + REHEARSED_MAX])


def _numbers(places: Sequence[Allotment], code: int) -> Iterator[tuple[Allotment, int]]:
    """Numbers of a code that nobody has used yet."""
    for row in places:
        if row.code == code and row.state == "open" and remaining(row):
            for free in remaining_ranges(row, row.gone):
                for number in range(max(free.first, row.next), free.last + 1):
                    yield row, number


def _item(body: Body, at: tuple[Allotment, int], version: int) -> Issue:
    """The record's half, with commitments to nothing: the ledger never looks into them."""
    place, number = at
    liability = body.payment.liability or Liability()
    return Issue(
        nonce=new_nonce(),
        code=body.code,
        level=place.level,
        first=place.first,
        number=number,
        type_version=version,
        issued_at=body.issued_at,
        currency=body.currency,
        root=bytes(32),
        holder=bytes(32),
        total=body.total,
        cash=body.payment.sources.cash,
        self_pay=liability.self_pay,
        self_expense=liability.self_expense,
    )


def needed_numbers(plan: Plan) -> dict[tuple[str, int], int]:
    """Numbers, by organisation and code."""
    needed: dict[tuple[str, int], int] = {}
    for issuer, drafts in plan.ready.items():
        for _, body in drafts:
            key = (organisation_id(issuer.uuid), body.code)
            needed[key] = needed.get(key, 0) + 1
    return needed


def find_imported(export: Export, ledger: ImportLedger) -> dict[str, ImportedBill]:
    """The bills that the export's claims have, by claim: off the ledger, opened by the vaults."""
    claims = {claim.uuid for claim in export.claims}
    found: dict[str, ImportedBill] = {}
    for issuer in export.used:
        for claim, bill in _bills_of(ledger, organisation_id(issuer.uuid)):
            if claim in claims:
                found.setdefault(claim, bill)
    return found


def _bills_of(ledger: ImportLedger, org: str) -> Iterator[tuple[str, ImportedBill]]:
    """All imported bills of an organisation; one that has issued nothing has no vault yet."""
    types = [each.type_id for each in import_types().values()]
    with ledger.node.view() as view:
        rows = [
            row
            for place in list_allotments(view, holder=org)
            if place.code // 100 in types and place.next > place.first
            for row in find_bills(view, place.code, place.first, place.next - 1, org)
            if row.bill_kind == "blue"
        ]
    if not rows:
        return
    with ledger.open_vault(org) as vault:
        for row in rows:
            code, number = parse_bill_id(row.id)
            if vault.find(code, number) is not None:
                body = decode(vault.get(code, number)[0], Body)
                yield body.business_codes[0], ImportedBill(row.id, row.amounts["total"])


def refusal_of(claim: Claim, reason: str, detail: str, path: str) -> Refusal:
    org = organisation_id(claim.encounter.organisation)
    return Refusal(claim.uuid, claim.line, org, reason, detail, path)
