"""Bills signed by command while the ledger is away, and handed in when it is back."""

from __future__ import annotations

from pathlib import Path

import pytest
from counter import Counter, done, tally


@pytest.fixture
def reserve(counter: Counter) -> Counter:
    """A top block of fifty more numbers, ten of them the hospital's for a week's absence."""
    code = ("--code", counter.code)
    give = ("members", "give", "hospital-01", "--source", "founding.0")
    for arguments in (
        (*give, "--action", "bills.issue_offline"),
        ("bills", "allot", *code, "--range", "11-60", "--level", 0, "--to", "finance"),
        (
            *("bills", "allot", *code, "--range", "11-20", "--level", 3, "--to", "hospital-01"),
            *("--from", "0:11", "--offline-days", 7),
        ),
    ):
        answer = counter.act("finance", *arguments)
        assert answer.code == 0, answer.out + answer.err
    return counter


def test_bills_are_signed_without_a_ledger_and_handed_in(reserve: Counter, tmp_path: Path) -> None:
    block = ("--code", reserve.code, "--level", 3, "--first", 11)
    kit = tmp_path / "today.kit"
    key = ("--key", reserve.key("hospital-01"))
    told = done("bills", "offline-kit", *block, *key, "-o", kit, "--dir", reserve.ledger)
    assert "10 numbers" in told.out
    away = reserve.ledger.rename(tmp_path / "away")
    sign = ("bills", "issue-offline", reserve.drafts(21, 22), "--kit", kit, *key)
    signed = done(*sign, *reserve.office())
    assert signed.out.splitlines()[0] == "2 of 2 signed, not yet on the ledger 已签名，尚未入账"
    again = tally(*sign, *reserve.office(), "--json")
    assert again.code == 3
    assert [each["outcome"] for each in again.json["bills"]] == ["bills.bizcode_conflict"] * 2
    away.rename(reserve.ledger)
    hand_in = ("bills", "hand-in", *reserve.office())
    answer = reserve.act("hospital-01", *hand_in)
    assert answer.code == 0, answer.out + answer.err
    assert [(each["bill"], each["said"]) for each in answer.json["bills"]] == [
        (reserve.bill(11), "issuing"),
        (reserve.bill(12), "issuing"),
    ]
    shown = done("bills", "show", reserve.bill(11), "--dir", reserve.ledger, "--json").json
    assert shown["offline"] is True
    assert reserve.act("hospital-01", *hand_in).json["bills"] == []


def test_a_kit_of_no_reserve_and_a_kit_of_another_key(reserve: Counter, tmp_path: Path) -> None:
    where = ("--code", reserve.code, "--level", 3, "--dir", reserve.ledger)
    key = ("--key", reserve.key("hospital-01"))
    kit = tmp_path / "kit"
    refused = tally("bills", "offline-kit", *where, "--first", 1, *key, "-o", kit)
    assert refused.code == 3
    assert "bills.offline_only" in refused.err
    done("bills", "offline-kit", *where, "--first", 11, *key, "-o", kit)
    other = ("--kit", kit, "--key", reserve.key("finance"), *reserve.office())
    assert tally("bills", "issue-offline", reserve.drafts(5), *other).code == 3
    kit.write_bytes(b"{}")
    assert tally("bills", "issue-offline", reserve.drafts(5), *other).code == 2
