"""Bodies ready for a vault, by seed, with their records' roots.

Invariant: what `prepare` gives passes `check_content` against the record that `record_of` gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from bodies import RULES, make_body

from tallystick.apps.bills.checks import business_keys_of
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.content import check_against_record, check_body, open_fields
from tallystick.protocol.body import body_root
from tallystick.protocol.canonical import decode, encode
from tallystick.vault import Expected, Head, Letter, Prepared, seal_delivery

VAULT_KEY = sha256(b"a vault's key").digest()

business_of = business_keys_of


def secret_of(seed: int) -> bytes:
    return sha256(b"secret %d" % seed).digest()


def tx_of(seed: int) -> str:
    return sha256(b"tx %d" % seed).hexdigest()


def prepare(seed: int, *, replaces: tuple[int, int] | None = None, **changes: Any) -> Prepared:
    bill = make_body(seed, **changes)
    body = encode(bill)
    return Prepared(
        network=bill.network,
        code=bill.code,
        number=bill.number,
        issuer=bill.issuer,
        kind=bill.kind,
        body=body,
        secret=secret_of(seed),
        business=business_of(body),
        replaces=replaces,
    )


def root_of(one: Prepared) -> bytes:
    return body_root(decode(one.body, dict[str, Any]), one.secret)


def record_of(one: Prepared) -> Mapping[str, object]:
    """The open half, as the ledger has it."""
    return open_fields(decode(one.body, Body))


def check_content(body: bytes, record: Mapping[str, object]) -> None:
    bill = decode(body, Body)
    check_body(bill, RULES["outpatient"])
    check_against_record(open_fields(bill), record)


def expect(one: Prepared, entry: int) -> Expected:
    return Expected(
        entry=entry,
        network=one.network,
        issuer=one.issuer,
        tx_id=tx_of(entry),
        n=0,
        code=one.code,
        number=one.number,
        root=root_of(one),
    )


def send(one: Prepared, entry: int, to: bytes, **head: Any) -> bytes:
    told: dict[str, Any] = {
        "network": one.network,
        "tx": tx_of(entry),
        "n": 0,
        "to": to,
        "purpose": "archive",
    }
    letter = Letter(one.code, one.number, one.body, one.secret)
    return seal_delivery(Head(**(told | head)), letter)
