"""A reimburser's desk over a ledger's desk, as the commands open it, and what they print of it.

Invariant: whatever was under way when a desk last stopped is settled before it acts again.
See docs/guides/reimburser.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NoReturn

from tallystick.apps.bills.claim_book import FILE, ClaimBook, Kept, State
from tallystick.apps.bills.claim_orders import MALFORMED, UNKNOWN, Answer, LockOrder
from tallystick.apps.bills.claim_watch import Watch
from tallystick.apps.bills.reimburser import Reimburser
from tallystick.cli import out
from tallystick.cli.acting import How, desk_of, owner_of
from tallystick.cli.answers import Listing
from tallystick.cli.desk import Desk
from tallystick.cli.failures import REFUSED, Usage, fail
from tallystick.cli.inputs import load_signer, parse_bill
from tallystick.cli.reading import reading
from tallystick.cli.reasons import both
from tallystick.contracts.bills.amounts import format_amount
from tallystick.contracts.bills.records.bills import format_bill_id
from tallystick.durable import take_lock
from tallystick.engines.clock import Clock
from tallystick.protocol.errors import Malformed
from tallystick.protocol.keys import Signer
from tallystick.protocol.transaction import Item

STATES: dict[str, tuple[str, str]] = {
    "prepared": ("待送出", "not sent yet"),
    "locked": ("已锁定", "locked"),
    "ready": ("已备妥", "ready"),
    "settled": ("已报销", "settled"),
    "rejected": ("不予报销", "rejected"),
    "released": ("已解锁", "released"),
    "expired": ("锁定到期", "ran out"),
    "refused": ("被拒绝", "refused"),
}
"""What people read of a claim's state: (zh, en)."""


class ClaimAnswers(Listing):
    """Of a reimburser's desk."""

    KEY = "claims"
    COLUMNS = ("bill", "claim#", "amount#", "state", "outcome", "found")

    def __init__(self, done_word: str, *, as_json: bool) -> None:
        super().__init__(done_word, as_json=as_json)
        self._repeated = 0

    def add(self, answers: Iterable[Answer]) -> None:
        """The next ones, in order."""
        for one in answers:
            named = {each.name: getattr(one, each.name) for each in fields(one)}
            named["detail"] = self.in_words(one.detail)
            self._repeated += one.repeated
            self.add_row(named.pop("outcome"), {k: v for k, v in named.items() if k != "n"})

    def cells(self, row: dict[str, Any]) -> tuple[out.Cell, ...]:
        found = ["此前已办 done before" if row["repeated"] else "", row["path"], row["detail"]]
        if row["left"] is not None:
            found.append(f"余 left {format_amount(row['left'])}")
        if row["locked_until"]:
            found.append(f"至 until {row['locked_until']}")
        if row["until"]:
            found.append(f"至 until {row['until']}")
        return (
            *(row["bill"], row["claim"]),
            None if row["amount"] is None else format_amount(row["amount"]),
            *(state_in_words(row["state"]), both(row["outcome"]), " ".join(filter(None, found))),
        )

    def words(self) -> Iterable[str]:
        if self._repeated:
            yield f"此前已办，未再送出 done before, not sent again: {self._repeated:,}"


def state_in_words(state: str) -> str:
    """A claim's state for people."""
    return " ".join(STATES.get(state, (state,)))


@contextmanager
def open_reimburser(how: How, folder: Path) -> Iterator[Reimburser]:
    """The desk that the options of a command name; what was under way is settled first."""
    if how.key is None:
        fail("cli.no_key", "缺少签名密钥", "which key signs this? name its file with --key")
    signer = load_signer(how.key, how.passphrase_file)
    with desk_of(how) as desk, reimburser_over(desk, folder, signer, how.dry_run) as reimburser:
        yield reimburser


@contextmanager
def reimburser_over(
    desk: Desk, folder: Path, signer: Signer, dry_run: bool = False
) -> Iterator[Reimburser]:
    """The reimburser whose key it is, its book in `folder`.

    `Locked`: another process has it open. Each would take what the other has under way for lost.
    """
    with desk.view() as view:
        org = owner_of(view, signer.public_key)

    def rehearse(
        action: str, items: Sequence[Item], atomic: bool
    ) -> tuple[Sequence[str], Mapping[int, str]]:
        why: dict[int, str] = {}
        return desk.dry_run(desk.sign(signer, org, action, items, atomic), why), why

    with alone(folder), open_book(folder) as book:
        check_book(book, org, desk.network)
        reimburser = Reimburser(
            folder,
            book,
            signer=signer,
            submit=desk.submit,
            view=desk.view,
            clock=desk.now,
            rehearse=rehearse if dry_run else None,
        )
        if not dry_run:
            reimburser.resolve()
        yield reimburser


@contextmanager
def watching(folder: Path, ledger: Path) -> Iterator[Watch]:
    """The book beside a ledger that is only read."""
    clock = Clock()
    with alone(folder), open_book(folder) as book:
        with reading(ledger) as view:
            check_book(book, book.org, view.network)
        yield Watch(book, view=lambda: reading(ledger), clock=clock.now)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the one process that has this desk open."""
    if not folder.is_dir():
        _no_book(folder)
    handle = take_lock(folder)
    try:
        yield
    finally:
        os.close(handle)


def open_book(folder: Path) -> ClaimBook:
    """The book of a folder."""
    if not (folder / FILE).exists():
        _no_book(folder)
    return ClaimBook.open(folder)


def check_book(book: ClaimBook, org: str, network: bytes) -> None:
    """Give up on the book of another organisation or network."""
    if (book.org, book.network) != (org, network):
        fail(
            *("cli.other_book", "该台账属于其他单位或其他网络"),
            "this book of claims is another organisation's, or of another network",
            todo=(
                "核对 --claims、--key 与账本目录是否属于同一单位",
                "check that --claims, --key and the ledger belong together",
            ),
            detail=f"{book.path}: {book.org}, not {org}",
        )


def find_claims(
    book: ClaimBook, which: Iterable[str], *, case: str = "", states: Sequence[State]
) -> list[int]:
    """The claims that people name: by number in the book, by bill, by own reference, by case.

    Of several under one name those in `states`; for a bill or a reference it must be one.
    """
    found = [_find(book, name, states) for name in which]
    if case:
        of_case = [each.id for each in book.of_case(case) if each.state in states]
        if not of_case:
            _no_claim(f"case {case}")
        found += of_case
    if not found:
        fail(
            *("cli.which_claim", "请指明报销"),
            "name a claim: its number, its bill, your own reference, or a case",
            todo=("用 tally claims list 查找", "see tally claims list"),
        )
    return found


def find_claim(book: ClaimBook, name: str, states: Sequence[State]) -> Kept:
    """The one claim that a name means."""
    kept = book.get(_find(book, name, states))
    if kept is None:
        _no_claim(name)
    return kept


def _find(book: ClaimBook, name: str, states: Sequence[State]) -> int:
    if name.isascii() and name.isdigit() and len(name) < 15:
        kept = book.get(int(name))
        found = [kept] if kept else book.of_ref(name)
    elif name[8:9] == ":":
        found = book.of_bill(format_bill_id(*parse_bill(name)))
    else:
        found = book.of_ref(name)
    some = [each for each in found if each.state in states] or found[-1:]
    if not some:
        _no_claim(name)
    if len(some) > 1:
        fail(
            *("cli.which_claim", "该名称对应多笔报销", "several claims go by this name"),
            todo=("改用编号", "use the number of one"),
            detail=", ".join(f"{each.id} ({each.terms.purpose})" for each in some),
        )
    return some[0].id


def claim_orders(book: ClaimBook, orders: Iterable[Any], states: Sequence[State]) -> Iterator[Any]:
    """The same orders, each with the number of the claim that it names."""
    for order in orders:
        if isinstance(order, Malformed):
            yield order
            continue
        try:
            yield replace(order, claim=_find(book, str(order.claim), states))
        except Usage as error:
            yield Answer(outcome=UNKNOWN, path="claim", detail=error.failure.detail)


def case_of(book: ClaimBook, order: Any) -> object:
    """What an order is done together with; None: nothing."""
    if isinstance(order, Malformed | Answer):
        return None
    if isinstance(order, LockOrder):
        return order.case or None
    kept = book.get(order.claim)
    return kept.terms.case if kept else None


def in_parts(
    book: ClaimBook, orders: Iterable[Any], do: Callable[[list[Any]], list[Answer]], size: int
) -> Iterator[list[Answer]]:
    """Do many orders in parts, in order; those of one case come last and together.

    What is no order is answered without the desk.
    """
    some: list[Any] = []
    cases: list[Any] = []
    for order in orders:
        (some if case_of(book, order) is None else cases).append(order)
        if len(some) == size:
            yield _do(some, do)
            some = []
    if some or cases:
        yield _do(some + cases, do)


def _do(some: Sequence[Any], do: Callable[[list[Any]], list[Answer]]) -> list[Answer]:
    sound = [each for each in some if not isinstance(each, Malformed | Answer)]
    done = iter(do(sound))
    answers: list[Answer] = []
    for each in some:
        if isinstance(each, Malformed):
            answers.append(Answer(outcome=MALFORMED, path=each.path, detail=each.detail))
        else:
            answers.append(each if isinstance(each, Answer) else next(done))
    return answers


def _no_book(folder: Path) -> NoReturn:
    fail(
        *("cli.no_claims", "该目录中没有报销台账", "there is no book of claims in this folder"),
        todo=(
            "核对 --claims，或先运行 tally claims init",
            "check --claims, or make one with tally claims init",
        ),
        detail=str(folder),
    )


def _no_claim(name: str) -> NoReturn:
    fail(
        *("desk.claim_unknown", "台账中没有这笔报销", "the book has no such claim"),
        todo=("用 tally claims list 查找", "see tally claims list"),
        detail=name,
        exit_code=REFUSED,
    )
