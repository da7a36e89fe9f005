"""Whatever reads bytes of strangers, each with a sound example; and hostile versions of those.

Invariant: out of a reader comes a value, or one of the failures that `EXPECTED` names.
See docs/spec/errors.md.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from audited import TYPE, Office
from bodies import OUTPATIENT, make_body
from faults.ground import Ground
from offices import DELIVERY
from vaults import prepare, send

from tallystick.apps.bills.audit import audit_file
from tallystick.apps.bills.reserve import Kit, read_kit
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.content import check_body
from tallystick.contracts.bills.views.bills import find_type
from tallystick.contracts.kit.intervals import Interval
from tallystick.ledger.feed import FeedBlock, pack_frame, read_frame
from tallystick.node import rules
from tallystick.protocol.body import encoded_root, open_body, parse_disclosure, seal_body
from tallystick.protocol.canonical import decode, encode, replace
from tallystick.protocol.checkpoint import parse_checkpoint, parse_note, parse_vkey
from tallystick.protocol.equivocation import policy_keys, verify_equivocation
from tallystick.protocol.errors import Damaged, Malformed, Rejected, VerificationFailed
from tallystick.protocol.genesis import read_genesis
from tallystick.protocol.transaction import read_transaction
from tallystick.protocol.trust import read_trust, verify_checkpoint
from tallystick.protocol.values import parse_instant
from tallystick.vault import mail
from tallystick.vault.delivery import open_delivery
from tallystick.verify import verify_receipt, verify_state

EXPECTED = (Malformed, VerificationFailed, Rejected, Damaged)
VECTORS = Path(__file__).parents[1] / "vectors"
NOW = 1_768_200_000


class Reader(NamedTuple):
    """Something that reads bytes, and an example that it takes."""

    name: str
    good: bytes
    read: Callable[[bytes], object]


def _vector(pattern: str) -> bytes:
    return sorted(VECTORS.glob(pattern))[0].read_bytes()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _note(data: bytes) -> object:
    note = parse_note(data)
    parse_checkpoint(note.text)
    return verify_checkpoint(_policy(), note)


@cache
def _policy() -> Any:
    return read_trust((VECTORS / "policies" / "trust.json").read_bytes())


def _frame(data: bytes) -> object:
    file = io.BytesIO(data)
    file.name = "0000000001"
    return read_frame(file)


def _audits() -> tuple[Reader, ...]:
    """An auditor's file, and what an office takes along when it is cut off."""
    with TemporaryDirectory() as folder:
        office = Office(Path(folder) / "ledger")
        office.fill()
        policy, data = office.policy(), office.file()
        reserve = replace(office.block_row(), offline_days=7)
        with office.ledger.view() as view:
            kind = find_type(view, TYPE)
        office.ledger.close()
    assert kind is not None
    kit = Kit(
        format="tallystick/offline-kit/v1",
        network=bytes(32),
        key=bytes(32),
        reserve=reserve,
        free=[Interval(first=1, last=9, fate="remaining")],
        types=[kind],
    )
    return (
        Reader("block audit", data, lambda given: audit_file(io.BytesIO(given), policy)),
        Reader("offline kit", encode(kit), read_kit),
    )


@cache
def readers() -> tuple[Reader, ...]:
    """All of them."""
    ground = Ground(3)
    transaction = ground.issue("north", 3, ground.founded_at)
    schemas, policy = rules().schemas, _policy()
    body = encode(make_body(1))
    sealed = seal_body(decode(body, dict[str, Any]), bytes(32))
    disclosures = sealed.disclosures
    frame = pack_frame(FeedBlock(1, NOW, 4, bytes(32), bytes(32), [transaction], [{}]))
    delivery = send(prepare(1), 5, DELIVERY.public_key)
    keys = {DELIVERY.public_key: DELIVERY.private_key}
    return (
        Reader("value", b'{"a":[1,"b",null,true]}', lambda data: decode(data, dict[str, Any])),
        Reader(
            "transaction",
            transaction,
            lambda data: read_transaction(data, ground.network, schemas),
        ),
        Reader(
            "receipt",
            _vector("receipts/pass/026-*.json"),
            lambda data: verify_receipt(data, policy, status=True, now=NOW),
        ),
        Reader("state", _vector("states/pass/*.json"), lambda data: verify_state(data, policy)),
        Reader("note", _vector("notes/pass/*"), _note),
        Reader("policy", _vector("policies/trust.json"), read_trust),
        Reader("genesis", ground.genesis, read_genesis),
        Reader(
            "equivocation",
            _vector("equivocations/pass/*.json"),
            lambda data: verify_equivocation(data, policy_keys(policy)),
        ),
        Reader("body", body, lambda data: check_body(decode(data, Body), OUTPATIENT)),
        Reader("body root", body, lambda data: encoded_root(data, bytes(32))),
        Reader("disclosure", disclosures[0].encode(), lambda data: parse_disclosure(_text(data))),
        Reader(
            "disclosures",
            "\n".join(disclosures).encode(),
            lambda data: open_body(_text(data).split("\n"), sealed.root),
        ),
        Reader("delivery", delivery, lambda data: open_delivery(data, keys)),
        Reader("mail", b"%d\n%b" % (len(delivery), delivery), mail.unpack),
        Reader("frame", frame, _frame),
        *_audits(),
        Reader("vkey", b"example+4b9e4a5b+BAAA", lambda data: parse_vkey(_text(data))),
        Reader("instant", b"2026-01-31T09:00:00Z", lambda data: parse_instant(_text(data))),
    )


HOSTILE_VALUES: tuple[bytes, ...] = (
    b"-1", b"0", b"-0", b"1.0", b"1e3", b"1e999999999", b"9007199254740991",
    b"9007199254740992", b"-9007199254740992", b"1" * 400, b"null", b"true", b"[]", b"{}", b'""',
    b'"\\u0000"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xed\xa0\x80"', b'"\xff\xfe"', b'"\x00"',
    b'"' + b"A" * 5_000 + b'"', '"发票\u202e"'.encode(), b"[" * 40 + b"]" * 40, b"NaN", b"Infinity",
    b'{"a":1,"a":2}', b'{"\xc3\xa9":1}', b"[0" + b",0" * 2_000 + b"]", b"'x'", b"/**/1",
)  # fmt: skip


def mutate(data: bytes, chance: Random) -> bytes:
    """A few changes: bits, slices, lengths, and values put in place of values."""
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice((1, 1, 2, 8, 100)))
        match chance.randrange(7):
            case 0 if at < len(data):
                flipped = bytes([data[at] ^ (1 << chance.randrange(8))])
                data = data[:at] + flipped + data[at + 1 :]
            case 1:
                data = data[:at] + data[end:]
            case 2:
                data = data[:at] + chance.randbytes(end - at) + data[at:]
            case 3:
                data = data[:end] + data[at:]
            case 4:
                data = data[:at]
            case _:
                data = _put_value(data, chance)
    return data


def _put_value(data: bytes, chance: Random) -> bytes:
    """A hostile value in place of one of a JSON document, else of some bytes."""
    value = chance.choice(HOSTILE_VALUES)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        at = chance.randrange(len(data) + 1)
        return data[:at] + value + data[at:]
    mark = sha256(data).hexdigest()
    places = list(_places(document))
    if not places:
        return value
    holder, key = chance.choice(places)
    if chance.random() < 0.1 and isinstance(holder, dict):
        holder[f"{key}_"] = mark
    else:
        holder[key] = mark
    return _compact(document).replace(f'"{mark}"'.encode(), value, 1)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if not isinstance(value, dict | list):
        return
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in list(inside):
        yield value, key
        yield from _places(each)


def _compact(document: Any) -> bytes:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.encode("utf-8", "surrogatepass")


def monsters(good: bytes) -> Iterator[tuple[str, bytes]]:
    """The worst that fits through a door: deep, long, many."""
    many = 1_000_000
    inside = [(b"", b"")]
    if good.startswith(b"{"):
        name = json.dumps(sorted(json.loads(good))[0]).encode() if _is_json(good) else b'"a"'
        inside.append((b"{" + name + b":", b"}"))
    for before, after in inside:
        place = "inside" if before else "alone"
        for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
            deep = opening * 100_000
            yield f"deep, {place}", before + deep + b"1" + closing * 100_000 + after
            yield f"deep and open, {place}", before + deep
        yield f"many items, {place}", before + b"[" + b"0," * many + b"0]" + after
        yield f"many objects, {place}", before + b"[" + b"{}," * many + b"{}]" + after
        yield f"a long number, {place}", before + b"9" * many + after
        yield f"a large exponent, {place}", before + b"1e" + b"9" * 1_000 + after
        yield f"a long text, {place}", before + b'"' + b"a" * (4 * many) + b'"' + after
        yield f"escapes, {place}", before + b'"' + b"\\u0000" * (many // 2) + b'"' + after
        members = b",".join(b'"%d":1' % n for n in range(200_000))
        yield f"many members, {place}", before + b"{" + members + b"}" + after
        again = b",".join([b'"a":1'] * 200_000)
        yield f"one member often, {place}", before + b"{" + again + b"}" + after
    yield "a lot of nothing", bytes(40 * many)
    yield "a lot of lines", b"\n" * (20 * many)
    yield "a lot of spaces", b" " * (20 * many)
    yield "itself a thousand times", good * 1_000
    yield "a long line", good + b"x" * (20 * many)


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True
