"""The log of reads: nothing is read without an entry, and nobody else can read the entries."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from canaries import everything_in
from vaults import VAULT_KEY, prepare, secret_of, send, tx_of

from tallystick.keyring import delivery_key_from_seed
from tallystick.protocol.errors import Damaged
from tallystick.vault import Archive, Message, Read, Recorded, Vault

AT = 1_768_181_467
RECEIVER = delivery_key_from_seed(secret_of(-1))


def test_reads_of_a_bill_are_listed_in_the_order_of_time(tmp_path: Path) -> None:
    one, other = prepare(1), prepare(2)
    bill = (one.code, one.number)
    with Vault.open(tmp_path / "vault", VAULT_KEY) as vault:
        vault.put_many([one, other])
        vault.note_read(*bill, at=AT + 30, who="insurer", what="refused", why="consent_revoked")
        vault.note_read(
            *bill, at=AT + 10, who="insurer", what="disclosed", why="claim", paths=["a"]
        )
        vault.note_reads([(*bill, Read(at=AT + 20, who="", what="second_factor", why="wrong"))])
        vault.note_read(other.code, other.number, at=AT, who="clerk")
        message = Message(*bill, "finance", send(one, 1, RECEIVER.public_key))
        vault.mark_recorded([Recorded(*bill, 1, tx_of(1), 0)], [message], at=AT)
        vault.outbox.send_together(lambda _: None, at=AT + 15)
    with Vault.open(tmp_path / "vault", VAULT_KEY) as again:
        assert [(read.at - AT, read.what, read.who, read.why) for read in again.reads(*bill)] == [
            (10, "disclosed", "insurer", "claim"),
            (15, "delivered", "", ""),
            (20, "second_factor", "", "wrong"),
            (30, "refused", "insurer", "consent_revoked"),
        ]
        assert again.reads(*bill)[0].paths == ["a"]
        again.erase(*bill, b"o" * 32, at=AT + 40)
        assert [read.what for read in again.reads(*bill)][-2:] == ["refused", "erased"]
        assert [read.who for read in again.reads(other.code, other.number)] == ["clerk"]


def test_reads_of_a_body_that_is_not_here_are_noted_too(tmp_path: Path) -> None:
    with Archive[object].keeping(tmp_path / "archive", VAULT_KEY) as archive:
        archive.note_read(33060126, 5, at=AT, who="auditor", what="refused", why="no_body")
        assert [read.who for read in archive.reads(33060126, 5)] == ["auditor"]
        assert archive.reads(33060126, 6) == []


def test_nobody_without_the_key_sees_who_read_what(tmp_path: Path) -> None:
    with Vault.open(tmp_path / "vault", VAULT_KEY) as vault:
        vault.note_read(
            33060126, 5, at=AT, who="READER-CANARY", why="WHY-CANARY", paths=["medical/CANARY"]
        )
        assert b"CANARY" not in everything_in(tmp_path)


def test_an_entry_put_to_another_bill_is_found(tmp_path: Path) -> None:
    with Vault.open(tmp_path / "vault", VAULT_KEY) as vault:
        vault.note_read(33060126, 5, at=AT, who="auditor")
    connection = apsw.Connection(str(tmp_path / "vault" / "bodies.db"))
    connection.execute("UPDATE reads SET number = 6")
    connection.close()
    with Vault.open(tmp_path / "vault", VAULT_KEY) as vault, pytest.raises(Damaged, match="read 1"):
        vault.reads(33060126, 6)
