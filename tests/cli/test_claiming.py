"""`tally claims` as a reimburser's clerk uses it: one claim, files of many, and what comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from counter import Answer, Counter, done, tally

from tallystick.cli.claim_files import open_lines, orders
from tallystick.cli.claims_desk import alone
from tallystick.cli.desk import open_node
from tallystick.cli.reading import reading
from tallystick.contracts.bills.items.bills import Archived
from tallystick.contracts.bills.records.bills import Bill
from tallystick.contracts.bills.views.bills import find_bill
from tallystick.engines.clock import Clock
from tallystick.keyring import load
from tallystick.protocol.errors import Malformed
from tallystick.protocol.values import format_instant


class Clerk:
    """Finance as a fund that claims by law; its book is in a folder of its own."""

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self.book = counter.folder / "claims"
        self.papers = counter.folder / "decision.txt"
        self.papers.write_text("decided", encoding="utf-8")
        with open_node(counter.ledger, log_key=counter.key("log")) as node:
            item = Archived(nonce=bytes(16), issuer="hospital-01", below=node.ledger.head.size)
            done_ = node.act(load(counter.key("finance")), "finance", "bills.archived/1", [item])
            assert list(done_.outcomes) == ["accepted"]
        done("claims", "init", self.book, "--dir", counter.ledger, "--key", counter.key("finance"))

    def act(self, name: object, *arguments: object) -> Answer:
        return self.counter.act("finance", "claims", name, *arguments, "--claims", self.book)

    def law(self) -> tuple[object, ...]:
        return ("--purpose", "fund", "--right", "statute", "--basis", "cash_account")

    def ask(self, name: str, *arguments: object) -> Any:
        where = () if name in ("list", "history") else ("--dir", self.counter.ledger)
        return done("claims", name, *arguments, "--claims", self.book, *where, "--json").json

    def bill(self, number: int) -> Bill:
        with reading(self.counter.ledger) as view:
            row = find_bill(view, self.counter.bill(number))
        assert row is not None
        return row

    def free(self, number: int) -> int:
        amounts = self.bill(number).amounts
        return amounts["account"] + amounts["cash"]


@pytest.fixture
def clerk(counter: Counter) -> Clerk:
    return Clerk(counter)


def money(amount: int) -> str:
    return f"{amount // 100}.{amount % 100:02d}"


def test_lock_settle_and_what_is_left(clerk: Clerk) -> None:
    bill, free = clerk.counter.bill(1), clerk.free(1)
    locked = clerk.act("lock", bill, "--amount", money(free - 100), *clerk.law(), "--ref", "A-1")
    assert locked.code == 0, locked.err
    (row,) = locked.json["claims"]
    assert (row["outcome"], row["state"], row["claim"]) == ("accepted", "locked", 1)
    again = clerk.act("lock", bill, "--amount", money(free - 100), *clerk.law(), "--ref", "A-1")
    assert again.json["claims"][0]["repeated"] is True
    form = clerk.act(
        "lock", clerk.counter.bill(2), "--amount", "1.00", *clerk.law(), "--paper", "33061126:7"
    )
    assert form.json["claims"][0]["outcome"] == "accepted", "a form is written like a bill"
    second = ("--purpose", "aid", "--right", "statute", "--basis", "cash_account")
    other = clerk.act("lock", bill, "--amount", "2.00", *second)
    assert other.code == 3
    (row,) = other.json["claims"]
    assert (row["outcome"], row["left"]) == ("bills.claim_locked", 100)
    assert row["locked_until"] and "finance" not in other.out
    settled = clerk.act("settle", "A-1", "--amount", money(free - 100), "--decision", clerk.papers)
    assert settled.json["claims"][0]["state"] == "settled", settled.err
    shown = clerk.ask("show", bill)
    assert (shown["original"], shown["reimbursed"], shown["left"]) == (free, free - 100, 100)
    assert [each["state"] for each in shown["claims"]] == ["settled", "refused"]
    steps = clerk.ask("history", "A-1")["steps"]
    assert [(each["act"], each["outcome"]) for each in steps] == [
        ("bills.lock/1", "accepted"),
        ("bills.settle/1", "accepted"),
    ]
    listed = clerk.ask("list", "--state", "settled")
    assert [each["ref"] for each in listed["claims"]] == ["A-1"]
    assert listed["sums"]["settled"]["settled"] == free - 100


def test_release_renew_reject(clerk: Clerk) -> None:
    soon = format_instant(Clock().now() + 600)
    for number in (1, 2):
        locked = clerk.act(
            *("lock", clerk.counter.bill(number), "--amount", "1.00", *clerk.law()),
            *("--until", soon, "--case", "stay"),
        )
        assert locked.code == 0, locked.err
    renewed = clerk.act("renew", "--case", "stay")
    assert [each["outcome"] for each in renewed.json["claims"]] == ["accepted", "accepted"]
    assert clerk.act("release", 1, "--reason", "withdrawn").code == 0
    rejected = clerk.act("reject", 2, "--reason", "not_covered", "--decision", clerk.papers)
    assert rejected.json["claims"][0]["state"] == "rejected"
    answer = clerk.act("settle", 2, "--amount", "1.00", "--decision", "ab" * 32)
    assert (answer.code, answer.json["claims"][0]["outcome"]) == (3, "desk.claim_state")


def test_files_of_many(clerk: Clerk) -> None:
    table = clerk.counter.folder / "locks.csv"
    head = "bill,amount,ref,until\n"
    lines = [f"{clerk.counter.bill(n)},1.50,R-{n},\n" for n in (1, 2)]
    table.write_text(
        "\ufeff" + head + "".join(lines) + "33061326:9,1.50,R-9,\nnothing,1.5,R-8,\n",
        encoding="utf-8",
    )
    tried = clerk.act("lock", "--file", table, *clerk.law(), "--dry-run")
    assert tried.code == 3 and clerk.ask("list")["claims"] == []
    answer = clerk.act("lock", "--file", table, *clerk.law())
    assert answer.code == 3
    assert [each["outcome"] for each in answer.json["claims"]] == [
        *("accepted", "accepted", "bills.bill_unknown", "desk.malformed"),
    ]
    settle = clerk.counter.folder / "settle.jsonl"
    settle.write_text(
        "\n".join(
            json.dumps({"claim": name, "amount": 150, "decision": "cd" * 32})
            for name in ("R-1", "R-2", "R-7")
        ),
        encoding="utf-8",
    )
    answer = clerk.act("settle", "--file", settle)
    outcomes = [each["outcome"] for each in answer.json["claims"]]
    assert outcomes == ["accepted", "accepted", "desk.claim_unknown"]
    sums = clerk.ask("list")["sums"]
    assert (sums["settled"]["count"], sums["settled"]["settled"]) == (2, 300)


def test_a_refund_on_a_locked_bill_and_a_claw_back(clerk: Clerk) -> None:
    counter = clerk.counter
    for number in (1, 2):
        clerk.act("lock", counter.bill(number), "--amount", "1.00", *clerk.law())
    assert clerk.act("settle", 2, "--amount", "1.00", "--decision", clerk.papers).code == 0
    asked = ("bills", "reversal-request", counter.bill(1), "--reason", "refund")
    assert counter.act("hospital-01", *asked).code == 0, "the plan grants it"
    (row,) = clerk.ask("reversals")["claims"]
    assert row["bill"] == counter.bill(1) and row["deadline"] > row["asked_at"]
    assert clerk.act("release", 1, "--reason", "reversal").code == 0
    assert clerk.ask("reversals")["claims"] == []
    cancel = ("bills", "cancel-reversal", counter.bill(1), "--reason", "mistake")
    assert counter.act("hospital-01", *cancel).code == 0
    reverse = ("bills", "reverse", counter.bill(2), *counter.office(), "--reason", "refund")
    assert counter.act("hospital-01", *reverse).code == 0
    due = clerk.ask("due")
    assert (due["due"], [each["id"] for each in due["claims"]]) == (100, [2])
    back = ("claw-back", 2, "--decision", clerk.papers, "--amount")
    assert clerk.act(*back, "0.60").code == 0
    assert clerk.act(*back, "0.40", "--waived").code == 0
    assert clerk.ask("due")["due"] == 0
    assert clerk.ask("refresh", "--recover")["changed"] == []


def test_a_plan_and_its_shares(clerk: Clerk) -> None:
    bill = clerk.counter.bill(3)
    soon = format_instant(Clock().now() + 600)
    named = ("--share", "finance:fund", "--atomic", "--until", soon)
    made = clerk.counter.act("hospital-01", "claims", "plan", bill, *named)
    assert made.code == 0, made.err
    ready = clerk.act(
        *("ready", bill, "--amount", "1.00", *clerk.law(), "--decision", clerk.papers)
    )
    assert ready.json["claims"][0]["state"] == "settled", ready.err
    bill = clerk.counter.bill(2)
    two = ("--share", "finance:fund", "--share", "hospital-01:aid:1")
    assert clerk.counter.act("hospital-01", "claims", "plan", bill, *two).code == 0
    assert clerk.act("accept-plan", bill, "--purpose", "fund").code == 0
    assert clerk.act("waive", bill, "--purpose", "fund", "--reason", "no_part").code == 0
    assert clerk.act("waive", bill, "--purpose", "aid", "--reason", "no_part").code == 3
    bad = clerk.counter.act("hospital-01", "claims", "plan", bill, "--share", "finance")
    assert (bad.code, bad.error["code"]) == (2, "cli.share")


def test_a_bill_that_was_presented_is_locked_by_the_right_that_it_shows(clerk: Clerk) -> None:
    counter = clerk.counter
    counter.keep()
    shown = counter.folder / "shown.json"
    done(
        *("present", "--bill", counter.bill(1), "--to", "finance", "--purpose", "fund"),
        *("--fields", "items/*", "--statute", *counter.office(), "--dir", counter.ledger),
        *("--out", shown, "--log-key", counter.key("log")),
    )
    lock = ("lock", counter.bill(1), "--amount", "1.00", "--purpose", "fund", "--presented", shown)
    assert clerk.act(*lock, "--basis", "cash_account").code == 0
    (kept,) = clerk.ask("list")["claims"]
    assert (kept["terms"]["right"], kept["terms"]["right_id"]) == ("statute", "founding.0")
    both = clerk.act(*lock, "--right", "statute")
    assert (both.code, both.error["code"]) == (2, "cli.which_right")


@pytest.mark.parametrize(
    ("arguments", "code", "name"),
    [
        (("lock",), 2, "cli.one_or_file"),
        (("lock", "33061326:1"), 2, "cli.amount"),
        (("lock", "33061326:1", "--amount", "12"), 2, "cli.malformed"),
        (("lock", "33061326:1", "--amount", "1.00"), 2, "cli.missing"),
        (("settle", "7", "--amount", "1.00"), 2, "cli.decision"),
        (("release", "--reason", "x"), 2, "cli.which_claim"),
        (("release", "nobody", "--reason", "x"), 3, "desk.claim_unknown"),
    ],
)
def test_what_cannot_be_done_says_why(
    clerk: Clerk, arguments: tuple[str, ...], code: int, name: str
) -> None:
    answer = clerk.act(*arguments)
    assert (answer.code, answer.error["code"]) == (code, name), answer.err


def test_the_book_is_one_organisations_and_for_one_process(clerk: Clerk) -> None:
    key = ("--key", clerk.counter.key("finance"), "--dir", clerk.counter.ledger)
    assert tally("claims", "init", clerk.book, *key, "--json").error["code"] == "cli.fileexists"
    other = clerk.counter.act(
        *("hospital-01", "claims", "release", "1", "--reason", "x", "--claims", clerk.book)
    )
    assert (other.code, other.error["code"]) == (2, "cli.other_book")
    nowhere = clerk.counter.folder / "nowhere"
    lost = tally("claims", "list", "--claims", nowhere, "--json")
    assert (lost.code, lost.error["code"]) == (2, "cli.no_claims")
    assert tally("claims", "list", "--claims", clerk.book, "--state", "odd").code == 2
    with alone(clerk.book):
        busy = clerk.act("release", "1", "--reason", "x")
        assert (busy.code, busy.error["code"]) == (4, "cli.locked")
        assert "reimburser" in busy.error["en"]


def test_a_desk_acts_through_the_box_of_a_running_node(clerk: Clerk) -> None:
    counter = clerk.counter
    box = ("--box", counter.ledger, "--key", counter.key("finance"), "--claims", clerk.book)
    with open_node(counter.ledger, log_key=counter.key("log")):
        amount = ("--amount", money(clerk.free(1) + 1))
        over = tally("claims", "lock", counter.bill(1), *amount, *clerk.law(), *box, "--json")
        (row,) = over.json["claims"]
        assert (over.code, row["outcome"], row["left"]) == (3, "bills.claim_cap", clerk.free(1))
        done("claims", "lock", counter.bill(1), "--amount", "1.00", *clerk.law(), *box)
        settle = ("claims", "settle", 2, "--amount", "1.00", "--decision", clerk.papers, *box)
        assert "done before" not in done(*settle).out
        assert "done before" in done(*settle).out
        assert clerk.ask("due")["due"] == 0
    assert clerk.bill(1).amounts["settled"] == 100


def test_people_read_words(clerk: Clerk) -> None:
    bill = clerk.counter.bill(1)
    assert (
        "no bill that you have locked"
        in done(*("claims", "reversals", "--claims", clerk.book, "--dir", clerk.counter.ledger)).out
    )
    more = (
        *("--dir", clerk.counter.ledger, "--key", clerk.counter.key("finance")),
        *("--log-key", clerk.counter.key("log"), "--claims", clerk.book),
    )
    said = tally("claims", "lock", bill, "--amount", "999999.00", *clerk.law(), *more)
    assert said.code == 3 and "left" in said.out and "bills.claim_cap" in said.out
    said = tally("claims", "lock", bill, "--amount", "1.00", *clerk.law(), *more)
    assert said.code == 0 and "1 of 1 locked" in said.out and "已锁定" in said.out
    tried = tally(
        *("claims", "settle", "2", "--amount", "0.50", "--decision", clerk.papers, *more),
        "--dry-run",
    )
    assert tried.code == 0 and "nothing was sent" in tried.out
    listed = done("claims", "list", "--claims", clerk.book).out
    assert bill in listed and "locked" in listed and "refused" in listed
    shown = done("claims", "show", bill, "--claims", clerk.book, "--dir", clerk.counter.ledger).out
    assert "可报销余额 left" in shown and "own claims" in shown
    assert "bills.lock/1" in done("claims", "history", "2", "--claims", clerk.book).out
    for name in ("due", "refresh"):
        where = ("--claims", clerk.book, "--dir", clerk.counter.ledger)
        assert tally("claims", name, *where).code == 0


def each_of(path: Path, text: str | bytes, **given: Any) -> list[Any]:
    if isinstance(text, str):
        text = text.encode()
    path.write_bytes(text)
    names = ("bill", "amount", "decision", "opening", "ref")
    with open_lines(path) as lines:
        return list(orders(lines, dict, names=names, given=given))


def test_lines_are_read_one_by_one(tmp_path: Path) -> None:
    key, nonce = "ab" * 32, "cd" * 16
    head = "bill,amount,opening_key,opening_nonce\n"
    bill = "33061326:7"
    (one,) = each_of(tmp_path / "a.csv", f"{head}{bill},12.30,{key},{nonce}\n", ref="x")
    assert (one["bill"], one["amount"], one["ref"]) == ("33061326:0000000007", 1230, "x")
    assert (one["opening"].key.hex(), one["opening"].nonce.hex()) == (key, nonce)
    faults = [
        '{"bill": 5}',
        '{"bill": "33061326:7", "amount": 1.5}',
        '{"bill": "33061326:7", "amount": true}',
        '{"bill": "33061326:7", "amount": "1.5"}',
        '{"decision": "zz"}',
        '{"decision": "abcd"}',
        '{"opening": {"key": "x"}}',
        '{"ref": ["x"]}',
        '{"surprise": 1}',
        "[]",
        "{",
    ]
    good = '{"bill": "33061326:7", "amount": 150, "ref": 17}'
    made = each_of(tmp_path / "b.jsonl", "\n".join([good, *faults, "", good]))
    assert [isinstance(each, Malformed) for each in made] == [False, *([True] * 11), False]
    assert made[0] == {"bill": "33061326:0000000007", "amount": 150, "ref": "17"}
    assert len(each_of(tmp_path / "c.json", f"[{good}, 5, {good}]")) == 3
    (short,) = each_of(tmp_path / "d.csv", "bill,amount\n33061326:7\n")
    assert isinstance(short, Malformed)
    (odd,) = each_of(tmp_path / "e.csv", b"bill,amount\n\xff\xfe,1.00\n")
    assert isinstance(odd, Malformed)
