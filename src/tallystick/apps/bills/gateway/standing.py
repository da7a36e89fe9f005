"""How bills stand and what waits, for tills, the page and monitoring.

Invariant: what is said of a bill is what its verified row says, or is marked as not fresh.
See docs/guides/gateway.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from tallystick.apps.bills.acts import said_of
from tallystick.apps.bills.gateway.link import Link
from tallystick.apps.bills.gateway.orders import SAID, Said
from tallystick.apps.bills.gateway.reasons import GatewayReason
from tallystick.apps.bills.gateway.refs import Refs, Row
from tallystick.apps.bills.gateway.writer import Writer
from tallystick.contracts.bills.records.bills import Bill, BillId, parse_bill_id
from tallystick.contracts.bills.views.bills import find_bill, is_archived
from tallystick.protocol.canonical import Meta, Raw, Record
from tallystick.protocol.errors import Rejected, TallystickError
from tallystick.protocol.values import Count, Instant, format_instant
from tallystick.vault import Vault

LISTED_MAX = 500
Why = Literal["flying", "offline", "signed", "unsure", "told"]
WHY: dict[str, tuple[str, str]] = {
    "flying": ("已送往账本，等候证明", "on its way to the ledger"),
    "offline": ("离线开具，等候账本恢复后入账", "made offline; handed in when the ledger is back"),
    "signed": ("已签名，等候送往账本", "signed; to be sent to the ledger"),
    "unsure": ("中断过，须待账本恢复后核对", "interrupted; only the ledger can say"),
    "told": (
        "账本未接受，但号码已告知他人：请以新的 ref 重开，并申报该号码作废",
        "the ledger took it not, but its number was told: issue anew under a new ref, and "
        "declare the number void",
    ),
}


class BillStanding(Record):
    """One bill."""

    bill: BillId
    state: Said
    said_zh: str
    said_en: str
    hand_over: bool
    fresh: bool
    """Whether the ledger was asked just now; else it is what is known here."""
    ref: str = ""
    ledger_state: str | None = None
    """``issued``, ``partly_reversed``, ``reversed``, ``reversing``, ``settled``, ``frozen``."""
    total: Count | None = None
    entry: Count | None = None
    archived: bool = False
    offline: bool = False
    paper: BillId | None = None
    paper_state: str | None = None
    reversed_by: list[BillId] = []
    reversal_of: BillId | None = None
    replaces: BillId | None = None
    replaced_by: BillId | None = None
    reason: str = ""
    receipt: Any = None
    """Verified against the trust policy; a file of its own for whoever holds the bill."""


class Waits(Record):
    """One ref that has no end yet."""

    ref: str
    bill: BillId | None = None
    since: Instant
    why: Why
    why_zh: str
    why_en: str
    by: str = ""
    reason: str = ""


class Waiting(Record):
    """All that waits."""

    ledger: Literal["ok", "away", "stopped"]
    ledger_why: str = ""
    trouble: str = ""
    """Why nothing is issued until somebody has looked."""
    doubt: str = ""
    """What went wrong since the last answer that was believed; it is tried again."""
    queued: Count = 0
    reserves: dict[str, int] = {}
    """Numbers that are left of each offline reserve, by code."""
    waits: Annotated[list[Waits], Meta(max_length=2 * LISTED_MAX)] = []
    more: Count = 0
    """Beside those that are listed."""


class Standings:
    """Over the table of refs, the vault and the link; from any thread."""

    def __init__(
        self, refs: Refs, vault: Vault, link: Link, writer: Writer, clock: Callable[[], int]
    ) -> None:
        self._refs = refs
        self._vault = vault
        self._link = link
        self._writer = writer
        self._clock = clock
        self.reconciled: tuple[str, str, int] | None = None
        """When, which day, how many differences."""

    def of(self, bill: str, row: Row | None, *, receipt: bool) -> BillStanding:
        """How a bill stands; `Rejected` when nobody here knows it."""
        standing = self._vault.find(*parse_bill_id(bill))
        if standing is None and row is None:
            raise Rejected(GatewayReason.NO_BILL, bill, path="bill")
        on_ledger = standing is not None and standing.state in ("recorded", "erased")
        if on_ledger and not self._link.away:
            try:
                return self._asked(bill, row, receipt)
            except TallystickError:
                pass  # it went away just now: what is known here is said as such
        state: Said = "signed"
        if on_ledger:
            state = "issued" if row is not None and row.word == "issued" else "issuing"
        elif (row is not None and row.state == "refused") or (
            standing is not None and standing.state == "refused"
        ):
            state = "refused"
        offline = row is not None and bool(row.offline)
        return BillStanding(
            bill=bill,
            state=state,
            said_zh=SAID[state][0],
            said_en=SAID[state][1],
            hand_over=on_ledger or (state == "signed" and offline),
            fresh=state == "signed",
            ref=row.ref if row else "",
            entry=standing.entry if standing else None,
            offline=offline,
            reversal_of=row.about if row is not None and row.kind == "reverse" else None,
            reason=(row.reason if row else None) or (standing.reason if standing else None) or "",
        )

    def _asked(self, bill: str, row: Row | None, receipt: bool) -> BillStanding:
        connection = self._link.connection
        if connection is None:
            raise Rejected(GatewayReason.AWAY)
        with connection.view() as view:
            found = find_bill(view, bill)
            if found is None or found.root is None:
                raise Rejected(GatewayReason.NO_BILL, bill, path="bill")
            word = said_of(view, found)
            archived = is_archived(view, found)
        if row is not None and row.state == "done" and row.word != word:
            self._refs.say(row.ref, word)
        shown = None
        if receipt:
            data, _ = connection.receipt(*parse_bill_id(bill), wait_seconds=2)
            shown = Raw(data)
        state: Said = "issued" if word == "issued" else "issuing"
        return BillStanding(
            bill=bill,
            state=state,
            said_zh=SAID[state][0],
            said_en=SAID[state][1],
            hand_over=True,
            fresh=True,
            ref=row.ref if row else "",
            archived=archived,
            receipt=shown,
            **_of_row(found),
        )

    def waiting(self) -> Waiting:
        """What waits, the oldest first."""
        found = [self._waits(row) for row in self._refs.in_state("sent", LISTED_MAX)]
        found += [self._waits(row) for row in self._refs.in_state("refused", LISTED_MAX)]
        count = self._refs.count()
        return Waiting(
            ledger=self.ledger,
            ledger_why=self._link.why if self._link.away else "",
            trouble=self._writer.trouble,
            doubt=self._writer.doubt,
            queued=self._writer.figures["queued"],
            reserves={str(code): n for code, n in self._writer.reserves.left.items()},
            waits=found,
            more=max(count["sent"] + count["refused"] - len(found), 0),
        )

    @property
    def ledger(self) -> Literal["ok", "away", "stopped"]:
        """How the ledger answers."""
        if self._link.away:
            return "away"
        return "stopped" if self._link.health.state == "stopped" else "ok"

    def health(self) -> dict[str, Any]:
        """For monitoring: the state is ``ok``, ``away`` (bills come out of a reserve), ``idle``
        (nothing can be issued now) or ``trouble``."""
        state = "ok" if not self._link.away else "idle"
        if self._link.away and any(self._writer.reserves.left.values()):
            state = "away"
        if self._writer.trouble:
            state = "trouble"
        count = self._refs.count()
        silent = self._link.silent_seconds
        return {
            "state": state,
            "ledger": self.ledger,
            "silent_seconds": None if silent is None else int(silent),
            "waiting": count["sent"],
            "refused": count["refused"],
            **self._writer.figures,
            "reserves": {str(code): n for code, n in self._writer.reserves.left.items()},
        }

    def keepers(self) -> list[tuple[str, int, int]]:
        """Name, entries behind, seconds since it signed."""
        health = self._link.health
        now = self._clock()
        return [
            (name, max(health.size - size, 0), max(now - at, 0))
            for name, (size, at) in sorted(health.keepers.items())
        ]

    def _waits(self, row: Row) -> Waits:
        why: Why = "signed"
        if row.state == "refused":
            why = "told"
        elif row.ref in self._writer.unsure:
            why = "unsure"
        elif row.offline:
            why = "offline"
        elif self._writer.flies(row.ref):
            why = "flying"
        zh, en = WHY[why]
        return Waits(
            ref=row.ref,
            bill=row.bill,
            since=format_instant(row.at),
            why=why,
            why_zh=zh,
            why_en=en,
            by=row.by,
            reason=row.reason or "",
        )


def _of_row(found: Bill) -> dict[str, Any]:
    return {
        "ledger_state": found.state,
        "total": found.amounts.get("total", 0),
        "entry": found.entry,
        "offline": found.offline,
        "paper": found.paper.id if found.paper else None,
        "paper_state": found.paper.state if found.paper else None,
        "reversed_by": found.reversed_by,
        "reversal_of": found.reversal_of,
        "replaces": found.replaces,
        "replaced_by": found.replaced_by,
        "reason": found.reason or "",
    }
