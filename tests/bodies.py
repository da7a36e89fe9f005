"""Bodies of bills by seed for tests: those of `apps.bills.generate`, numbered and of one network.

Invariant: `check_body(make_body(seed), rules)` passes for every seed and every setting here.
"""

from __future__ import annotations

from typing import Any, Literal

from tallystick.apps.bills.catalogue import MEDICAL_ITEMS, TYPES
from tallystick.apps.bills.generate import make_draft, make_institution
from tallystick.contracts.bills.body import Body, Relates
from tallystick.contracts.bills.records.bills import TypeRules, format_bill_id
from tallystick.protocol.canonical import replace

Setting = Literal["outpatient", "inpatient"]

NETWORK = bytes(range(32))
ITEM_NAMES = {code: zh for code, (zh, _) in MEDICAL_ITEMS.items()}
OUTPATIENT = TYPES["outpatient"].rules
INPATIENT = TYPES["inpatient"].rules
RULES: dict[Setting, TypeRules] = {"outpatient": OUTPATIENT, "inpatient": INPATIENT}

_FIRST_BILL_AT = 1_768_181_467
"""2026-01-12T01:31:07Z."""


def make_body(seed: int, *, setting: Setting = "outpatient", **changes: Any) -> Body:
    """One consistent bill with fields changed; the same arguments give the same bill.

    A change of `code` changes the type with it; whoever changes amounts keeps them consistent.
    """
    issuer = make_institution(changes.pop("issuer", "hospital-01"), "示范市第一医院")
    at = _FIRST_BILL_AT + seed
    body = make_draft(seed, setting, institution=issuer, issued_at=at, year=2026)
    code = changes.pop("code", body.code)
    numbered = replace(body, network=NETWORK, number=seed + 1, code=code, type=code // 100)
    return replace(numbered, **changes)


def make_red(blue: Body, *, number: int, **changes: Any) -> Body:
    """The full reversal of a blue bill: the same amounts, positive, under a number of its own."""
    relates = Relates(reversal_of=format_bill_id(blue.code, blue.number))
    return replace(blue, kind="red", number=number, relates=relates, **changes)


def changed(body: Body, path: str, value: object) -> Body:
    """A copy of `body` with the member at `path`, like ``items/0/amount``, replaced."""
    copy = _changed(body, path.split("/"), value)
    assert isinstance(copy, Body)
    return copy


def _changed(node: Any, names: list[str], value: object) -> object:
    if not names:
        return value
    name, *rest = names
    if isinstance(node, tuple):
        index = int(name)
        return (*node[:index], _changed(node[index], rest, value), *node[index + 1 :])
    return replace(node, **{name: _changed(getattr(node, name), rest, value)})


def at(body: Body, path: str) -> Any:
    """The member at `path`."""
    node: Any = body
    for name in path.split("/"):
        node = node[int(name)] if isinstance(node, tuple) else getattr(node, name)
    return node
