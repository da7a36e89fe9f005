"""Searching files for what must not be in them, as someone with a stolen disk would.

Invariant: what is looked for is looked for raw, as a hash, in hex and in every phase of base64.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path

from vaults import VAULT_KEY, prepare

from tallystick.contracts.bills.body import Body
from tallystick.protocol.body import parse_disclosure, seal_body
from tallystick.protocol.canonical import decode


def everything_in(folder: Path) -> bytes:
    return b"\x00".join(
        path.name.encode() + path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )


def spellings(value: bytes) -> list[bytes]:
    """As someone who searches a stolen disk would try it, whatever precedes it in base64."""
    digest = hashlib.sha256(value).digest()
    found = [value, digest]
    for data in (value, digest):
        found += [data.hex().encode(), data.hex().upper().encode()]
        for shift in range(3):
            whole = len(data) - (len(data) + shift) % 3
            for encode in (b64encode, urlsafe_b64encode):
                found.append(encode(bytes(shift) + data[:whole])[(0, 2, 3)[shift] :].rstrip(b"="))
    return found


def planted(seeds: range) -> list[bytes]:
    """All that is private in these bodies, and the keys to them."""
    values = [VAULT_KEY]
    for seed in seeds:
        one = prepare(seed)
        bill = decode(one.body, Body)
        values += [
            text.encode()
            for text in (
                *(bill.payer.name, bill.payer.id_number, *bill.business_codes, bill.clerk),
                *(
                    (bill.medical.department, bill.medical.visit_number or "")
                    if bill.medical
                    else ()
                ),
                *(line.name for line in bill.details),
            )
            if text
        ]
        values += [one.secret, one.body]
        sealed = seal_body(decode(one.body, dict[str, object]), one.secret)
        values += [parse_disclosure(text).salt for text in sealed.disclosures]
        values += [text.encode() for text in sealed.disclosures]
    return sorted(set(values))


def canaries_found(folder: Path, values: list[bytes]) -> list[bytes]:
    stored = everything_in(folder)
    return [value for value in values if any(form in stored for form in spellings(value))]
