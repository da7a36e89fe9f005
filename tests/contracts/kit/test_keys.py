"""Admission of a signing key, and the authority behind an act."""

from __future__ import annotations

from typing import Any

import pytest
from acts import Rows, nonce, public_key

from tallystick.contracts.kit.context import VALID_SECONDS_MAX, Context, Environment
from tallystick.contracts.kit.grants import Authority, Grant
from tallystick.contracts.kit.keys import (
    ROOT_ACTIONS,
    BlockScope,
    KeyRow,
    admit,
    authorise,
    check_block_scope,
    check_version,
    find_key,
    own_grant,
    read_instant,
)
from tallystick.contracts.kit.reasons import KitReason, LedgerReason
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Reason, Rejected
from tallystick.protocol.row import Row, row_key
from tallystick.protocol.transaction import Header
from tallystick.protocol.values import format_instant

NOW = 1_000_000
KEY = public_key("finance/key")


def put(rows: Rows, row: Row) -> None:
    rows.set(row_key(row.kind, row.id), row, bytes(32))


def key_row(**changes: Any) -> KeyRow:
    row = KeyRow(
        kind=KeyRow.KIND,
        id=KEY.hex(),
        state="live",
        good=True,
        org="finance",
        role="operating",
        actions=["bills.*"],
    )
    return replace(row, **changes)


def authority(*grants: Grant, good: bool = True) -> Authority:
    return Authority(
        kind=Authority.KIND, id="finance", state="held", good=good, grants=list(grants)
    )


def founding(number: int = 0, **changes: Any) -> Grant:
    return replace(Grant(grant_id=f"founding.{number}", actions=["bills.*"]), **changes)


def header(action: str = "bills.issue/1", valid: int = NOW + 60, **changes: Any) -> Header:
    made = Header(
        network=bytes(32),
        key=KEY,
        sender="finance",
        action=action,
        count=1,
        root=bytes(32),
        idempotency=nonce(1),
        valid_until=format_instant(valid),
    )
    return replace(made, **changes)


def context(rows: Rows, action: str = "bills.issue/1", key: bytes = KEY) -> Context:
    env = Environment(network=bytes(32), region=33, utc_offset_seconds=0, block=1, block_time=NOW)
    return Context(state=rows, env=env, sender="finance", key=key, action=action, tx_id="ab" * 32)


def state(*rows: Row) -> Rows:
    made = Rows()
    for row in rows:
        put(made, row)
    return made


def refusal(run: Any, *arguments: Any) -> tuple[Reason, str]:
    with pytest.raises(Rejected) as caught:
        run(*arguments)
    return caught.value.reason, caught.value.path


def test_a_live_key_of_the_senders_is_admitted_within_its_actions() -> None:
    admit(state(key_row()), header(), NOW)
    admit(state(key_row(actions=["*"])), header("members.admit/1"), NOW)
    admit(state(key_row(role="root", actions=[])), header("members.add_key/1"), NOW)


@pytest.mark.parametrize(
    ("row", "changes", "reason", "path"),
    [
        ({"role": "keeper"}, {}, LedgerReason.KEY_UNKNOWN, "header/key"),
        ({"role": "log", "org": None}, {}, LedgerReason.KEY_UNKNOWN, "header/key"),
        ({}, {"key": public_key("other")}, LedgerReason.KEY_UNKNOWN, "header/key"),
        ({}, {"sender": "health"}, LedgerReason.KEY_NOT_SENDERS, "header/sender"),
        ({"good": False}, {}, LedgerReason.KEY_ENDED, "header/key"),
        ({"until": format_instant(NOW)}, {}, LedgerReason.KEY_ENDED, "header/key"),
        ({"actions": ["bills.reverse"]}, {}, LedgerReason.KEY_ACTION, "header/action"),
        ({}, {"valid": NOW}, LedgerReason.EXPIRED, "header/valid_until"),
        (
            {},
            {"valid": NOW + VALID_SECONDS_MAX + 1},
            LedgerReason.VALID_TOO_LONG,
            "header/valid_until",
        ),
    ],
)
def test_every_refusal_of_admission(
    row: dict[str, Any], changes: dict[str, Any], reason: Reason, path: str
) -> None:
    assert refusal(admit, state(key_row(**row)), header(**changes), NOW) == (reason, path)


@pytest.mark.parametrize("action", ROOT_ACTIONS)
def test_an_operating_key_manages_no_keys_whatever_its_actions_say(action: str) -> None:
    for actions in (["*"], ["members.*"], [action]):
        found = refusal(admit, state(key_row(actions=actions)), header(f"{action}/1"), NOW)
        assert found == (LedgerReason.KEY_ACTION, "header/action")


@pytest.mark.parametrize("action", ["bills.issue/1", "members.admit/1", "members.give_grant/1"])
def test_a_root_key_does_nothing_but_manage_keys(action: str) -> None:
    rows = state(key_row(role="root", actions=["*"]))
    assert refusal(admit, rows, header(action), NOW) == (LedgerReason.KEY_ACTION, "header/action")


def test_the_last_second_of_a_key_and_of_a_transaction_counts() -> None:
    rows = state(key_row(until=format_instant(NOW + 1)))
    admit(rows, header(valid=NOW + 1), NOW)
    admit(rows, header(valid=NOW + VALID_SECONDS_MAX), NOW)


def test_authority_is_a_live_grant_for_action_and_code() -> None:
    grant = founding(codes=[3306])
    rows = state(key_row(), authority(grant))
    assert authorise(context(rows)) == grant
    assert authorise(context(rows), 33060126) == grant
    assert refusal(authorise, context(rows), 34060126) == (KitReason.NO_GRANT, "")
    assert refusal(authorise, context(rows, "members.admit/1")) == (KitReason.NO_GRANT, "")


def test_who_was_never_given_anything_has_no_authority() -> None:
    assert refusal(authorise, context(state(key_row()))) == (KitReason.NO_GRANT, "")


def test_a_key_that_nobody_registered_carries_no_authority() -> None:
    rows = state(authority(founding()))
    assert refusal(authorise, context(rows)) == (LedgerReason.KEY_UNKNOWN, "")


def test_a_suspended_sender_does_nothing() -> None:
    rows = state(key_row(), authority(founding(), good=False))
    assert refusal(authorise, context(rows)) == (KitReason.SUSPENDED, "")


@pytest.mark.parametrize(
    "scope",
    [{"codes": [3306]}, {"block": BlockScope(code=33060126, level=3, first=1)}],
    ids=["codes", "block"],
)
def test_a_key_bound_to_codes_is_for_them_and_for_nothing_without_a_code(
    scope: dict[str, Any],
) -> None:
    rows = state(key_row(**scope), authority(founding()))
    assert authorise(context(rows), 33060126) == founding()
    assert refusal(authorise, context(rows), 34060126) == (KitReason.KEY_SCOPE, "")
    assert refusal(authorise, context(rows)) == (KitReason.KEY_SCOPE, "")


def test_a_key_is_bound_to_its_block_and_to_its_codes_both() -> None:
    block = BlockScope(code=33060126, level=3, first=1)
    rows = state(key_row(codes=[34], block=block), authority(founding()))
    assert refusal(authorise, context(rows), 33060126) == (KitReason.KEY_SCOPE, "")


def test_a_tills_key_is_for_its_number_block_alone() -> None:
    block = BlockScope(code=33060126, level=4, first=1_001)
    ctx = context(state(key_row(block=block)))
    check_block_scope(ctx, 33060126, 4, 1_001)
    for other in ((33060127, 4, 1_001), (33060126, 3, 1_001), (33060126, 4, 2_001)):
        assert refusal(check_block_scope, ctx, *other) == (KitReason.KEY_SCOPE, "")


def test_a_key_without_a_block_is_for_every_block() -> None:
    check_block_scope(context(state(key_row())), 33060126, 4, 1_001)
    check_block_scope(context(state()), 33060126, 4, 1_001)


def test_authority_is_looked_up_once_a_transaction_and_code() -> None:
    rows = state(key_row(), authority(founding()))
    ctx = context(rows)
    first = authorise(ctx, 33060126)
    put(rows, authority(founding(ended=format_instant(NOW))))
    assert authorise(ctx, 33060126) is first, "holds for the rest of the transaction"
    assert refusal(authorise, ctx, 33060127) == (KitReason.NO_GRANT, "")
    assert refusal(authorise, context(rows), 33060126) == (KitReason.NO_GRANT, "")


def test_a_refusal_is_not_remembered() -> None:
    rows = state(key_row())
    ctx = context(rows)
    assert refusal(authorise, ctx) == (KitReason.NO_GRANT, "")
    put(rows, authority(founding()))
    assert authorise(ctx) == founding()


def test_own_grant_is_the_senders_and_live() -> None:
    rows = state(authority(founding(0), founding(1, ended=format_instant(NOW))))
    assert own_grant(context(rows), "founding.0") == founding(0)
    assert own_grant(context(rows), "founding.1") is None
    assert own_grant(context(rows), "founding.2") is None


def test_find_key_knows_a_key_by_its_bytes() -> None:
    assert find_key(state(key_row()), KEY) == key_row()
    assert find_key(state(key_row()), public_key("other")) is None


def test_an_instant_that_does_not_exist_is_refused_with_its_path() -> None:
    assert read_instant("1970-01-01T00:01:00Z", "until") == 60
    found = refusal(read_instant, "2026-02-31T00:00:00Z", "keys/0/until")
    assert found == (KitReason.INSTANT_INVALID, "keys/0/until")


def test_G4_a_decision_on_an_older_version_is_refused() -> None:
    row = key_row(version=3)
    check_version(row, 3)
    assert refusal(check_version, row, 2) == (KitReason.VERSION_CONFLICT, "version")
