"""`tally claims plan` and the shares of a plan: who reimburses a bill in which order.

Invariant: a plan binds only who accepted it. See docs/guides/reimburser.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli import options
from tallystick.cli.acting import How, act, acting, nonce
from tallystick.cli.claiming import (
    Basis,
    Benefit,
    ClaimsDir,
    Decision,
    Opening,
    Paper,
    Presented,
    Ref,
    Right,
    RightId,
    WhyNothing,
    amount_of,
    decided,
    finish,
    right_of,
)
from tallystick.cli.failures import fail

if TYPE_CHECKING:
    from collections.abc import Callable

    from tallystick.apps.bills.claim_orders import Answer
    from tallystick.apps.bills.reimburser import Reimburser

PlannedBill = Annotated[
    str, typer.Argument(metavar="BILL", help="CODE:NUMBER, like 33060126:0000000001.")
]
PlannedBills = Annotated[list[str], typer.Argument(metavar="BILL...", help="CODE:NUMBER.")]
NeededPurpose = Annotated[
    str, typer.Option("--purpose", help="One word: what is claimed for, as the plan names it.")
]


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    app.command()(acting(plan))
    app.command("accept-plan")(acting(accept_plan))
    app.command()(acting(waive))
    app.command()(acting(ready))


def plan(
    how: How,
    bill: PlannedBill,
    share: Annotated[
        list[str],
        typer.Option("--share", help="ORG:PURPOSE, or ORG:PURPOSE:RANK; else ranks as listed."),
    ],
    atomic: Annotated[
        bool, typer.Option("--atomic", help="All shares are settled together, or none.")
    ] = False,
    until: Annotated[
        str | None, typer.Option("--until", help="When the plan is over, UTC; atomic: needed.")
    ] = None,
) -> None:
    """Say who reimburses a bill in which order. By its issuer, at the counter."""
    from tallystick.cli.inputs import parse_bill
    from tallystick.contracts.bills.items.claims import MakePlan, PlannedShare, SaidPlan
    from tallystick.contracts.bills.records.bills import format_bill_id, holder_now
    from tallystick.contracts.bills.views.bills import find_bill
    from tallystick.contracts.bills.views.claims import find_plan

    bill_id = format_bill_id(*parse_bill(bill))
    shares = []
    for n, text in enumerate(share, start=1):
        org, purpose, rank = _parse_share(text, n)
        shares.append(PlannedShare(reimburser=org, purpose=purpose, rank=rank))

    def items(view: Any) -> list[Any]:
        row, former = find_bill(view, bill_id), find_plan(view, bill_id)
        said = SaidPlan(
            nonce=nonce(),
            bill=bill_id,
            bound=holder_now(row, view.head.at)[1] if row else 0,
            version=former.version if former else 0,
            mode="atomic" if atomic else "sequential",
            shares=shares,
            until=until,
        )
        return [MakePlan(nonce=nonce(), said=said)]

    act(how, "bills.plan/1", items)


def accept_plan(how: How, bills: PlannedBills, claims: ClaimsDir, purpose: NeededPurpose) -> None:
    """Keep to your rank in the plans of bills."""
    from tallystick.apps.bills.claim_orders import ShareOrder

    wanted = [ShareOrder(each, purpose) for each in _ids(bills)]
    _do(how, claims, "accepted", lambda desk: desk.accept_plan(wanted))


def waive(
    how: How,
    bills: PlannedBills,
    claims: ClaimsDir,
    purpose: NeededPurpose,
    reason: options.Reason,
) -> None:
    """Take no part in the plans of bills. The others need not wait; ends an atomic plan."""
    from tallystick.apps.bills.claim_orders import ShareOrder

    wanted = [ShareOrder(each, purpose, reason) for each in _ids(bills)]
    _do(how, claims, "waived", lambda desk: desk.waive(wanted))


def ready(
    how: How,
    bill: PlannedBill,
    claims: ClaimsDir,
    amount: Annotated[str, typer.Option("--amount", help="With two decimals, like 12.30.")],
    decision: Decision,
    purpose: NeededPurpose,
    right: Right = "",
    right_id: RightId = "",
    opening: Opening = None,
    presented: Presented = None,
    basis: Basis = "cash",
    benefit: Benefit = "indemnity",
    reason: WhyNothing = None,
    paper: Paper = None,
    ref: Ref = "",
) -> None:
    """Be ready to settle your share of an atomic plan. The last one settles all."""
    from tallystick.apps.bills.claim_orders import ReadyOrder

    stated: dict[str, Any] = {"basis": basis, "benefit": benefit}
    stated |= right_of(presented, right, right_id, opening)
    if not stated["right"]:
        fail("cli.missing", "缺少 --right 或 --presented", "--right or --presented is missing")
    wanted = ReadyOrder(
        bill=_ids([bill])[0],
        purpose=purpose,
        amount=amount_of(amount),
        paper=paper,
        ref=ref,
        decision=decided(decision),
        reason=reason,
        **stated,
    )
    _do(how, claims, "ready", lambda desk: desk.ready([wanted]))


def _do(how: How, claims: Any, done_word: str, do: Callable[[Reimburser], list[Answer]]) -> None:
    from tallystick.cli.claims_desk import ClaimAnswers, open_reimburser

    with ClaimAnswers(done_word, as_json=how.as_json) as answers:
        with open_reimburser(how, claims) as desk:
            answers.add(do(desk))
        finish(how, answers)


def _ids(bills: list[str]) -> list[str]:
    from tallystick.cli.inputs import parse_bill
    from tallystick.contracts.bills.records.bills import format_bill_id

    return [format_bill_id(*parse_bill(each)) for each in bills]


def _parse_share(text: str, n: int) -> tuple[str, str, int]:
    org, _, rest = text.partition(":")
    purpose, colon, rank = rest.partition(":")
    if not org or not purpose or (colon and not (rank.isascii() and rank.isdigit())):
        fail(
            *("cli.share", "份额应写作 单位:用途 或 单位:用途:顺位"),
            "a share is written ORG:PURPOSE or ORG:PURPOSE:RANK",
            detail=text,
        )
    return org, purpose, int(rank) if colon else n
