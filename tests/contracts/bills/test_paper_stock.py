"""The stock of forms: it adds up, the next one is found, and who is not to be trusted is public."""

from __future__ import annotations

from paper_acts import FORMS, PAPER, Desk, spoil

from tallystick.contracts.bills.items.bills import GiveBack
from tallystick.contracts.bills.views.bills import account
from tallystick.contracts.bills.views.paper import (
    list_invalid,
    next_form,
)


def test_N4_the_stock_of_forms_adds_up() -> None:
    desk = Desk()
    desk.reprint(desk.printed(desk.issue(1), 1), 2)
    desk.cancel(desk.exchange(desk.issue(2), 3))
    spoil(desk, 5, 7)
    back = GiveBack(
        nonce=desk.world.nonce(),
        code=PAPER,
        level=3,
        first=1,
        start=91,
        end=FORMS,
        reason="year_end",
    )
    desk.world.do("hospital", "bills.give_back", back)
    book = account(desk.world.rows, desk.world.block_of(PAPER))
    assert (book.size, book.issued, book.void, book.gone, book.remaining) == (100, 3, 3, 10, 84)
    assert [(each.first, each.last, each.fate) for each in book.ranges] == [
        (1, 3, "issued"),
        (4, 4, "remaining"),
        (5, 7, "void"),
        (8, 90, "remaining"),
        (91, 100, "returned"),
    ]


def test_N1_next_form_is_the_first_that_nothing_has_befallen() -> None:
    desk = Desk()
    rows = desk.world.rows

    def following() -> int | None:
        return next_form(rows, desk.world.block_of(PAPER))

    assert following() == 1
    desk.exchange(desk.issue(1), 1)
    assert following() == 2
    spoil(desk, 4, 5)
    assert following() == 2
    desk.exchange(desk.issue(2), 2)
    desk.exchange(desk.issue(3), 3)
    assert following() == 6
    for start in range(6, FORMS, 20):
        spoil(desk, start, min(start + 19, FORMS))
    assert following() is None


def test_next_form_skips_what_was_given_away() -> None:
    desk = Desk()
    back = GiveBack(
        nonce=desk.world.nonce(), code=PAPER, level=3, first=1, start=3, end=FORMS, reason="spare"
    )
    desk.world.do("hospital", "bills.give_back", back)
    desk.exchange(desk.issue(1), 2)
    assert next_form(desk.world.rows, desk.world.block_of(PAPER)) == 1
    desk.exchange(desk.issue(2), 1)
    assert next_form(desk.world.rows, desk.world.block_of(PAPER)) is None


def test_the_public_list_names_forms_that_nobody_is_to_trust_and_no_bill() -> None:
    desk = Desk()
    desk.reprint(desk.printed(desk.issue(1), 1), 2)
    desk.recover(desk.printed(desk.issue(2), 3))
    spoil(desk, 4, 4)
    listed = list(list_invalid(desk.world.rows, PAPER))
    assert [(each.id[-1], each.state, each.reason) for each in listed] == [
        ("1", "cancelled", "damaged"),
        ("4", "void", "spoilt"),
    ]
    assert "paper_of" not in type(listed[0]).__struct_fields__
    recovered = list_invalid(desk.world.rows, PAPER, ("recovered",))
    assert [each.id[-1] for each in recovered] == ["3"]
