"""Bill keys: derived again at any time, bound to one body, showing nothing."""

from __future__ import annotations

import hmac
from hashlib import sha256

from nacl.signing import SigningKey

from tallystick.apps.bills.holders import BillKey, bill_key, derive_holder_key
from tallystick.contracts.bills.records.holders import commit_holder, holder_salt

ROOT = sha256(b"root").digest()


def test_it_is_as_the_page_says() -> None:
    holder_key = derive_holder_key(bytes(32))
    assert holder_key == hmac.digest(bytes(32), b"tallystick/holders/v1\n", "sha256")
    key = bill_key(holder_key, ROOT)
    seed = hmac.digest(holder_key, b"tallystick/bill-seed/v1\n" + ROOT, "sha256")
    nonce = hmac.digest(holder_key, b"tallystick/holder-nonce/v1\n" + ROOT, "sha256")[:16]
    public_key = bytes(SigningKey(seed).verify_key)
    assert key == BillKey(seed, nonce, public_key)
    salt = sha256(b"tallystick/holder-salt/v1\n" + nonce + public_key).digest()
    assert key.commitment == sha256(b"tallystick/holder/v1\n" + salt + public_key).digest()


def test_the_salt_opens_to_the_mandate_key_of_a_wallet() -> None:
    wallet = bytes(SigningKey(bytes(32)).verify_key)
    key = bill_key(bytes(32), ROOT, wallet)
    opening = key.opening
    assert commit_holder(opening.key, holder_salt(opening.nonce, wallet)) == key.commitment
    assert key.commitment != bill_key(bytes(32), ROOT).commitment


def test_each_bill_and_each_issuer_has_its_own() -> None:
    keys = [derive_holder_key(bytes([n]) * 32) for n in range(2)]
    roots = [ROOT, sha256(ROOT).digest()]
    assert len({bill_key(key, root).commitment for key in keys for root in roots}) == 4


def test_it_does_not_show_itself() -> None:
    key = bill_key(bytes(32), ROOT)
    assert repr(key) == "BillKey()"
