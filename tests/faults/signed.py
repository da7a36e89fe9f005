"""Nonsense that is soundly signed: items of every action with values that their types allow.

Invariant: each is authentic where it can be read at all, so that what refuses it is a rule.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from random import Random
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from faults.ground import CODE, LAST, Ground, signer
from faults.readers import HOSTILE_VALUES, mutate

from tallystick.node import rules
from tallystick.protocol.canonical import INTEGER_MAX, Meta, Record, encode
from tallystick.protocol.transaction import Header, item_hash, items_root, signing_bytes
from tallystick.protocol.values import format_instant

INTEGERS = (
    *(-INTEGER_MAX, -1, 0, 1, 2, 3, 99, 100, 4_095, 4_096, 10_000, 35_000, CODE, CODE // 100),
    *(LAST, LAST + 1, 10**10 - 1, 10**10, 10**11, 10**13, INTEGER_MAX - 1, INTEGER_MAX),
)
TEXTS = (
    *("", "0", "x", "finance", "north", "south", "nobody", "k/finance", "k/new", "full", "refund"),
    *(f"{CODE}:0000000001", f"{CODE}:0000000002", f"{CODE}:9999999999", "33060199:0000000001"),
    *(f"{CODE}/3/0000000001", f"{CODE}/0/0000000001", "bills.issue", "bills.*", "*", "members.*"),
    *("a" * 40, "../../etc", "\u202e", "发票", "CNY", "XXX", "wrong_data", "other"),
    *("2026-01-05T04:00:00Z", "2026-01-05T05:00:00Z", "9999-12-31T23:59:59Z"),
    *("1970-01-01T00:00:00Z", "2026-01-05", "9999-12-31", "f" * 64, "f" * 64 + ".0", "01"),
)
BYTES = tuple(bytes([fill]) * size for fill in (0, 255) for size in (0, 16, 32, 64))


def signed_mutants(ground: Ground, at: int, chance: Random, count: int) -> Iterator[bytes]:
    """Invented items of every action, sound bills with some fields changed, and broken bytes."""
    actions = sorted(rules().actions)
    for _ in range(count):
        sender, action = chance.choice(("finance", "north")), chance.choice(actions)
        items = [encode(_invent(rules().actions[action].item, chance))]
        if chance.random() < 0.3:
            sender, action = "north", "bills.issue/1"
            sound = json.loads(ground.issue("north", 1, at, number=chance.randrange(50)))
            items = [encode(_changed(sound["items"][0], rules().actions[action].item, chance))]
        if chance.random() < 0.05:
            items = [mutate(item, chance) for item in items]
        yield _sign(ground, sender, action, items, valid_until=at + 60, chance=chance)


def _changed(item: dict[str, Any], kind: type[Record], chance: Random) -> dict[str, Any]:
    invented = _invent(kind, chance)
    names = sorted(invented.keys() - {"nonce"})
    return item | {name: invented[name] for name in chance.sample(names, min(2, len(names)))}


def _invent(kind: type[Record], chance: Random) -> dict[str, Any]:
    """The fields of a record, each as its type wants it; an empty one stays away."""
    found = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if get_origin(hint) is not None or hint in (int, str, bytes, bool) or _is_record(hint):
            value = _value(hint, chance)
            if value not in (None, "", 0, False, [], {}):
                found[name] = value
    return found


def _is_record(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Record)


def _value(hint: Any, chance: Random) -> Any:
    """A value of the type, from its edges."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _bounded(inside[0], inside[1], chance)
    if origin in (Union, UnionType, Literal):
        one = chance.choice(inside)
        return one if origin is Literal else _value(one, chance)
    if origin in (list, tuple):
        return [_value(inside[0], chance) for _ in range(chance.randrange(4))]
    if origin is dict:
        return {chance.choice(TEXTS[1:]): _value(inside[1], chance) for _ in range(2)}
    if _is_record(hint):
        return _invent(hint, chance)
    some: dict[Any, Any] = {int: INTEGERS, str: TEXTS, bytes: BYTES, bool: (True, False)}
    return None if hint is NoneType else chance.choice(some.get(hint, (None,)))


def _bounded(hint: Any, meta: Any, chance: Random) -> Any:
    """As the annotation's bounds allow, or now and then one that they do not."""
    if not isinstance(meta, Meta):
        return _value(hint, chance)
    plain = hint in (int, str, bytes)
    tries = [_value(hint, chance) for _ in range(30 if plain else 2)]
    if hint is int:
        tries += [each for each in (meta.ge, meta.le) if each is not None] * 2
        chance.shuffle(tries)
    fitting = [each for each in tries if _fits(each, meta)]
    return fitting[0] if fitting else tries[0]


def _fits(value: Any, meta: Meta) -> bool:
    if isinstance(value, int):
        return (meta.ge is None or value >= meta.ge) and (meta.le is None or value <= meta.le)
    if isinstance(value, str) and meta.pattern is not None:
        return re.search(meta.pattern, value) is not None
    if isinstance(value, str | bytes | list | dict):
        least, most = meta.min_length or 0, meta.max_length
        return least <= len(value) and (most is None or len(value) <= most)
    return True


def _sign(
    ground: Ground,
    sender: str,
    action: str,
    items: list[bytes],
    *,
    valid_until: int,
    chance: Random,
) -> bytes:
    with_root = action.startswith("members.") and chance.random() < 0.7
    key = signer(f"{sender}/root" if with_root else sender)
    header = Header(
        network=ground.network,
        key=key.public_key,
        sender=sender,
        action=action,
        count=len(items),
        root=items_root([item_hash(item) for item in items]),
        idempotency=chance.randbytes(16),
        valid_until=format_instant(valid_until),
    )
    signature = b64encode(key.sign(signing_bytes(header)))
    if chance.random() < 0.02:
        items = [chance.choice(HOSTILE_VALUES)]
    return b'{"header":%b,"items":[%b],"signature":"%b"}' % (
        encode(header),
        b",".join(items),
        signature,
    )
