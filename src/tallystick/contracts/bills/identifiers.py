"""Texts and identity numbers that a body may hold: pure checks, each raises `Rejected`.

Invariant: two honest readers judge a text alike, whatever their Python's Unicode tables: every
range is written out. Sources: GB 11643-1999 (resident id, ISO 7064 MOD 11-2), GB 32100-2015
(unified social credit code, MOD 31). See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

import re
from functools import lru_cache

from tallystick.contracts.bills.body import Payer
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.protocol.errors import Malformed, Reason, Rejected
from tallystick.protocol.values import parse_day

NAME_MAX = 120
"""Characters of a name: Uyghur names and the full names of hospitals stay well below."""
ID_NUMBER_MAX = 40

_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e0fff]"
)
"""Controls, line separators, direction marks, zero-width and tag characters."""
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_LEFT_TO_RIGHT = re.compile(
    "[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u058f\u0900-\u1fff\u2c00-\u2dff\u3005-\u3007"
    "\u3021-\ud7ff\uf900-\ufaff\uff21-\uff3a\uff41-\uff5a\U00020000-\U0003ffff]"
)

_CONSPICUOUS = re.compile(rf"[\s\\]|{_HIDDEN.pattern}|{_RIGHT_TO_LEFT.pattern}")
_PLAIN_ASCII = bytes(byte for byte in range(0x20, 0x7F) if byte != ord("\\"))

_RESIDENT_ID = re.compile(r"[1-9][0-9]{16}[0-9X]", re.ASCII)
_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_RESIDENT_CHECKS = "10X98765432"

_CREDIT_DIGITS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CREDIT_CODE = re.compile(rf"[{_CREDIT_DIGITS}]{{2}}[0-9]{{6}}[{_CREDIT_DIGITS}]{{10}}", re.ASCII)
_CREDIT_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)

_OTHER_ID = re.compile(rf"[0-9A-Za-z][0-9A-Za-z()/-]{{0,{ID_NUMBER_MAX - 1}}}", re.ASCII)


def check_text(text: str, path: str, reason: Reason = BillsReason.TEXT_INVALID) -> None:
    """A text shows all that it holds, in one direction, and does not begin or end with blanks."""
    if text.isascii() and text.isprintable() and text == text.strip():
        return
    if hidden := _HIDDEN.search(text):
        raise Rejected(reason, f"character U+{ord(hidden[0]):04X} at {hidden.start()}", path=path)
    if text != text.strip():
        raise Rejected(reason, "begins or ends with a blank", path=path)
    if _RIGHT_TO_LEFT.search(text) and _LEFT_TO_RIGHT.search(text):
        raise Rejected(reason, "mixes right-to-left and left-to-right letters", path=path)


def may_need_a_look(encoded: bytes) -> bool:
    """Whether `check_text` could refuse any string in these canonical bytes.

    A quick look over all at once: printable ASCII is dropped, the rest searched for characters that
    hide, run right to left or are blank. An escape, or a blank beside a quote, needs a look too.
    """
    if b'" ' in encoded or b' "' in encoded:
        return True
    return _CONSPICUOUS.search(encoded.translate(None, _PLAIN_ASCII).decode()) is not None


def check_name(name: str, path: str) -> None:
    """A name is there, is not too long and is a proper text."""
    if not name:
        raise Rejected(BillsReason.PARTY_ID_INVALID, "no name", path=path)
    if len(name) > NAME_MAX:
        raise Rejected(
            BillsReason.PARTY_ID_INVALID, f"{len(name)} characters, limit {NAME_MAX}", path=path
        )
    check_text(name, path, BillsReason.PARTY_ID_INVALID)


def check_resident_id(number: str, path: str) -> None:
    """18 characters with a real birth date and a right check character; capital X only."""
    if _RESIDENT_ID.fullmatch(number) is None:
        raise _invalid("a resident id has 17 digits and a check character", path)
    try:
        parse_day(f"{number[6:10]}-{number[10:12]}-{number[12:14]}")
    except Malformed:
        raise _invalid("the birth date in the resident id does not exist", path) from None
    if number[17] != resident_id_check(number[:17]):
        raise _invalid("the check character of the resident id is wrong", path)


def resident_id_check(digits: str) -> str:
    """The check character of the first 17 digits."""
    total = sum(
        int(digit) * weight for digit, weight in zip(digits, _RESIDENT_WEIGHTS, strict=True)
    )
    return _RESIDENT_CHECKS[total % 11]


def check_credit_code(code: str, path: str) -> None:
    """18 characters without I, O, S, V, Z and with a right check character."""
    if _CREDIT_CODE.fullmatch(code) is None:
        raise _invalid("a credit code has 18 digits and capitals without I, O, S, V, Z", path)
    if code[17] != credit_code_check(code[:17]):
        raise _invalid("the check character of the credit code is wrong", path)


@lru_cache(maxsize=1_024)
def credit_code_check(characters: str) -> str:
    """The check character of the first 17 characters."""
    total = sum(
        _CREDIT_DIGITS.index(character) * weight
        for character, weight in zip(characters, _CREDIT_WEIGHTS, strict=True)
    )
    return _CREDIT_DIGITS[-total % 31]


def check_other_id(number: str, path: str) -> None:
    """A passport or permit: bounded letters and digits, no checksum known."""
    if _OTHER_ID.fullmatch(number) is None:
        raise _invalid(f"1 to {ID_NUMBER_MAX} letters and digits", path)


def check_payer_id(payer: Payer) -> None:
    """A payer's identity number is one of its type: a typing error would be somebody else."""
    if (payer.party == "unit") != (payer.id_type == "credit_code") and payer.id_type is not None:
        raise Rejected(
            BillsReason.PARTY_ID_INVALID,
            f"a {payer.party} has no {payer.id_type}",
            path="payer/id_type",
        )
    if payer.id_type == "resident_id":
        check_resident_id(payer.id_number, "payer/id_number")
    elif payer.id_type == "credit_code":
        check_credit_code(payer.id_number, "payer/id_number")
    elif payer.id_type is not None:
        check_other_id(payer.id_number, "payer/id_number")
    elif payer.id_number:
        raise Rejected(BillsReason.PARTY_ID_INVALID, "a number of no type", path="payer/id_type")


def _invalid(detail: str, path: str) -> Rejected:
    """The number itself is personal and never repeated in the refusal."""
    return Rejected(BillsReason.PARTY_ID_INVALID, detail, path=path)
