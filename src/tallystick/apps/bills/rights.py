"""By what right a bill is shown: a consent, a standing mandate, or a statute's grant.

Invariant: a right that passes is this reader's, for this purpose (a grant names none), for this
bill and its binding; whether it is still good is said beside it, never left out.
See docs/spec/presentation.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from tallystick.apps.bills.showing import Presentation
from tallystick.contracts.bills.actions.claiming import STATUTE_ACTION
from tallystick.contracts.bills.records.bills import Bill, holder_now, parse_bill_id
from tallystick.contracts.bills.records.holders import (
    Consent,
    Mandate,
    commit_holder,
    holder_salt,
)
from tallystick.contracts.kit.grants import Authority, Grant, codes_cover, pattern_allows
from tallystick.protocol.canonical import narrow
from tallystick.protocol.errors import VerificationFailed
from tallystick.protocol.row import Row
from tallystick.protocol.trust import TrustPolicy
from tallystick.protocol.values import parse_instant
from tallystick.verify import CLOCK_AHEAD_SECONDS_MAX, Verdict, Verified

R = TypeVar("R", bound=Row)


class Against(NamedTuple):
    """Why what is proven must not be acted on."""

    verdict: Verdict
    detail: str


@dataclass(frozen=True, slots=True)
class LiveRight:
    """A right that is this reader's, for this bill; `against`: why it is not good now."""

    id: str
    until: str | None
    against: list[Against]
    needs_type: bool = False


def verify_right(
    presentation: Presentation, bill: Bill, rows: Sequence[Verified], at: int
) -> LiveRight:
    """The right of the presentation, of which `rows` are proven, as it stands at `at`."""
    return _RIGHTS[presentation.right.kind](presentation, bill, rows, at)


def bill_against(found: Verified, bill: Bill) -> list[Against]:
    """What speaks against acting on a bill; a part that was reversed leaves the rest good.

    How old its state is, is asked of every proof, and not here.
    """
    if found.verdict in (Verdict.GOOD, Verdict.STALE):
        return []
    if found.verdict is Verdict.NOT_GOOD and bill.state == "partly_reversed":
        return []
    return [Against(found.verdict, f"the bill is {bill.state}")]


def stale_against(proof: Verified, policy: TrustPolicy, now: int) -> list[Against]:
    """That a proof is older than the reader's policy allows, or ahead of the reader's clock."""
    age_seconds = now - (proof.as_of or 0)
    if -CLOCK_AHEAD_SECONDS_MAX <= age_seconds <= policy.status_max_age_seconds:
        return []
    key = proof.state.key if proof.state is not None else ""
    return [Against(Verdict.STALE, f"the state of {key} is {age_seconds} s old")]


def typed_row(found: Verified, kind: type[R], row_id: str | None, path: str) -> R:
    """The proven row, which must be of this kind and, if given, of this id."""
    state = found.state
    if state is None or state.row is None or state.envelope is None:
        raise VerificationFailed("it proves that there is no such row", path=path)
    if state.envelope.kind != kind.KIND or row_id not in (None, state.envelope.id):
        raise VerificationFailed(f"it proves {state.key}", path=path)
    return narrow(state.row, kind)


def _one(rows: Sequence[Verified]) -> Verified:
    if len(rows) != 1:
        raise VerificationFailed(f"{len(rows)} rows prove it, not 1", path="right/rows")
    return rows[0]


def _consent(
    presentation: Presentation, bill: Bill, rows: Sequence[Verified], at: int
) -> LiveRight:
    """A consent to this reader, for this purpose, about this bill and its binding."""
    found = _one(rows)
    row = typed_row(found, Consent, None, "right/rows/0")
    _verify_words(presentation, row)
    if row.bill != bill.id:
        raise VerificationFailed(f"the consent is about {row.bill}", path="right/rows/0")
    against = _not_good(found, "the consent")
    if row.bound != holder_now(bill, at)[1]:
        against.append(Against(Verdict.NOT_GOOD, "the bill was bound anew since the consent"))
    return LiveRight(row.id, row.until, against)


def _mandate(
    presentation: Presentation, bill: Bill, rows: Sequence[Verified], at: int
) -> LiveRight:
    """A mandate of the wallet to whose key the bill's commitment opens, for its type."""
    found, opening = _one(rows), presentation.right.opening
    row = typed_row(found, Mandate, None, "right/rows/0")
    _verify_words(presentation, row)
    if opening is None:
        raise VerificationFailed("it does not show whose bill it is", path="right/opening")
    against = _not_good(found, "the mandate")
    opened = commit_holder(opening.key, holder_salt(opening.nonce, row.key))
    if opened != holder_now(bill, at)[0]:
        if opened != bill.holder:
            raise VerificationFailed("the bill is not one of the mandate's", path="right/opening")
        against.append(Against(Verdict.NOT_GOOD, "the bill was bound anew since the mandate"))
    code, _ = parse_bill_id(bill.id)
    if row.types and code // 100 not in row.types:
        raise VerificationFailed("the mandate does not name this type", path="right/rows/0")
    return LiveRight(row.id, row.until, against, needs_type=not row.types)


def _statute(
    presentation: Presentation, bill: Bill, rows: Sequence[Verified], at: int
) -> LiveRight:
    """A live grant of the reader for `STATUTE_ACTION` on the bill's code, down to its founding."""
    org, grant_id = presentation.audience, presentation.right.grant
    first, until, against = None, None, list[Against]()
    for n, found in enumerate(rows):
        if grant_id is None:
            raise VerificationFailed("more rows than the grant came from", path=f"right/rows/{n}")
        held = typed_row(found, Authority, org, f"right/rows/{n}")
        against += _not_good(found, f"the authority of {org}")
        grant = next((each for each in held.grants if each.grant_id == grant_id), None)
        if grant is None:
            raise VerificationFailed(f"{org} has no grant {grant_id}", path=f"right/rows/{n}")
        first = first or grant
        if grant.ended is not None or _is_over(grant.until, at):
            against.append(Against(Verdict.NOT_GOOD, f"the grant of {org} has ended"))
        if grant.until is not None and (until is None or grant.until < until):
            until = grant.until
        org, grant_id = (grant.parent.org, grant.parent.grant_id) if grant.parent else (org, None)
    if first is None or grant_id is not None:
        raise VerificationFailed(f"nothing shows the grant {grant_id} of {org}", path="right/rows")
    _verify_statute(first, bill)
    return LiveRight(first.grant_id, until, against)


def _verify_statute(grant: Grant, bill: Bill) -> None:
    code, _ = parse_bill_id(bill.id)
    if not any(pattern_allows(each, STATUTE_ACTION) for each in grant.actions):
        raise VerificationFailed(f"the grant is not for {STATUTE_ACTION}", path="right/grant")
    if not codes_cover(grant.codes, code):
        raise VerificationFailed(f"the grant is not for code {code}", path="right/grant")


_RIGHTS = {"consent": _consent, "mandate": _mandate, "statute": _statute}


def _verify_words(presentation: Presentation, row: Consent | Mandate) -> None:
    """What was signed is what the file says: reader, purpose, fields."""
    fields = presentation.right.fields
    for name, said, shown in (
        ("audience", row.reader, presentation.audience),
        ("purpose", row.purpose, presentation.purpose),
        ("right/fields", row.fields, None if fields is None else fields.digest),
    ):
        if said != shown:
            raise VerificationFailed("not what the holder consented to", path=name)


def _not_good(found: Verified, what: str) -> list[Against]:
    if found.verdict in (Verdict.GOOD, Verdict.STALE):  # how old it is, is asked of every proof
        return []
    return [Against(found.verdict, f"{what} has ended")]


def _is_over(until: str | None, at: int) -> bool:
    return until is not None and at >= parse_instant(until)
