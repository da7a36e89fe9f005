"""A reimburser's book: one organisation's, its owner's alone, and named when it is damaged."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.apps.bills.claim_book import FILE, ClaimBook, NewClaim, Step
from tallystick.contracts.bills.records.claims import Terms
from tallystick.protocol.errors import Damaged, Malformed

NETWORK = bytes(range(32))
BILL = "33060126:0000000001"
TERMS = Terms(
    purpose="claim", basis="cash", benefit="indemnity", right="statute", right_id="founding.0"
)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[ClaimBook]:
    with ClaimBook.make(tmp_path / "desk", org="insurer", network=NETWORK) as made:
        yield made


def new(number: int, ref: str = "") -> NewClaim:
    return NewClaim(
        claim=number.to_bytes(16, "big"),
        bill=BILL,
        terms=TERMS,
        ref=ref,
        amount=100,
        until=None,
        opening=None,
        paper=None,
    )


def test_it_is_of_one_organisation_and_made_once(book: ClaimBook) -> None:
    folder = book.path.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for each in folder.iterdir():
        assert stat.S_IMODE(each.stat().st_mode) == 0o600, each
    with pytest.raises(FileExistsError):
        ClaimBook.make(folder, org="insurer", network=NETWORK)
    with ClaimBook.open(folder) as again:
        assert (again.org, again.network) == ("insurer", NETWORK)
        assert again.case_tag("stay") == book.case_tag("stay") != book.case_tag("stay 2")


def test_a_case_of_another_book_has_another_tag(book: ClaimBook, tmp_path: Path) -> None:
    with ClaimBook.make(tmp_path / "other", org="insurer", network=NETWORK) as other:
        assert other.case_tag("stay") != book.case_tag("stay")


def test_a_bill_and_a_purpose_have_one_open_claim(book: ClaimBook) -> None:
    with book.transaction():
        first = book.add(new(1, "A"))
    with pytest.raises(Damaged), book.transaction():
        book.add(new(2))
    with book.transaction():
        book.change(first, {"state": "released"})
        second = book.add(new(2, "A"))
    assert [each.id for each in book.of_ref("A")] == [first, second]
    found = book.open_of(BILL, "claim")
    assert found is not None and found.id == second


def test_what_is_not_written_whole_is_not_written(book: ClaimBook) -> None:
    with pytest.raises(RuntimeError), book.transaction():
        book.add(new(1))
        raise RuntimeError("killed")
    assert book.of_bill(BILL) == []
    with pytest.raises(ValueError, match="bill"), book.transaction():
        book.change(1, {"bill": "another"})


def test_a_step_is_noted_once(book: ClaimBook) -> None:
    step = Step("ab" * 32, 0, 5, "bills.lock/1", BILL, 1, 100, bytes(32), "accepted", 7)
    for _ in range(2):
        with book.transaction():
            book.note([step])
    assert book.steps(1) == [step]


def test_all_in_some_states_are_met_however_many(book: ClaimBook) -> None:
    with book.transaction():
        for n in range(2_500):
            claim = book.add(new(n + 1))
            book.change(claim, {"state": "settled" if n % 2 else "released"})
    assert len(list(book.each_in(("settled",)))) == 1_250
    assert book.sums()["released"][0] == 1_250


def test_another_file_is_no_book(book: ClaimBook, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ClaimBook.open(tmp_path / "nothing")
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / FILE).write_bytes(b"no database at all " * 100)
    with pytest.raises(Damaged, match=FILE):
        ClaimBook.open(folder)
    (folder / FILE).write_bytes(b"")
    with pytest.raises((Damaged, Malformed), match=FILE):
        ClaimBook.open(folder)
    (folder / FILE).unlink()
    (folder / FILE).symlink_to(book.path)
    with pytest.raises(OSError, match=FILE):
        ClaimBook.open(folder)


def test_a_damaged_claim_is_named(book: ClaimBook) -> None:
    with book.transaction():
        claim = book.add(new(1))
        book.change(claim, {"terms": b"{"})
    with pytest.raises(Damaged, match=f"{FILE}: claim {claim}"):
        book.get(claim)
