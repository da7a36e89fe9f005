"""The stranger's check of a bill: somebody without an account compares what a paper says.

They say its number and what they hold: check code, total, date, payer's name. Each is answered
``match``, ``differs`` or ``unchecked``; the true value is never shown, nor whether a number was
issued at all to whoever has neither the right check code nor the right total. Attempts are limited
for each bill and each client. See docs/spec/check.md.

Invariant: a wrong guess learns only that it was wrong.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from hmac import compare_digest
from pathlib import Path
from typing import Annotated, Literal

from starlette.responses import Response

from tallystick.apps.bills.api import business_day
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.records.bills import (
    Bill,
    BillCode,
    BillNumber,
    format_bill_id,
)
from tallystick.contracts.bills.views.bills import find_bill, is_archived
from tallystick.ledger.view import View
from tallystick.protocol.canonical import Meta, Record, decode
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import Amount, Instant, format_instant, parse_instant
from tallystick.vault import Archive
from tallystick.web.attempts import Attempts
from tallystick.web.endpoint import Access, Ask, Endpoint, answer
from tallystick.web.exchange import exchange_of
from tallystick.web.gate import client_of
from tallystick.web.reasons import WebReason

Compared = Literal["match", "differs", "unchecked"]
FindBody = Callable[[int, int], "Body | None"]
"""The body of a bill, where whoever answers has it."""
PATH = "/api/v1/bills/check"


class Shown(Record):
    """What a stranger holds in the hand."""

    code: BillCode
    number: BillNumber
    check_code: Annotated[str, Meta(min_length=1, max_length=12)] | None = None
    """校验码."""
    total: Amount | None = None
    """Whole fen."""
    day: Annotated[str, Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")] | None = None
    """Of issue, as printed: ``2026-01-31``."""
    payer: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    """交款人, as printed."""


class Checked(Record):
    """The verdict, what matched, and what it does not say."""

    verdict: Literal["good", "not_good", "differs"]
    """``differs``: what is held is not this bill; nothing more is said."""
    text: str
    text_zh: str
    caveat: str
    """What stands under the verdict: what it does not prove."""
    caveat_zh: str
    check_code: Compared
    total: Compared
    day: Compared
    payer: Compared
    state: str = ""
    """Of the bill: issued, reversed, partly_reversed …"""
    archived: bool = False
    """Finance has checked and stored the body."""
    at: Instant
    """Of the ledger's last block."""


_DIFFERS = (
    "what you hold is not what was issued under this number, or there is no such bill",
    "所持内容与该票号的开具内容不符，或该票不存在",
)
_GOOD = ("this bill was issued, and it holds as issued", "票据有效")
_GOOD_UNSEEN = (
    "this number is good; the amount was not compared",
    "票号有效，票面金额未核对",
)
_NOT_GOOD = (
    "this bill was issued, and no longer holds as issued",
    "该票据已开具，但现已不再按原样有效",
)
_CAVEAT = (
    "It does not say that whoever shows it may claim it, nor that it was not reimbursed elsewhere",
    "本结果不证明持票人有权报销，也不证明未在别处报销",
)
_CAVEAT_DIFFERS = (
    "Check the number, the check code and the amount, and ask whoever gave it to you",
    "请核对票号、校验码与金额，并向出示者查问",
)


class Checks:
    """Answers strangers; for any thread."""

    def __init__(
        self,
        attempts: Attempts,
        *,
        wrong_per_hour: int,
        asked_per_hour: int,
        find_body: FindBody | None,
    ) -> None:
        """`find_body`: None: check code and payer's name stay unchecked."""
        self._attempts = attempts
        self._wrong_per_hour = wrong_per_hour
        self._asked_per_hour = asked_per_hour
        self._find_body = find_body

    def endpoint(self) -> Endpoint:
        """For the table of the API."""
        return Endpoint(
            *("POST", PATH, self.check_bill, "A stranger's check of a bill"),
            access=Access.PUBLIC,
            body=Shown,
            answer=Checked,
            answers={429: "asked too often; Retry-After says when"},
            tag="public",
        )

    def check_bill(self, ask: Ask) -> Response:
        """Compare what somebody holds with what was issued."""
        held: Shown = ask.record
        now = ask.service.clock()
        client = f"client {client_of(exchange_of(ask.request.scope).client)}"
        bill_id = format_bill_id(held.code, held.number)
        if held.check_code is None and held.total is None:
            raise Rejected(WebReason.MALFORMED, "say the total or the check code", path="total")
        self._attempts.take(client, now, self._asked_per_hour)
        self._attempts.take(bill_id, now, self._wrong_per_hour)
        with ask.service.view() as view:
            found = self._compare(view, held, find_bill(view, bill_id), now)
        if found.verdict != "differs":
            self._attempts.give_back(bill_id, now)
        return answer(found)

    def _compare(self, view: View, held: Shown, bill: Bill | None, now: int) -> Checked:
        """Looks for a body whether there is a bill or not, and says of one that is not archived yet
        no more than of none: so that neither the time nor the answer tells which numbers are used.
        """
        at = format_instant(view.head.at)
        body = self._find_body(held.code, held.number) if self._find_body else None
        code, total = self._nothing_fits(held)
        if bill is None or bill.bill_kind != "blue" or bill.entry is None:
            return _differs(at, code, total)
        total = _is(held.total, bill.amounts["total"])
        if body is not None or total == "match":
            code = _text(held.check_code, None if body is None else body.check_code or "")
        if "match" not in (code, total) or "differs" in (code, total):
            return _differs(at, code, total)
        day = _is(held.day, business_day(bill.issued_at, view.genesis.utc_offset_seconds))
        payer = _text(held.payer, None if body is None else body.payer.name)
        if "differs" in (day, payer):
            return _differs(at, code, total, day, payer)
        unseen = _GOOD if total == "match" else _GOOD_UNSEEN
        good = bill.good and (bill.until is None or now < parse_instant(bill.until))
        text = unseen if good else _NOT_GOOD
        return Checked(
            verdict="good" if good else "not_good",
            text=text[0],
            text_zh=text[1],
            caveat=_CAVEAT[0],
            caveat_zh=_CAVEAT[1],
            check_code=code,
            total=total,
            day=day,
            payer=payer,
            state=bill.state,
            archived=is_archived(view, bill),
            at=at,
        )

    def _nothing_fits(self, held: Shown) -> tuple[Compared, Compared]:
        """What is answered of check code and total where there is nothing that they could match."""
        return (
            "differs" if held.check_code is not None and self._find_body else "unchecked",
            "unchecked" if held.total is None else "differs",
        )


def _differs(
    at: str,
    code: Compared,
    total: Compared,
    day: Compared = "unchecked",
    payer: Compared = "unchecked",
) -> Checked:
    """Date and payer are compared only for whoever knows the check code or the total."""
    return Checked(
        verdict="differs",
        text=_DIFFERS[0],
        text_zh=_DIFFERS[1],
        caveat=_CAVEAT_DIFFERS[0],
        caveat_zh=_CAVEAT_DIFFERS[1],
        check_code=code,
        total=total,
        day=day,
        payer=payer,
        at=at,
    )


def _is(held: object, true: object) -> Compared:
    if held is None:
        return "unchecked"
    return "match" if held == true else "differs"


def _text(held: str | None, true: str | None) -> Compared:
    """Texts as people type them: full width or half, spaces or none."""
    if held is None or true is None:
        return "unchecked"  # or there is no body here to compare it with
    same = compare_digest(_plain(held), _plain(true))
    return "match" if same else "differs"


def _plain(text: str) -> bytes:
    return "".join(unicodedata.normalize("NFKC", text).split()).casefold().encode()


def archived_body(folder: Path, key: bytes) -> FindBody:
    """Looks into finance's archive, which another process is filling."""

    def find(code: int, number: int) -> Body | None:
        with Archive[object].keeping(folder, key) as archive:
            try:
                return decode(archive.get(code, number)[0], Body)
            except KeyError:
                return None

    return find
