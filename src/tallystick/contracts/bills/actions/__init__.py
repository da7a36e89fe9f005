"""What may happen to bills: every action, its version, its argument record and its function.

A released version is never edited; a change is a new function under the next number.

Invariant: each function has three parts, READ, CHECK and WRITE; the first check that fails, in the
order in which they stand, is the outcome on every node. See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.actions import (
    accounts,
    allot,
    archive,
    catalogue,
    claims,
    freeze,
    holders,
    issue,
    paper,
    reverse,
    succession,
    supervise,
)
from tallystick.contracts.bills.items import bills as items
from tallystick.contracts.bills.records.bills import OFFLINE_DAYS_MAX
from tallystick.contracts.kit.context import Action
from tallystick.protocol.values import DAY_SECONDS

ACTIONS: dict[str, Action] = {
    "bills.define_type/1": Action(items.DefineType, catalogue.define_type),
    "bills.allot/1": Action(items.Allot, allot.allot),
    "bills.give_back/1": Action(items.GiveBack, allot.give_back),
    "bills.recall/1": Action(items.Recall, allot.recall),
    "bills.opening/1": Action(items.Opening, allot.opening),
    "bills.void_numbers/1": Action(items.VoidNumbers, allot.void_numbers, work=20),
    "bills.suspend_allotment/1": Action(items.SuspendAllotment, allot.suspend_allotment),
    "bills.resume_allotment/1": Action(items.ResumeAllotment, allot.resume_allotment),
    "bills.issue/1": Action(items.Issue, issue.issue),
    "bills.issue_offline/1": Action(
        items.Issue, issue.issue_offline, valid_seconds_max=OFFLINE_DAYS_MAX * DAY_SECONDS
    ),
    "bills.reverse/1": Action(items.Reverse, reverse.reverse, work=4),
    "bills.replace/1": Action(items.Replace, reverse.replace, work=4),
    "bills.withhold/1": Action(items.Withhold, supervise.withhold),
    "bills.release/1": Action(items.Release, supervise.release),
    "bills.suspend_issuer/1": Action(items.SuspendIssuer, supervise.suspend_issuer),
    "bills.resume_issuer/1": Action(items.ResumeIssuer, supervise.resume_issuer),
    "bills.archived/1": Action(items.Archived, supervise.archived, work=20),
    **holders.ACTIONS,
    **claims.ACTIONS,
    **paper.ACTIONS,
    **accounts.ACTIONS,
    **archive.ACTIONS,
    **succession.ACTIONS,
    **freeze.ACTIONS,
}
