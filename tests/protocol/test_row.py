"""The envelope of a row is read without knowing its domain. See docs/spec/state.md."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from tallystick.protocol.canonical import decode, encode
from tallystick.protocol.errors import Malformed
from tallystick.protocol.row import Row, read_envelope, row_hash, row_key, row_salt

ROW: dict[str, Any] = {
    "kind": "demo.pass",
    "id": "card-1",
    "state": "live",
    "good": True,
    "until": "2026-02-01T00:00:00Z",
    "amounts": {"total": 100},
    "entry": 7,
    "version": 2,
    "salt": "A" * 22 + "==",
    "colour": "red",
    "deep": {"er": [1]},
}


def test_the_envelope_of_an_unknown_domain() -> None:
    envelope = read_envelope(ROW)
    assert (envelope.kind, envelope.id, envelope.state, envelope.good) == (
        "demo.pass",
        "card-1",
        "live",
        True,
    )
    assert (envelope.entry, envelope.amounts, envelope.salt) == (7, {"total": 100}, bytes(16))


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "pass"},
        {"kind": None},
        {"id": "with space"},
        {"id": ""},
        {"id": "x" * 141},
        {"id": "é"},
        {"state": "Live"},
        {"good": 1},
        {"good": "true"},
        {"until": "2026-02-31T00:00:00Z"},
        {"until": "soon"},
        {"amounts": {"total": 10**15}},
        {"entry": -1},
        {"entry": True},
        {"version": "2"},
        {"salt": "AA=="},
    ],
)
def test_what_no_contract_writes(changed: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        read_envelope(ROW | changed)


@pytest.mark.parametrize("missing", ["kind", "id", "state", "good"])
def test_what_every_row_has(missing: str) -> None:
    with pytest.raises(Malformed):
        read_envelope({name: value for name, value in ROW.items() if name != missing})


def test_a_row_without_fields_of_its_own_is_canonical() -> None:
    row = Row(kind="demo.pass", id="card-1", state="live", good=True)
    assert encode(row) == b'{"good":true,"id":"card-1","kind":"demo.pass","state":"live"}'
    assert decode(encode(row), Row) == row == read_envelope(decode(encode(row), dict[str, Any]))


def test_hashes() -> None:
    assert row_key("demo.pass", "card-1") == "demo.pass/card-1"
    assert row_hash(b"{}") == sha256(b"tallystick/row/v1\n{}").digest()
    salt = row_salt(bytes(32), "demo.pass/card-1")
    assert salt == sha256(b"tallystick/salt/v1\n" + bytes(32) + b"demo.pass/card-1").digest()[:16]
