"""Paper forms and bookings by command: the next form is found, each act reaches the ledger."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from counter import Answer, Counter, done, tally
from papered import Papered, make_papered


@pytest.fixture(scope="module")
def papered_once(tmp_path_factory: pytest.TempPathFactory, standing: Counter) -> Papered:
    return make_papered(standing, tmp_path_factory.mktemp("papered") / "counter")


@pytest.fixture
def papered(papered_once: Papered, tmp_path: Path) -> Papered:
    return papered_once.copy(tmp_path / "papered")


def hospital(papered: Papered, *arguments: object) -> Answer:
    return papered.act("hospital-01", "bills", *arguments)


def accepted(answer: Answer) -> None:
    assert answer.code == 0, answer.out + answer.err
    assert set(answer.json["outcomes"]) == {"accepted"}


def paper(papered: Papered, number: int) -> Any:
    return papered.shown(number)["paper"]


def invalid(papered: Papered, *options: object) -> Any:
    listed = ("bills", "invalid-forms", papered.forms, "--dir", papered.ledger, *options)
    return done(*listed, "--json").json


def test_a_bill_is_printed_on_the_next_form_and_comes_back(papered: Papered) -> None:
    accepted(hospital(papered, "exchange", papered.bill(1)))
    assert (paper(papered, 1)["id"], paper(papered, 1)["state"]) == (papered.form(1), "printing")
    accepted(hospital(papered, "confirm-printed", papered.bill(1)))
    assert paper(papered, 1)["state"] == "live"
    again = hospital(papered, "exchange", papered.bill(1))
    assert (again.code, again.json["outcomes"]) == (3, ["bills.paper_live"])
    accepted(hospital(papered, "recover", papered.bill(1)))
    assert paper(papered, 1) is None
    accepted(hospital(papered, "exchange", papered.bill(1)))
    assert paper(papered, 1)["id"] == papered.form(2)


def test_a_form_is_shown_as_a_form_and_its_bill_with_it(papered: Papered) -> None:
    accepted(hospital(papered, "exchange", papered.bill(1)))
    form = done("bills", "show", papered.form(1), "--dir", papered.ledger, "--json").json
    assert (form["bill_kind"], form["paper_of"], form["said"]) == ("paper", papered.bill(1), None)
    shown = done("bills", "show", papered.bill(1), "--dir", papered.ledger).out
    assert f'"id":"{papered.form(1)}"' in shown and "PaperLink" not in shown


def test_several_bills_are_confirmed_and_recovered_at_once(papered: Papered) -> None:
    both = (papered.bill(1), papered.bill(2))
    for bill in both:
        accepted(hospital(papered, "exchange", bill))
    accepted(hospital(papered, "confirm-printed", *both))
    accepted(hospital(papered, "recover", *both, "--reason", "closed"))
    assert [paper(papered, n) for n in (1, 2)] == [None, None]


def test_a_form_is_named_reprinted_cancelled_and_lost(papered: Papered) -> None:
    accepted(hospital(papered, "exchange", papered.bill(1), "--form", papered.form(4)))
    accepted(hospital(papered, "reprint", papered.bill(1), "--reason", "jammed"))
    assert paper(papered, 1)["id"] == papered.form(1)
    accepted(hospital(papered, "cancel-exchange", papered.bill(1)))
    accepted(hospital(papered, "exchange", papered.bill(2)))
    accepted(hospital(papered, "confirm-printed", papered.bill(2)))
    accepted(hospital(papered, "declare-lost", papered.bill(2)))
    assert paper(papered, 2)["state"] == "lost"
    listed = [(each["id"], each["state"], each["reason"]) for each in invalid(papered)["invalid"]]
    assert listed == [
        (papered.form(1), "cancelled", "not_printed"),
        (papered.form(2), "lost", "lost"),
        (papered.form(4), "cancelled", "jammed"),
    ]
    assert [each["id"] for each in invalid(papered, "--state", "lost")["invalid"]] == [
        papered.form(2)
    ]
    few = invalid(papered, "--limit", 1)
    assert (len(few["invalid"]), few["more"]) == (1, True)
    shown = done("bills", "invalid-forms", papered.forms, "--dir", papered.ledger)
    assert papered.form(2) in shown.out and papered.bill(2) not in shown.out


def test_the_stock_says_which_form_is_next_and_when_there_is_none(papered: Papered) -> None:
    def stock() -> Any:
        asked = ("bills", "next-form", papered.forms, "--holder", "hospital-01")
        (one,) = done(*asked, "--dir", papered.ledger, "--json").json["stocks"]
        return one["next"], one["left"]

    assert stock() == (papered.form(1), 5)
    for _ in range(5):
        accepted(hospital(papered, "exchange", papered.bill(1)))
        accepted(hospital(papered, "cancel-exchange", papered.bill(1)))
    assert stock() == (None, 0)
    empty = hospital(papered, "exchange", papered.bill(1))
    assert (empty.code, empty.error["code"]) == (3, "cli.no_form")
    shown = done("bills", "next-form", papered.forms, "--dir", papered.ledger).out
    assert "hospital-01" in shown and papered.form(1) not in shown


def test_what_cannot_be_printed_is_said_before_anything_is_sent(papered: Papered) -> None:
    other = hospital(papered, "exchange", papered.bill(1), "--form", f"{papered.forms}:77")
    assert (other.code, other.error["code"]) == (3, "bills.number_not_allocated")
    nothing = hospital(papered, "exchange", papered.bill(9))
    assert (nothing.code, nothing.error["code"]) == (3, "bills.bill_unknown")
    none = hospital(papered, "confirm-printed", papered.bill(1))
    assert (none.code, none.error["code"]) == (3, "bills.paper_none")


def test_a_dry_run_prints_nothing(papered: Papered) -> None:
    answer = hospital(papered, "exchange", papered.bill(1), "--dry-run")
    assert (answer.code, answer.json["outcomes"]) == (0, ["accepted"])
    assert paper(papered, 1) is None


def test_a_refusal_is_read_in_both_languages(papered: Papered) -> None:
    asked = ("bills", "recover", papered.bill(1), "--dir", papered.ledger)
    more = ("--key", papered.key("hospital-01"), "--log-key", papered.key("log"))
    answer = tally(*asked, *more)
    assert answer.code == 3
    assert "没有处于该状态的纸质票据" in answer.out and "no paper form" in " ".join(
        answer.out.split()
    )


# --------------------------------------------------------------------------------------- booking


def book(papered: Papered, number: int, amount: str, *more: object) -> Answer:
    voucher = papered.folder / "voucher.txt"
    voucher.write_text("voucher 17", encoding="utf-8")
    named = ("--amount", amount, "--on", "2026-01-31", "--voucher", voucher)
    return papered.act("finance", "bills", "book", papered.bill(number), *named, *more)


def bookings(papered: Papered, *which: object) -> Any:
    return done("bills", "bookings", *which, "--dir", papered.ledger, "--json").json["bookings"]


def test_a_settled_claim_is_booked_once_and_unbooked(papered: Papered) -> None:
    too_much = book(papered, 1, "30.01")
    assert (too_much.code, too_much.json["outcomes"]) == (3, ["bills.book_exceeds"])
    accepted(book(papered, 1, "30.00"))
    twice = book(papered, 1, "30.00")
    assert (twice.code, twice.json["outcomes"]) == (3, ["bills.book_duplicate"])
    (row,) = bookings(papered, papered.bill(1))
    assert (row["unit"], row["amounts"], row["state"]) == ("finance", {"booked": 3000}, "booked")
    assert row["voucher"] == sha256(b"voucher 17").hexdigest()
    unbook = ("bills", "unbook", papered.bill(1), "--reason", "wrong_year")
    accepted(papered.act("finance", *unbook))
    (row,) = bookings(papered, papered.bill(1))
    assert (row["state"], row["reason"]) == ("unbooked", "wrong_year")
    accepted(book(papered, 1, "10.00", "--claim", 0))
    none = book(papered, 2, "1.00")
    assert (none.code, none.json["outcomes"]) == (3, ["bills.book_unknown"])


def test_a_voucher_is_named_by_its_digest_too(papered: Papered) -> None:
    named = ("--amount", "1.00", "--on", "2026-01-31", "--voucher", "ab" * 32)
    accepted(papered.act("finance", "bills", "book", papered.bill(1), *named))
    (row,) = bookings(papered, papered.bill(1))
    assert row["voucher"] == "ab" * 32


def test_amounts_and_days_are_read_as_people_write_them(papered: Papered) -> None:
    badly = book(papered, 1, "30")
    assert badly.error["code"] == "bills.amount_format"
    named = ("--amount", "1.00", "--voucher", "ab" * 32, "--on")
    day = papered.act("finance", "bills", "book", papered.bill(1), *named, "31.1.2026")
    assert day.code == 2 and day.error["path"] == "on"


def test_bookings_are_asked_by_bill_or_by_unit(papered: Papered) -> None:
    assert bookings(papered, "--reversed-of", "finance") == []
    for which in ((), (papered.bill(1), "--reversed-of", "finance")):
        answer = tally("bills", "bookings", *which, "--dir", papered.ledger, "--json")
        assert (answer.code, answer.error["code"]) == (2, "cli.which_bookings")
    accepted(book(papered, 1, "30.00"))
    assert papered.bill(1) in done("bills", "bookings", papered.bill(1), "-d", papered.ledger).out
