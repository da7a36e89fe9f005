"""JSON as other people's programs write it: any spacing and order; but nothing that may mean two
things.

Invariant: what is read is whole numbers, texts, lists and objects whose names stand once.
See docs/guides/gateway.md.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

from tallystick.apps.bills.gateway.reasons import GatewayReason
from tallystick.protocol.canonical import check_plain, narrow
from tallystick.protocol.errors import Malformed, Rejected

T = TypeVar("T")

DIGITS_MAX = 40
"""Of a number; longer ones are none of ours, and take long to read."""


def read_plain(data: bytes, kind: type[T]) -> T:
    """A record out of JSON; `Malformed` or `Rejected` say what is wrong with it."""
    value = parse_plain(data)
    found = narrow(value, kind)
    check_plain(value)
    return found


def parse_plain(data: bytes) -> Any:
    """JSON as plain values."""
    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_float=_fraction,
            parse_constant=_fraction,
            parse_int=_integer,
        )
    except UnicodeDecodeError:
        raise Malformed("not in UTF-8") from None
    except RecursionError:
        raise Malformed("nested too deeply") from None
    except ValueError as error:
        raise Malformed(f"not JSON: {str(error)[:200]}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        name = next(name for name in names if names.count(name) > 1)
        raise Rejected(GatewayReason.TWICE, f"{name[:40]!r} stands twice", path=name[:40])
    return found


def _integer(text: str) -> int:
    if len(text) > DIGITS_MAX:
        raise Malformed("an integer beyond 2^53 - 1")
    return int(text)


def _fraction(text: str) -> NoReturn:
    raise Rejected(GatewayReason.FRACTION, f"{text[:40]} is no whole number")
