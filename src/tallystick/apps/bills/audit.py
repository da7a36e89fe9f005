"""The offline audit 稽核: what became of every number, and whether the account says the same.

Of one block out of its file (`audit_file`); of a block, of all blocks of a code or of an issuer's
month out of an export, which is executed again from its first block to a vouched checkpoint. Needs
a trust policy and nothing of whoever keeps the ledger. See docs/spec/audit.md.

Invariant: what is said is recomputed from proven rows; a file in which a number was left out, put
in or changed is refused, whatever else it says.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from tallystick.apps.bills.audit_file import read_block, shown_ranges
from tallystick.contracts.bills.manifest import Counter
from tallystick.contracts.bills.records.accounts import Account, Tally, period_id
from tallystick.contracts.bills.records.bills import (
    Allotment,
    Bill,
    parse_bill_id,
    remaining,
)
from tallystick.contracts.bills.views.accounts import (
    find_account,
    tally_collected,
    tally_period,
)
from tallystick.contracts.bills.views.bills import find_allotment, list_allotments, remaining_ranges
from tallystick.contracts.kit import intervals
from tallystick.contracts.kit.intervals import Interval
from tallystick.ledger.feed import FeedBlock, FeedReader
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.replay import rebuild
from tallystick.ledger.rules import Rules
from tallystick.ledger.view import View
from tallystick.protocol import trust
from tallystick.protocol.checkpoint import parse_note
from tallystick.protocol.errors import VerificationFailed
from tallystick.protocol.genesis import read_genesis
from tallystick.protocol.trust import TrustPolicy, Vouched

Progress = Callable[[int], None]


class AuditVerdict(Enum):
    """What to make of an audit; exit codes as ``tally verify`` has them."""

    EXPLAINED = (0, "authentic: every number is explained, and the accepted account says the same")
    NOT_ACCEPTED = (3, "authentic, but no account of it is accepted")
    CHILDREN = (3, "authentic, but numbers were handed on that are not accounted for")
    UNEXPLAINED = (3, "authentic, but numbers are unexplained")
    DIFFERS = (3, "authentic, but the account is not what the ledger's numbers give")

    def __init__(self, exit_code: int, text: str) -> None:
        self.exit_code = exit_code
        self.text = text


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """One block, or one month, recomputed."""

    about: str
    """The account's id."""
    org: str
    reviewer: str
    """Who reviews it; empty where nobody was named yet."""
    tally: Tally
    account: Account | None
    verdict: AuditVerdict
    ranges: list[Interval] = field(default_factory=list)
    """Of a block: all its numbers in order, each with its fate."""
    unexplained: list[Interval] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)
    """What the account says otherwise."""
    keepers: tuple[str, ...]
    as_of: int | None


def audit_file(file: BinaryIO, policy: TrustPolicy) -> Audit:
    """Audit one block out of its file: `Malformed`, `VerificationFailed`, or what it proves."""
    proven = read_block(file, policy)
    vouched = proven.head.keepers, proven.head.as_of
    return examine(proven.allotment, proven.bills, proven.account, vouched)


def examine(
    row: Allotment,
    bills: Iterable[Bill],
    account: Account | None,
    vouched: tuple[tuple[str, ...], int | None],
) -> Audit:
    """Say what became of each number of a block, given all that its own slots hold."""
    counter, runs = Counter(), list(row.gone)
    for bill in bills:
        _, number = parse_bill_id(bill.id)
        gone = intervals.find(row.gone, number)
        if gone is not None:
            raise VerificationFailed(f"{bill.id} is {gone.fate}, and yet it is {bill.state}")
        counter.add(bill)
        _extend(runs, number, "void" if bill.bill_kind == "void" else "issued")
    tally = counter.tally()
    used = tally.blue + tally.red + tally.paper
    if (used, tally.void) != (row.issued, row.void):
        raise VerificationFailed(
            f"the block counts {row.issued} issued and {row.void} void, its slots {used} and "
            f"{tally.void}"
        )
    taken = sorted(runs, key=lambda each: each.first)
    unexplained = remaining_ranges(row, taken)
    if intervals.count(unexplained) != remaining(row):
        raise VerificationFailed("the block's numbers do not add up to its size")
    granted = intervals.count(row.gone, "granted")
    differs = _differences(tally, account)
    return Audit(
        about=row.id,
        org=row.holder,
        reviewer=account.reviewer if account else "",
        tally=tally,
        account=account,
        verdict=_verdict(account, differs, unexplained, handed_on=granted != row.accounted),
        ranges=sorted([*taken, *unexplained], key=lambda each: each.first),
        unexplained=unexplained,
        differs=differs,
        keepers=vouched[0],
        as_of=vouched[1],
    )


def _extend(runs: list[Interval], number: int, fate: str) -> None:
    """One more number, above all that came before it; neighbours of one fate are one run."""
    if runs and (runs[-1].last, runs[-1].fate) == (number - 1, fate):
        runs[-1] = Interval(first=runs[-1].first, last=number, fate=fate)
    else:
        runs.append(Interval(first=number, last=number, fate=fate))


def _differences(tally: Tally, account: Account | None) -> list[str]:
    """What an account that stands says otherwise than was counted."""
    if account is None or account.state == "returned":
        return []
    found = []
    for name in tally.__struct_fields__:
        stated, counted = getattr(account.tally, name), getattr(tally, name)
        if stated != counted:
            found.append(f"{name}: stated {_shown(stated)}, counted {_shown(counted)}")
    return found


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return ", ".join(f"{each.currency} {each.issued} less {each.reversed}" for each in value)
    return str(value)


def _verdict(
    account: Account | None,
    differs: list[str],
    unexplained: list[Interval],
    *,
    handed_on: bool,
) -> AuditVerdict:
    if differs:
        return AuditVerdict.DIFFERS
    if unexplained:
        return AuditVerdict.UNEXPLAINED
    if handed_on:
        return AuditVerdict.CHILDREN
    if account is None or account.state != "accepted":
        return AuditVerdict.NOT_ACCEPTED
    return AuditVerdict.EXPLAINED


# ------------------------------------------------------------------------------- out of an export


@contextmanager
def executed_again(
    export: Path, policy: TrustPolicy, rules: Rules, progress: Progress | None = None
) -> Iterator[tuple[View, Vouched]]:
    """The state of an export at its checkpoint, which the policy accepts, made again from block 1.

    `VerificationFailed` where the rules do not give what the checkpoint vouches for.
    """
    feed = FeedReader(export)
    genesis, note = feed.genesis(), feed.checkpoint()
    if read_genesis(genesis)[1] != policy.network:
        raise VerificationFailed("the export is of another network than the policy")
    if note is None:
        raise VerificationFailed("the export has no checkpoint, so nobody vouches for it")
    vouched = trust.verify_checkpoint(policy, parse_note(note))
    size, root = vouched.checkpoint.size, vouched.checkpoint.root

    def told(block: FeedBlock) -> None:
        if progress is not None:
            progress(block.block)

    with tempfile.TemporaryDirectory(prefix="tally-audit-") as temporary:
        folder = Path(temporary) / "ledger"
        blocks = (block for block in feed.blocks(0) if block.size <= size)
        head = rebuild(folder, genesis, rules, blocks, told)
        if (head.size, head.root) != (size, root):
            raise VerificationFailed(
                f"the blocks give a log of size {head.size}, the checkpoint is of {size}, "
                "or has another root"
            )
        with Ledger.open(folder, rules) as ledger, ledger.view() as view:
            yield view, vouched


def audit_blocks(
    view: View, vouched: Vouched, code: int, place: tuple[int, int] | None = None
) -> list[Audit]:
    """Audit the block with this level and first number, or all blocks of a code."""
    if place is None:
        rows = list(list_allotments(view, code))
    else:
        row = find_allotment(view, code, *place)
        rows = [] if row is None else [row]
    if not rows:
        raise VerificationFailed("it is proven that there is no such block", path="allotment")
    by = vouched.keepers, vouched.as_of
    return [examine(row, _shown_bills(view, row), find_account(view, row.id), by) for row in rows]


def _shown_bills(view: View, row: Allotment) -> Iterator[Bill]:
    for first, last in shown_ranges(row):
        yield from view.scan_slots(Bill, row.code, first, last)


def audit_month(view: View, vouched: Vouched, org: str, type_id: int, month: str) -> Audit:
    """Audit an issuer's month, or what a reviewer handed on of one."""
    about = period_id(org, type_id, month)
    account = find_account(view, about)
    handed_on = False
    if account is not None and account.includes:
        tally, accepted = tally_collected(view, account)
        handed_on = account.includes != accepted
    else:
        offset = view.genesis.utc_offset_seconds
        tally = tally_period(view, org, type_id, month, offset)
    differs = _differences(tally, account)
    return Audit(
        about=about,
        org=org,
        reviewer=account.reviewer if account else "",
        tally=tally,
        account=account,
        verdict=_verdict(account, differs, [], handed_on=handed_on),
        differs=differs,
        keepers=vouched.keepers,
        as_of=vouched.as_of,
    )
