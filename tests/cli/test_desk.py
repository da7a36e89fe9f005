"""The box of a running node answers as the node itself does, also to what was submitted before."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from counter import Counter, tally

from tallystick.apps.bills.acts import Reversal
from tallystick.apps.bills.office import Office
from tallystick.cli.desk import BoxDesk, open_node
from tallystick.cli.offices import office_over
from tallystick.contracts.bills.items.bills import Withhold
from tallystick.contracts.kit.reasons import LedgerReason
from tallystick.durable import Locked
from tallystick.keyring import load, load_vault_key
from tallystick.ledger.engine import Committed, Stopped
from tallystick.protocol.errors import Rejected
from tallystick.protocol.transaction import sign_transaction


@pytest.fixture
def desk(counter: Counter) -> Iterator[BoxDesk]:
    with open_node(counter.ledger, log_key=counter.key("log")):
        yield BoxDesk(counter.ledger)


@contextmanager
def hospital(counter: Counter, desk: BoxDesk, **changed: Any) -> Iterator[Office]:
    key, vault_key = load(counter.key("hospital-01")), load_vault_key(counter.key("vault"))
    for name, value in changed.items():
        setattr(desk, name, value)
    with office_over(desk, counter.folder / "vault", signer=key, vault_key=vault_key) as office:
        yield office


def withhold(counter: Counter, desk: BoxDesk, valid_until: str | None = None) -> bytes:
    item = Withhold(nonce=bytes(16), bill=counter.bill(1), version=1, reason="arrears")
    signer, act = load(counter.key("hospital-01")), ("hospital-01", "bills.withhold/1", [item])
    if valid_until is None:
        return desk.sign(signer, *act, False)
    return sign_transaction(
        signer,
        network=desk.network,
        sender=act[0],
        action=act[1],
        items=act[2],
        idempotency=bytes(16),
        valid_until=valid_until,
    )


def test_the_same_bytes_have_the_same_answer(counter: Counter, desk: BoxDesk) -> None:
    data = withhold(counter, desk)
    first = desk.submit(data).result()
    assert (first.outcomes, first.repeated) == (["accepted"], False)
    assert desk.submit(data).result() == first._replace(repeated=True)
    assert list((counter.ledger / "box").iterdir()) == []


def test_a_refusal_comes_with_its_reason_each_time(counter: Counter, desk: BoxDesk) -> None:
    data = withhold(counter, desk, valid_until="2026-01-01T00:00:00Z")
    for _ in range(2):
        refused = desk.submit(data).exception()
        assert isinstance(refused, Rejected) and refused.reason is LedgerReason.EXPIRED
    (kept,) = (counter.ledger / "box").iterdir()
    assert kept.name.endswith(".ledger.expired.refused") and kept.read_bytes() == data


def test_an_office_that_lost_its_answer_learns_it_through_the_box(
    counter: Counter, desk: BoxDesk
) -> None:
    submit = desk.submit

    def lose(data: bytes) -> Future[Committed]:
        submit(data).result()
        raise Stopped("killed before the answer was noted")

    wanted = Reversal(counter.code, 1, "wrong_patient")
    with hospital(counter, desk, submit=lose) as office, pytest.raises(Stopped):
        office.reverse([wanted])
    pending = counter.folder / "vault" / "pending"
    assert len(list(pending.iterdir())) == 1
    with hospital(counter, desk, submit=submit) as office:
        assert list(pending.iterdir()) == []
        assert office.status(counter.code, 1).state == "reversed"
        assert office.reverse([replace(wanted, number=2)])[0].accepted


def test_two_offices_never_share_a_vault(counter: Counter, desk: BoxDesk) -> None:
    with hospital(counter, desk):
        with pytest.raises(Locked), hospital(counter, desk):
            raise AssertionError
        key = ("--key", counter.key("hospital-01"), "--box", counter.ledger, "--json")
        second = tally("bills", "issue", counter.drafts(8), *counter.office(), *key)
        assert (second.code, second.error["code"]) == (4, "cli.locked")
    with hospital(counter, desk) as office:
        assert office.status(counter.code, 1).state == "issued"


def test_a_damaged_file_of_what_is_under_way_is_named(counter: Counter) -> None:
    pending = counter.folder / "vault" / "pending"
    damaged = pending / f"{'0' * 64}.tx"
    damaged.write_bytes(b'{"header":')
    issue = ("bills", "issue", counter.drafts(8), *counter.office())
    answer = counter.act("hospital-01", *issue)
    assert (answer.code, answer.error["code"]) == (5, "office.pending_damaged")
    assert str(damaged) in answer.error["detail"] and "pending/" in answer.error["todo_en"]
    damaged.rename(counter.folder / "kept.tx")
    damaged.symlink_to(counter.folder / "kept.tx")
    unread = counter.act("hospital-01", *issue)
    assert (unread.code, unread.error["code"]) == (5, "office.pending_damaged"), "never passed over"
    damaged.unlink()
    assert counter.act("hospital-01", *issue).code == 0
