"""Money as people write it: ``993.54`` and nothing else.

Invariant: ``format_amount(parse_amount(text)) == text`` for every accepted `text`. Bills have
currencies of two decimals only. See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

import re

from tallystick.contracts.bills.reasons import BillsReason
from tallystick.protocol.errors import Rejected

_AMOUNT = re.compile(r"(-?)(0|[1-9][0-9]{0,12})\.([0-9]{2})", re.ASCII)
"""At most 15 digits in all: what `values.AMOUNT_MAX` can hold."""


def parse_amount(text: str, *, path: str = "") -> int:
    """Minor units of an amount with exactly two decimals, negative with ``-``."""
    match = _AMOUNT.fullmatch(text)
    if match is None or text == "-0.00":
        raise Rejected(
            BillsReason.AMOUNT_FORMAT, f"{text[:40]!r} is not an amount like 993.54", path=path
        )
    sign, units, cents = match.groups()
    amount = int(units) * 100 + int(cents)
    return -amount if sign else amount


def format_amount(minor: int) -> str:
    """Minor units with two decimals."""
    units, cents = divmod(abs(minor), 100)
    return f"{'-' if minor < 0 else ''}{units}.{cents:02d}"


def format_amount_e4(amount_e4: int) -> str:
    """An amount of a list line, with its four decimals."""
    units, rest = divmod(abs(amount_e4), 10_000)
    return f"{'-' if amount_e4 < 0 else ''}{units}.{rest:04d}"
