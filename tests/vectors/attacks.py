"""Receipts and state proofs that must fail: every field changed, and what an attacker would try.

See docs/spec/README.md.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from vectors import curve
from vectors.cases import FALSE, UNREADABLE, Case
from vectors.chain import Key, plain
from vectors.world import World, bill

from tallystick.protocol.canonical import encode
from tallystick.protocol.transaction import item_hash, signing_bytes

STEP_OF_FIELD = {
    "item": 2,
    "item_path": 2,
    "header/count": 2,
    "header/root": 2,
    "header/network": 3,
    "header": 5,
    "signature": 5,
    "entry/n": 2,
    "entry/tx": 6,
    "entry/item": 6,
    "entry": 7,
    "index": 7,
    "log_path": 7,
    "state/block_leaf": 11,
    "state/block_path": 11,
    "state/key": 12,
    "state/page/code": 12,
    "state/page/number": 12,
    "state/page/path": 13,
    "state/row/kind": 12,
    "state/row/id": 12,
    "state/row": 13,
    "state/map": 13,
}
"""The step that notices a change, by the longest prefix of the field's path."""


UNREADABLE_WHEN_CHANGED = ("format", "entry/kind", "state/block_leaf/kind", "state/map/bitmap")
"""Fields of which every other value is a document of no form; a bitmap has as many bits as there
are siblings."""


def failing(world: World) -> Iterator[Case]:
    """Everything that must not be believed."""
    yield from _changed_fields(world)
    yield from _changed_shapes(world)
    yield from _other_bytes(world)
    yield from _swapped(world)
    yield from _signatures(world)


def receipt(world: World, name: str, key: str | None = None) -> dict[str, Any]:
    """A good receipt, as members free to be changed."""
    return plain(world.chain.receipt(world.at[name], world.note(), key))


def false(name: str, members: Any, step: int, why: str, **more: Any) -> Case:
    kind = more.pop("kind", "receipt")
    return Case(name, kind, encode(members), FALSE, why, step=step, **more)


def unreadable(name: str, data: bytes, why: str, kind: str = "receipt") -> Case:
    return Case(name, kind, data, UNREADABLE, why)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all scalars in a JSON value."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for name, member in pairs:
            yield from leaves(member, (*path, name))
    else:
        yield path


def set_at(members: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = deepcopy(members)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return changed


def get_at(members: Any, path: tuple[Any, ...]) -> Any:
    for name in path:
        members = members[name]
    return members


def other(value: Any) -> Any:
    """The nearest other value of the same form."""
    if isinstance(value, bool | int):
        return not value if isinstance(value, bool) else value + 1
    if value.endswith("Z"):
        return value[:-3] + ("1Z" if value[-3:] == "00Z" else "00Z").rjust(3, "0")
    if value.endswith("="):
        data = bytearray(b64decode(value))
        data[-20 if len(data) == 64 else len(data) // 2] ^= 1  # in a signature: in its S
        return b64encode(bytes(data)).decode()
    if len(value) == 64:
        return ("0" if value[0] != "0" else "1") + value[1:]
    last = value[-1]
    near = ("1" if last != "1" else "2") if last.isdigit() else ("y" if last != "y" else "z")
    return {"accepted": "demo.number_taken"}.get(value, value[:-1] + near)


def step_of(path: tuple[Any, ...]) -> int:
    text = "/".join(map(str, path))
    found = [prefix for prefix in STEP_OF_FIELD if text == prefix or text.startswith(prefix + "/")]
    return STEP_OF_FIELD[max(found, key=len)]


def _changed_fields(world: World) -> Iterator[Case]:
    bases = {
        "bill": receipt(world, "third") | {"state": None},
        "numbered": receipt(world, "thousand 500", bill(200_500)),
        "mapped": receipt(world, "pass", "demo.pass/card-1"),
    }
    del bases["bill"]["state"]
    seen: set[str] = set()
    for base, members in bases.items():
        for path in leaves(members):
            text = "/".join(map(str, path))
            if path[0] == "checkpoint" or (text in seen and path[0] != "state"):
                continue
            seen.add(text)
            changed = encode(set_at(members, path, other(get_at(members, path))))
            name, why = f"{base} {text} changed", f"one field changed: {text}"
            if text in UNREADABLE_WHEN_CHANGED:
                yield unreadable(name, changed, why)
            else:
                yield Case(name, "receipt", changed, FALSE, why, step=step_of(path))


REQUIRED = """
    format item item_path header signature entry index log_path checkpoint header/network
    header/key header/root header/count entry/outcome entry/at state/map state/key
    state/block_leaf state/block_path state/block_leaf/state
"""


def _changed_shapes(world: World) -> Iterator[Case]:
    good = receipt(world, "first", bill(100_001))
    for text in REQUIRED.split():
        *path, last = text.split("/")
        changed = deepcopy(good)
        del get_at(changed, tuple(path))[last]
        yield unreadable(f"{text} missing", encode(changed), f"no {text}")
    shapes: dict[str, tuple[str, Any]] = {
        "another format": ("format", "tallystick/receipt/v2"),
        "item is no object": ("item", []),
        "index is a string": ("index", "0"),
        "index is negative": ("index", -1),
        "index beyond 2^53": ("index", 2**53),
        "index is null": ("index", None),
        "count is zero": ("header/count", 0),
        "count above the limit": ("header/count", 1_001),
        "n is negative": ("entry/n", -1),
        "short key": ("header/key", "AAAA"),
        "long signature": ("signature", b64encode(bytes(65)).decode()),
        "tx in capitals": ("entry/tx", "A" * 64),
        "free text as outcome": ("entry/outcome", "refused, sorry"),
        "free text as sender": ("header/sender", "Hospital One"),
        "action without version": ("header/action", "demo.make"),
        "no such second": ("entry/at", "2026-03-02T01:00:60Z"),
        "hour 31": ("state/block_leaf/at", "2026-03-02T31:00:00Z"),
        "lower-case instant": ("header/valid_until", "2026-03-03t01:00:00z"),
        "short hash in item path": ("item_path", ["AAAA"]),
        "item path too long": ("item_path", [b64encode(bytes(32)).decode()] * 11),
        "log path too long": ("log_path", [b64encode(bytes(32)).decode()] * 65),
        "page path too long": ("state/page/path", [b64encode(bytes(32)).decode()] * 13),
        "key without kind": ("state/key", "card-1"),
        "key with space": ("state/key", "demo.pass/card 1"),
        "code too short": ("state/page/code", 9_999_999),
        "row is a list": ("state/row", []),
        "checkpoint is empty": ("checkpoint", ""),
        "default spelled out": ("header/atomic", False),
        "unknown member": ("extra", 1),
        "unknown member in header": ("header/extra", 1),
        "unknown member in leaf": ("state/block_leaf/extra", 1),
        "fraction in item": ("item/amount", 1.5),
        "huge number in item": ("item/amount", 2**53),
        "deep item": ("item/amount", _deep(40)),
        "name beyond ASCII in item": ("item/é", 1),
        "good is a number": ("state/row/good", 1),
        "until is no instant": ("state/row/until", "tomorrow"),
        "row without state": ("state/row/state", ""),
    }
    for name, (text, value) in shapes.items():
        changed = set_at(good, tuple(text.split("/")), value)
        yield unreadable(name, encode(changed), f"{text} is not of its form")


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def _other_bytes(world: World) -> Iterator[Case]:
    good = encode(receipt(world, "first"))
    head, tail = good[:-1], good[1:]
    spellings: dict[str, tuple[bytes, str]] = {
        "empty": (b"", "nothing at all"),
        "cut off": (good[:-1], "the last byte is missing"),
        "cut in half": (good[: len(good) // 2], "half of it is missing"),
        "newline at the end": (good + b"\n", "trailing data"),
        "second document": (good + good, "trailing data"),
        "byte zero at the end": (good + b"\0", "trailing data"),
        "byte order mark": (b"\xef\xbb\xbf" + good, "not the canonical encoding"),
        "space": (good.replace(b":", b": ", 1), "white space"),
        "duplicate member": (b'{"index":0,' + tail, "a member twice"),
        "duplicate member at the end": (head + b',"signature":""}', "a member twice"),
        "member out of order": (_moved(good), "names are sorted"),
        "escaped letter": (good.replace(b'"accepted"', b'"\\u0061ccepted"'), "another spelling"),
        "escaped slash": (good.replace(b"receipt/v1", b"receipt\\/v1"), "another spelling"),
        "base64 without padding": (good.replace(b"==", b"", 1), "padded base64"),
        "base64url": (_base64url(good), "the alphabet of RFC 4648 section 4"),
        "base64 with other spare bits": (_spare_bits(good), "spare bits are zero"),
        "number with exponent": (good.replace(b'"index":0', b'"index":0e0'), "integers only"),
        "number with fraction": (good.replace(b'"index":0', b'"index":0.0'), "integers only"),
        "minus zero": (good.replace(b'"index":0', b'"index":-0'), "one spelling of zero"),
        "leading zero": (good.replace(b'"index":0', b'"index":00'), "one spelling of zero"),
        "not a number": (good.replace(b'"index":0', b'"index":NaN'), "not JSON"),
        "number of 5000 digits": (good.replace(b'"index":0', b'"index":' + b"9" * 5_000), "huge"),
        "bad UTF-8": (good.replace(b"accepted", b"accept\xff\xfe"), "not UTF-8"),
        "UTF-8 of a surrogate": (good.replace(b"accepted", b"acce\xed\xa0\x80"), "not UTF-8"),
        "lone surrogate": (good.replace(b"accepted", b"acc\\ud800"), "no such character"),
        "UTF-16": (good.decode().encode("utf-16"), "not UTF-8"),
        "a list": (b"[" + good + b"]", "not an object"),
        "null": (b"null", "not an object"),
        "100000 lists": (b"[" * 100_000, "too long, and too deep"),
        "16000 lists": (b'{"item":' + b"[" * 16_000 + b"]" * 15_000, "too deep"),
        "16000 lists closed": (_closed_lists(good), "too deep"),
        "larger than the limit": (good[:-1] + b" " * 33_000 + b"}", "32 KiB at most"),
    }
    for name, (data, why) in spellings.items():
        yield unreadable(name, data, why)
    yield unreadable(
        "a state proof", encode(world.chain.document(bill(1), world.note())), "not one"
    )
    yield unreadable("a receipt", good, "not a state proof", kind="state")


def _moved(good: bytes) -> bytes:
    """The last member, the signature, comes first."""
    at = good.rindex(b',"signature"')
    return b"{" + good[at + 1 : -1] + b"," + good[1:at] + b"}"


def _base64url(good: bytes) -> bytes:
    at = good.index(b'"signature":"')
    return good[:at] + good[at:].replace(b"+", b"-").replace(b"/", b"_")


def _spare_bits(good: bytes) -> bytes:
    at = good.rindex(b'=="')
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    spare = letters[letters.index(good[at - 1 : at]) + 1 :][:1]
    return good[: at - 1] + spare + good[at:]


def _closed_lists(good: bytes) -> bytes:
    at = good.index(b'"number":') + len(b'"number":')
    end = good.index(b"}", at)
    return good[:at] + b"[" * 7_000 + b"]" * 7_000 + good[end:]


def _swapped(world: World) -> Iterator[Case]:
    third, first = receipt(world, "third"), receipt(world, "first")
    refused = receipt(world, "refused")
    yield false(
        "refused shown as accepted",
        set_at(refused, ("entry", "outcome"), "accepted"),
        7,
        "the outcome is in the leaf",
    )
    yield false(
        "accepted leaf for a refused item",
        refused | {"entry": third["entry"]},
        2,
        "the leaf of another item",
    )
    entry = third["entry"] | {"n": 1}
    yield false(
        "accepted leaf with the n of a refused item",
        refused | {"entry": entry},
        6,
        "the leaf of another item",
    )
    yield false("item of another receipt", third | {"item": first["item"]}, 2, "swapped items")
    yield false(
        "header of another receipt", third | {"header": first["header"]}, 2, "swapped headers"
    )
    yield false(
        "transaction of another receipt",
        third | {name: first[name] for name in ("item", "item_path", "header", "signature")},
        2,
        "the leaf's n is not of this transaction",
    )
    whole = {name: first[name] for name in ("item", "item_path", "header", "signature")}
    leaf = third["entry"] | {"n": 0}
    yield false(
        "transaction of another receipt, n fits",
        third | whole | {"entry": leaf},
        6,
        "the leaf is of another transaction",
    )
    yield from _misplaced(world)


def _misplaced(world: World) -> Iterator[Case]:
    """True parts whose paths, positions or sizes are not theirs."""
    third, thousand = receipt(world, "third"), receipt(world, "thousand 500")
    five, first = receipt(world, "several 5"), receipt(world, "first")
    for name, base, step in (("item_path", five, 2), ("log_path", thousand, 7)):
        path = base[name]
        changes = {
            "swapped": [path[1], path[0], *path[2:]],
            "shortened": path[:-1],
            "lengthened": [*path, path[-1]],
            "reversed": path[::-1],
            "emptied": [],
            "rotated": path[1:] + path[:1],
        }
        for how, value in changes.items():
            yield false(f"{name} {how}", base | {name: value}, step, f"the path is {how}")
    yield false(
        "paths exchanged",
        third | {"item_path": third["log_path"][:2]},
        2,
        "a path of the log for the items",
    )
    for n in (0, 3, 999, 1_000, 2**53 - 1):
        yield false(f"n is {n}", set_at(third, ("entry", "n"), n), 2, "not this item's place")
    for count in (1, 2, 4, 1_000):
        yield false(
            f"count is {count}",
            set_at(third, ("header", "count"), count),
            2,
            "a path fits one count",
        )
    for index in (0, third["index"] - 1, world.chain.size - 1, world.chain.size, 2**53 - 1):
        yield false(f"index is {index}", third | {"index": index}, 7, "not this entry's place")
    digest = b64encode(item_hash(encode(first["item"]))).decode()
    yield false(
        "leaf of another item",
        set_at(third, ("entry", "item"), digest),
        6,
        "the leaf's item is not the one shown",
    )
    yield false("the items root for a leaf", _node_as_leaf(thousand), 2, "an inner node is no leaf")


def _node_as_leaf(thousand: dict[str, Any]) -> dict[str, Any]:
    """Claim a tree of half the height."""
    changed = deepcopy(thousand)
    changed["header"]["count"] = 500
    changed["entry"]["n"] = 250
    changed["item_path"] = changed["item_path"][1:]
    return changed


def _signatures(world: World) -> Iterator[Case]:
    first = receipt(world, "first")
    sent = world.chain.sent[world.at["first"]]
    message = signing_bytes(sent.header)
    signature = b64decode(first["signature"])
    r, s = signature[:32], int.from_bytes(signature[32:], "little")

    def signed(name: str, value: bytes, why: str) -> Case:
        return false(name, first | {"signature": b64encode(value).decode()}, 5, why)

    yield signed("signature by another key", Key("insurer-01").sign(message), "another signer")
    yield signed("signature without context", Key("hospital-01").sign(message[26:]), "no context")
    yield signed(
        "signature of the tx_id",
        Key("hospital-01").sign(first["entry"]["tx"].encode()),
        "the message is signed, not its hash",
    )
    yield signed("signature of zeros", bytes(64), "R is a point of small order")
    for times in (1, 2, 8):
        larger = (s + times * curve.ORDER).to_bytes(32, "little")
        yield signed(f"S + {times} L", r + larger, "S is not below the group order")
    yield signed("S is L", r + curve.ORDER.to_bytes(32, "little"), "S is not below the group order")
    for n, point in enumerate(curve.SMALL_ORDER):
        yield signed(
            f"R of small order {n}",
            curve.compress(point) + signature[32:],
            "R is a point of small order",
        )
    for more in (0, 1, 3, 18):
        y = (curve.PRIME + more).to_bytes(32, "little")
        yield signed(f"R is p + {more}", y + signature[32:], "R is not canonical")
    flipped = bytes([*r[:31], r[31] ^ 0x80])
    yield signed("R mirrored", flipped + signature[32:], "R's sign bit")
    minus = (curve.ORDER - s).to_bytes(32, "little")
    yield signed("R and S negated", flipped + minus, "the mirrored signature")
    yield signed("R with torsion", _torsion_in_r(message), "cofactorless: R compared as bytes")
    for name, key in {
        "key of small order": curve.compress(curve.TORSION),
        "key is the identity": curve.compress(curve.IDENTITY),
        "key is p": curve.PRIME.to_bytes(32, "little"),
        "key is p - 1": (curve.PRIME - 1).to_bytes(32, "little"),
        "key is not on the curve": (2).to_bytes(32, "little"),
        "key of another sender": Key("insurer-01").public_key,
    }.items():
        changed = set_at(first, ("header", "key"), b64encode(key).decode())
        yield false(name, changed, 5, "not the signer's key")


def _torsion_in_r(message: bytes) -> bytes:
    """A signature by the true key that a cofactored rule accepts; its scalar is in RFC 8032."""
    secret, prefix = _expand("hospital-01")
    nonce = int.from_bytes(prefix, "little") % curve.ORDER
    _, signature = curve.sign(
        secret, nonce, message, key_torsion=curve.IDENTITY, r_torsion=curve.TORSION
    )
    return signature


def _expand(name: str) -> tuple[int, bytes]:
    secret = Key(name).expanded()
    scalar = int.from_bytes(secret[:32], "little")
    return (scalar & (2**254 - 8)) | 2**254, secret[32:]
