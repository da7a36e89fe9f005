"""Small vectors of each part of the protocol, for whoever builds it from the bottom up.

Bytes are in hex, JSON texts are strings. See docs/spec/README.md.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from vectors import curve
from vectors.chain import CODE, START, Key, founding, keeper_name, policy
from vectors.world import World

from tallystick.apps.bills.fields import commit_fields
from tallystick.protocol import merkle, page, statemap
from tallystick.protocol.body import disclosure_path, leaves, seal_body
from tallystick.protocol.canonical import encode
from tallystick.protocol.checkpoint import (
    COSIGNATURE_KEY,
    NOTE_KEY,
    Checkpoint,
    VerifierKey,
    cosign,
    format_checkpoint,
    format_note,
    format_vkey,
    sign_note,
)
from tallystick.protocol.entry import app_hash
from tallystick.protocol.genesis import log_origin, read_genesis
from tallystick.protocol.multiproof import prove_some
from tallystick.protocol.row import row_hash, row_key, row_salt
from tallystick.protocol.transaction import (
    Item,
    item_hash,
    items_path,
    items_root,
    sign_transaction,
    signing_bytes,
    transaction_id,
)
from tallystick.protocol.values import Count, format_instant, parse_instant

CANONICAL = [
    "{}",
    '{"a":1,"b":[true,false,null,"x"],"c":{"d":-9007199254740991}}',
    '{"":"","A":9007199254740991,"a":"\\u0000\\b\\t\\n\\f\\r\\u001f\\"\\\\/\x7f"}',
    '{"text":"发票 \N{GRINNING FACE} \u2028"}',
    '{"bytes":"+/8=","none":""}',
]
MALFORMED = {
    '{"a": 1}': "white space",
    '{"b":1,"a":2}': "names out of order",
    '{"a":1,"a":1}': "a name twice",
    '{"é":1}': "a name that is not ASCII",
    '{"a":1.0}': "a fraction",
    '{"a":1e2}': "an exponent",
    '{"a":-0}': "minus zero",
    '{"a":9007199254740992}': "beyond 2^53 - 1",
    '{"a":"\\u0041"}': "an escape that is not needed",
    '{"a":"\\u001F"}': "an escape in capitals",
    '{"a":"\\/"}': "an escape that is not needed",
    '{"a":"\\ud800"}': "half of a surrogate pair",
    '{"a":"\\ud83d\\ude00"}': "a pair of escapes for one character",
    '{"a":' + "[" * 40 + "]" * 40 + "}": "more than 32 levels",
    '{"a":1}\n': "trailing data",
    "\ufeff{}": "a byte order mark",
    "": "nothing",
}
INSTANTS = ["1970-01-01T00:00:00Z", "2024-02-29T23:59:59Z", "9999-12-31T23:59:59Z"]
NO_INSTANTS = [
    "2026-02-29T00:00:00Z",
    "2026-01-31T24:00:00Z",
    "2026-01-31T09:00:60Z",
    "2026-01-31T09:00:00.0Z",
    "2026-01-31T09:00:00+00:00",
    "2026-01- 1T09:00:00Z",
    "1969-12-31T23:59:59Z",
]


class Thing(Item):
    """The items of the transactions below."""

    number: Count


def modules(world: World) -> dict[str, Any]:
    """Every file of this kind, by name."""
    return {
        "encoding": _encoding(),
        "keys": _keys(),
        "transaction": _transactions(),
        "entry": _entries(world),
        "merkle": _merkle(),
        "checkpoint": _checkpoints(),
        "page": _pages(),
        "map": _maps(),
        "genesis": _genesis(),
        "body": _bodies(),
        "presentation": _presentations(),
    }


def _encoding() -> dict[str, Any]:
    return {
        "canonical": CANONICAL,
        "malformed": [{"text": text, "why": why} for text, why in MALFORMED.items()],
        "malformed_bytes": [b'{"a":"\xff"}'.hex(), b'{"a":"\xed\xa0\x80"}'.hex()],
        "instants": [[text, parse_instant(text)] for text in INSTANTS],
        "no_instants": NO_INSTANTS,
    }


def _keys() -> list[dict[str, Any]]:
    message = b"tallystick/test/v1\nmessage"
    signer = Key("signer")
    key, good = signer.public_key, signer.sign(message)
    r, s = good[:32], int.from_bytes(good[32:], "little")
    rows = [(key, message, good, True, "a good signature")]
    rows.append((key, b"", signer.sign(b""), True, "the empty message"))
    rows.append((key, message + b"\0", good, False, "another message"))
    rows.append((Key("other").public_key, message, good, False, "another key"))
    for times in (1, 2, 7):
        larger = (s + times * curve.ORDER).to_bytes(32, "little")
        rows.append((key, message, r + larger, False, f"S + {times} L"))
    for point in curve.SMALL_ORDER:
        small = curve.compress(point)
        rows.append((small, message, good, False, "the key is of small order"))
        rows.append((key, message, small + good[32:], False, "R is of small order"))
        rows.append((small, message, small + bytes(32), False, "S = 0, both of small order"))
    for y in (curve.PRIME, curve.PRIME + 1, 2**255 - 1, curve.PRIME + 2**255):
        encoding = y.to_bytes(32, "little")
        rows.append((encoding, message, good, False, "the key is not canonical"))
        rows.append((key, message, encoding + good[32:], False, "R is not canonical"))
    off = (2).to_bytes(32, "little")
    rows.append((off, message, good, False, "the key is not on the curve"))
    rows += [_mixed(message, in_key, in_r) for in_key, in_r in ((1, 0), (0, 1), (1, 3), (4, 4))]
    rows += [_mixed(b"%d" % n, 1, 0) for n in range(12)]
    names = ("key", "message", "signature", "valid", "why")
    return [
        {n: v.hex() if isinstance(v, bytes) else v for n, v in zip(names, row, strict=True)}
        for row in rows
    ]


def _mixed(message: bytes, in_key: int, in_r: int) -> tuple[bytes, bytes, bytes, bool, str]:
    """Signed with parts of small order: valid only where these cancel without a cofactor."""
    torsion, r_torsion = curve.SMALL_ORDER[in_key], curve.SMALL_ORDER[in_r]
    key, signature = curve.sign(12_345, 678, message, key_torsion=torsion, r_torsion=r_torsion)
    k = curve.challenge(signature[:32], key, message)
    valid = curve.add(curve.times(k, torsion), r_torsion) == curve.IDENTITY
    return key, message, signature, valid, "parts of small order; a cofactored rule accepts"


def _transactions() -> list[dict[str, Any]]:
    network, made = sha256(b"network").digest(), []
    for count in (1, 2, 3, 5):
        items = [Thing(nonce=sha256(b"%d" % n).digest()[:16], number=n) for n in range(count)]
        data = sign_transaction(
            Key("hospital-01"),
            network=network,
            sender="hospital-01",
            action="demo.make/1",
            items=items,
            idempotency=bytes(16),
            valid_until="2026-02-01T00:00:00Z",
            atomic=count == 3,
        )
        hashes = [item_hash(encode(item)) for item in items]
        header = data[len(b'{"header":') : data.index(b',"items":')]
        message = b"tallystick/transaction/v1\n" + header
        made.append(
            {
                "network": network.hex(),
                "transaction": data.decode(),
                "signing_bytes": message.hex(),
                "tx_id": transaction_id(message),
                "item_hashes": [digest.hex() for digest in hashes],
                "items_root": items_root(hashes).hex(),
                "item_paths": [_hex(items_path(hashes, n)) for n in range(count)],
            }
        )
    return made


def _hex(hashes: list[bytes]) -> list[str]:
    return [digest.hex() for digest in hashes]


def _entries(world: World) -> dict[str, Any]:
    chain = world.after[1]
    return {
        "leaves": [encode(leaf).decode() for leaf in chain.leaves],
        "leaf_hashes": _hex(chain.hashes()),
        "root": chain.checkpoint().root.hex(),
        "app_hash": app_hash(chain.network, chain.size, chain.checkpoint().root).hex(),
        "transactions": [
            {
                "index": index,
                "item": json.dumps(sent.item, sort_keys=True, separators=(",", ":")),
                "signing_bytes": signing_bytes(sent.header).hex(),
            }
            for index, sent in world.after[1].sent.items()
        ],
    }


def _merkle() -> dict[str, Any]:
    data = [b"leaf %d" % n for n in range(20)]
    hashes = [merkle.leaf_hash(leaf) for leaf in data]
    pairs = [(m, n) for n in (1, 2, 3, 4, 6, 7, 8, 13, 20) for m in range(1, n + 1)]
    return {
        "leaves": [leaf.hex() for leaf in data],
        "roots": [merkle.root(hashes[:size]).hex() for size in range(len(hashes) + 1)],
        "inclusion": [
            {"index": m - 1, "size": n, "path": _hex(merkle.path(hashes[:n], m - 1))}
            for m, n in pairs
        ],
        "consistency": [
            {
                "old": m,
                "new": n,
                "path": [
                    merkle.root(hashes[:n][at << level : (at + 1) << level]).hex()
                    for level, at in merkle.consistency_nodes(m, n)
                ],
            }
            for m, n in pairs
        ],
    }


def _checkpoints() -> list[dict[str, Any]]:
    made, trusted = [], policy()
    for size, at in ((0, START), (1, START + 1), (2**53 - 1, 253_402_300_799)):
        root = sha256(b"%d" % size).digest() if size else merkle.EMPTY_ROOT
        text = format_checkpoint(Checkpoint(trusted.origin, size, root))
        name, keeper = keeper_name("finance-33"), Key("keeper finance-33")
        lines = [sign_note(text, trusted.origin, Key("log")), cosign(text, name, keeper, at)]
        log_key = VerifierKey(trusted.origin, NOTE_KEY, Key("log").public_key)
        made.append(
            {
                "text": text,
                "size": size,
                "root": root.hex(),
                "note": format_note(text, lines),
                "log_key": format_vkey(log_key),
                "keeper_key": format_vkey(VerifierKey(name, COSIGNATURE_KEY, keeper.public_key)),
                "cosigned_at": format_instant(at),
                "cosigned_message": f"cosignature/v1\ntime {at}\n{text}",
            }
        )
    return made


def _pages() -> dict[str, Any]:
    groups: dict[int, bytes] = {}
    steps = []
    for numbers in ([1], [1, 2, 3], [15, 16, 255, 256, 4_095], [0]):
        changes = {n: page.slot_hash(encode({"number": n})) for n in numbers}
        root, writes = page.update(groups.get, changes)
        groups |= writes
        probes = sorted({*numbers, 5, 4_000})
        paths = {str(n): _hex(page.path(groups.get, n)) for n in probes}
        rows = {str(n): encode({"number": n}).decode() for n in numbers}
        steps.append({"written": rows, "root": root.hex(), "paths": paths})
    return {
        "empty_slot": page.EMPTY_SLOT.hex(),
        "steps": steps,
        "map_key": page.page_key(CODE, 24),
        "map_row_hash_of_last_root": page.page_hash(bytes.fromhex(str(steps[-1]["root"]))).hex(),
    }


def _maps() -> dict[str, Any]:
    nodes: dict[bytes, bytes] = {}
    steps: list[dict[str, Any]] = []
    there: dict[str, str] = {}
    salt = row_salt(bytes(32), row_key("demo.pass", "card-1"))
    for put, dropped in (
        (["0"], []),
        (["1", "2"], []),
        ([str(n) for n in range(40)], []),
        ([], ["0", "39"]),
        ([], [str(n) for n in range(1, 39)]),
    ):
        rows = {f"demo.pass/{n}": encode([n, len(steps)]).decode() for n in put}
        gone = [f"demo.pass/{n}" for n in dropped]
        changes: dict[bytes, bytes | None] = {
            statemap.key_hash(key): row_hash(row.encode()) for key, row in rows.items()
        }
        changes |= {statemap.key_hash(key): None for key in gone}
        root, writes = statemap.update(nodes.get, changes)
        nodes |= writes
        there = {key: row for key, row in (there | rows).items() if key not in gone}
        probes = [*list(rows)[:3], *gone[:3], "demo.pass/none", "demo.member/none"]
        proofs = {
            key: json.loads(encode(statemap.prove(nodes.get, statemap.key_hash(key))))
            for key in probes
        }
        steps.append({"put": rows, "dropped": gone, "root": root.hex(), "proofs": proofs})
    return {"steps": steps, "left": there, "salt_of_card_1_by_zeros": salt.hex()}


def _genesis() -> dict[str, Any]:
    genesis, network = read_genesis(founding())
    return {
        "file": founding().decode(),
        "network": network.hex(),
        "origin": log_origin(genesis.name, network),
    }


def _bodies() -> list[dict[str, Any]]:
    long: dict[str, Any] = {"lines": [{"n": n} for n in range(11)], "title": "发票"}
    nested: dict[str, Any] = {
        "items": [],
        "payer": {"id": {"kind": "none"}, "name": "Ada Quill"},
        "sums": {},
    }
    made = []
    for n, body in enumerate([{"code": 33060126}, nested, long]):
        secret = sha256(b"body %d" % n).digest()
        sealed = seal_body(body, secret)
        made.append(
            {
                "body": encode(body).decode(),
                "secret": secret.hex(),
                "paths": [path for path, _ in leaves(body)],
                "disclosures": list(sealed.disclosures),
                "root": sealed.root.hex(),
                "path_of_last": _hex(
                    disclosure_path(sealed.disclosures, len(sealed.disclosures) - 1)
                ),
            }
        )
    return made


def _presentations() -> dict[str, Any]:
    salt = bytes(15) + b"\7"
    patterns: list[list[str]] = [[], ["items/*"], ["total", "items/3", "payer/name"]]
    hashes = [merkle.leaf_hash(b"%d" % n) for n in range(44)]
    shown = [(1, [0]), (2, [1]), (7, [6]), (7, [0, 1, 6]), (44, [17, 41]), (44, list(range(44)))]
    return {
        "fields": [
            {"salt": salt.hex(), "patterns": each, "digest": commit_fields(salt, each).hex()}
            for each in patterns
        ],
        "leaves": [f"{n}" for n in range(44)],
        "proofs": [
            {
                "size": size,
                "indices": indices,
                "proof": _hex(prove_some(hashes[:size], indices)),
                "root": merkle.root(hashes[:size]).hex(),
            }
            for size, indices in shown
        ],
    }
