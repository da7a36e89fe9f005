"""What a field must look like is said in words, whatever pattern stands behind it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from counter import Counter, tally

import tallystick
from tallystick.cli.forms import forms, in_words
from tallystick.contracts.bills.body import Body
from tallystick.protocol.canonical import Record, narrow
from tallystick.protocol.errors import Malformed
from tallystick.protocol.values import Amount, Day, PublicKey, Word


def patterns() -> set[str]:
    """Every pattern that a record of ours has, out of the sources."""
    found = set()
    for path in Path(tallystick.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "pattern":
                found.add(ast.literal_eval(node.value))
    return found


def test_every_pattern_has_its_words_and_none_has_words_too_many() -> None:
    assert patterns() == set(forms())


class Odd(Record):
    """Some fields of each kind."""

    word: Word
    amount: Amount
    key: PublicKey
    amounts: list[Amount] = []
    day: Day | None = None


GOOD = {"word": "refund", "amount": 1, "key": "A" * 43 + "="}


@pytest.mark.parametrize(
    ("changed", "zh", "en"),
    [
        (
            {"word": "A B"},
            "应为一个词：以小写字母开头，只含 a–z、0–9 和 _，至多 40 个字符",
            "expected a word: a–z, 0–9 and _, a letter first, at most 40",
        ),
        ({"day": "1 May"}, "应为日期：如 2026-01-31", "expected a day, like 2026-01-31"),
        ({"day": 5}, "应为文字或空值，实为整数", "expected text or nothing, got a whole number"),
        ({"amount": -1}, "应为不小于 0 的整数", "a whole number, at least 0"),
        (
            {"amount": 10**15},
            "应为不大于 999999999999999 的整数",
            "a whole number, at most 999999999999999",
        ),
        ({"amount": "1"}, "应为整数，实为文字", "expected a whole number, got text"),
        ({"key": "AAAA"}, "应为 32 字节的 base64", "32 bytes in base64"),
        ({"key": "!"}, "不是 base64", "this is not base64"),
        ({"more": 1}, "没有字段 more", "there is no field more"),
    ],
)
def test_what_the_parser_says_is_told_in_words(
    changed: dict[str, object], zh: str, en: str
) -> None:
    with pytest.raises(Malformed) as error:
        narrow(GOOD | changed, Odd)
    assert in_words(error.value.detail, "zh") == zh
    assert in_words(error.value.detail, "en") == en


def test_what_is_missing_and_what_is_none_of_a_few_words() -> None:
    with pytest.raises(Malformed) as error:
        narrow({}, Body)
    assert in_words(error.value.detail, "en").startswith("the field ")
    assert in_words("Invalid enum value 'x'", "en") == "'x' is none of the allowed words"
    assert in_words("a folder Expected of nobody", "zh") == "a folder Expected of nobody"


def test_a_command_shows_no_pattern(counter: Counter) -> None:
    arguments = ("bills", "withhold", counter.bill(1), "--reason", "In arrears")
    common: tuple[object, ...] = ("--dir", counter.ledger, "--log-key", counter.key("log"))
    common += ("--key", counter.key("hospital-01"), "--dry-run")
    for language, words in (("en", "expected a word: a–z, 0–9 and _"), ("zh", "应为一个词")):
        answer = tally("--lang", language, *arguments, *common)
        assert answer.code == 2 and words in answer.err and "regex" not in answer.err
    told = tally(*arguments, *common, "--json").error
    assert told["path"] == "reason" and told["detail"].startswith("expected a word: ")
