"""The files of a vault: what lies in them, who opens them, what a crash or a bad disk does."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import apsw
import pytest
from canaries import canaries_found, everything_in, planted, spellings
from hypothesis import given, settings
from hypothesis import strategies as st
from vaults import (
    VAULT_KEY,
    business_of,
    check_content,
    expect,
    prepare,
    record_of,
    root_of,
    secret_of,
    send,
    tx_of,
)

from tallystick.durable import DiskFull, Locked
from tallystick.keyring import delivery_key_from_seed
from tallystick.protocol.errors import Damaged, Malformed, VerificationFailed
from tallystick.vault import Archive, Message, Recorded, Vault
from tallystick.vault.ciphers import Ciphers

AT = 1_768_181_467
FILES = ("bodies.db", "keys.db")


def test_the_search_for_canaries_finds_them(tmp_path: Path) -> None:
    values = planted(range(1))
    for value in values:
        for number, form in enumerate(spellings(value)):
            (tmp_path / "f").write_bytes(b"x" * (number % 5) + form + b"y")
            assert value in canaries_found(tmp_path, values)
    padded = b64encode(b"ab" + values[0] + b"cd")
    (tmp_path / "f").write_bytes(padded)
    assert values[0] in canaries_found(tmp_path, values)


def test_nothing_private_lies_in_the_files_of_a_vault(tmp_path: Path) -> None:
    receiver = delivery_key_from_seed(secret_of(-1))
    wallet = "wallet:7f3a-林知夏-home"
    with Vault.open(tmp_path / "v", VAULT_KEY) as vault:
        bodies = [prepare(seed) for seed in range(8)]
        vault.put_many(bodies)
        messages = [
            Message(one.code, one.number, wallet, send(one, one.number, receiver.public_key))
            for one in bodies
        ]
        vault.mark_recorded(
            [Recorded(one.code, one.number, one.number, tx_of(1), 0) for one in bodies[:6]],
            messages,
            at=AT,
        )
        vault.mark_refused([(one.code, one.number, "bills.time_too_old") for one in bodies[6:]])
        vault.put_many([prepare(7, settlement=None, business_codes=("OTHER",))])
        vault.mark_reversed([(bodies[0].code, bodies[0].number)])
        vault.outbox.send_together(lambda _: None, at=AT, limit=3)
        vault.inbox.put(messages[0].data, at=AT)
        private = [*planted(range(8)), wallet.encode(), receiver.public_key]
        assert canaries_found(tmp_path / "v", private) == []  # with its side files, while open
    assert canaries_found(tmp_path / "v", private) == []


def test_nothing_private_lies_in_the_files_of_an_archive(tmp_path: Path) -> None:
    key = delivery_key_from_seed(secret_of(-1))
    bodies = [prepare(seed) for seed in range(6)]
    by_number = {one.number: one for one in bodies}
    with Archive.open(
        tmp_path / "a",
        VAULT_KEY,
        delivery_keys={key.public_key: key.private_key},
        fetch_record=lambda expected: record_of(by_number[expected.number]),
        check=check_content,
        business=business_of,
    ) as archive:
        archive.expect([expect(one, one.number) for one in bodies[:5]], size=100)
        archive.receive([send(one, one.number, key.public_key) for one in bodies], at=AT)
        private = [*planted(range(6)), key.public_key]
        assert canaries_found(tmp_path / "a", private) == []
    assert canaries_found(tmp_path / "a", private) == []


def test_only_the_owner_reads_the_files(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with Vault.open(tmp_path / "v", VAULT_KEY) as vault:
            vault.put_many([prepare(1)])
            modes = {
                path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "v").iterdir()
            }
    finally:
        os.umask(before)
    assert set(modes) >= {*FILES, "bodies.db-wal", "keys.db-wal"}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE((tmp_path / "v").stat().st_mode) == 0o700


def test_both_files_are_durable_and_overwrite_what_they_delete(tmp_path: Path) -> None:
    with Vault.open(tmp_path / "v", VAULT_KEY) as vault:
        for connection in (vault._files.db, vault._files.keys):
            for name, value in (
                ("journal_mode", "wal"),
                ("synchronous", 2),
                ("secure_delete", 1),
                ("cell_size_check", 1),
                ("trusted_schema", 0),
            ):
                assert next(connection.execute(f"PRAGMA {name}"))[0] == value, name


def test_the_wrong_key_is_told_from_damage(tmp_path: Path) -> None:
    Vault.open(tmp_path / "v", VAULT_KEY).close()
    with pytest.raises(VerificationFailed, match="wrong key"):
        Vault.open(tmp_path / "v", bytes(32))
    with pytest.raises(ValueError, match="32 bytes"):
        Vault.open(tmp_path / "v", b"short")
    shown = repr(Ciphers(VAULT_KEY))
    assert VAULT_KEY.hex() not in shown


@pytest.mark.parametrize("which", ["db", "keys"])
def test_a_full_disk_is_said_to_be_one_and_loses_nothing(tmp_path: Path, which: str) -> None:
    with Vault.open(tmp_path / "v", VAULT_KEY) as vault:
        vault.put_many([prepare(1)])
        connection = getattr(vault._files, which)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        with pytest.raises(DiskFull, match="no room to write"):
            vault.put_many([prepare(n) for n in range(2, 100)])
        connection.execute("PRAGMA max_page_count = 1000000").fetchall()
        assert len(vault.prepared()) == 1
        vault.put_many([prepare(2)])
        assert len(vault.prepared()) == 2


def test_a_vault_that_another_process_writes_is_locked_and_no_bug(tmp_path: Path) -> None:
    with Vault.open(tmp_path / "v", VAULT_KEY) as vault, Vault.open(tmp_path / "v", VAULT_KEY) as b:
        b._files.db.set_busy_timeout(1)
        with vault._files.transaction(), pytest.raises(Locked):
            b.put_many([prepare(1)])
        b.put_many([prepare(1)])


def test_a_members_vault_is_no_archive(tmp_path: Path) -> None:
    Vault.open(tmp_path / "v", VAULT_KEY).close()
    with pytest.raises(Malformed, match="is no tallystick/vault/v1 archive"):
        Archive.open(
            tmp_path / "v",
            VAULT_KEY,
            delivery_keys={},
            fetch_record=lambda _: {},
            check=check_content,
            business=business_of,
        )


def filled(folder: Path, seeds: range = range(3)) -> None:
    with Vault.open(folder, VAULT_KEY) as vault:
        vault.put_many([prepare(seed) for seed in seeds])


@pytest.mark.parametrize("gone", FILES)
def test_one_file_without_the_other_is_damage(tmp_path: Path, gone: str) -> None:
    """A restored backup has no keys: it must not pass for a vault, nor be written over."""
    filled(tmp_path / "v")
    (tmp_path / "v" / gone).unlink()
    with pytest.raises(Damaged, match=r"keys\.db"):
        Vault.open(tmp_path / "v", VAULT_KEY)


def test_the_keys_of_another_vault_are_damage(tmp_path: Path) -> None:
    filled(tmp_path / "v")
    filled(tmp_path / "w")
    (tmp_path / "w" / "keys.db").replace(tmp_path / "v" / "keys.db")
    with pytest.raises(Damaged, match="other half"):
        Vault.open(tmp_path / "v", VAULT_KEY)


@pytest.mark.parametrize("which", FILES)
def test_a_file_that_is_no_database_is_damage(tmp_path: Path, which: str) -> None:
    filled(tmp_path / "v")
    (tmp_path / "v" / which).write_bytes(b"not SQLite at all" * 300)
    with pytest.raises(Damaged, match=which):
        Vault.open(tmp_path / "v", VAULT_KEY)


@pytest.mark.parametrize(
    ("which", "table", "column"), [("bodies.db", "cells", "body"), ("keys.db", "wrapped", "secret")]
)
def test_every_flipped_byte_of_a_ciphertext_is_found(
    tmp_path: Path, which: str, table: str, column: str
) -> None:
    filled(tmp_path / "v", range(1))
    one = prepare(0)
    connection = apsw.Connection(str(tmp_path / "v" / which))
    original = next(connection.execute(f"SELECT {column} FROM {table}"))[0]
    step = 1 if which == "keys.db" else 37
    for at in (*range(0, len(original), step), None):
        changed = bytearray(original)
        if at is None:
            changed = changed[:5]
        else:
            changed[at] ^= 1
        connection.execute(f"UPDATE {table} SET {column} = ?", (bytes(changed),))
        with Vault.open(tmp_path / "v", VAULT_KEY) as vault, pytest.raises(Damaged, match=which):
            vault.get(one.code, one.number)
    connection.execute(f"UPDATE {table} SET {column} = ?", (original,))
    connection.execute(f"DELETE FROM {table}")
    connection.close()
    with Vault.open(tmp_path / "v", VAULT_KEY) as vault, pytest.raises(Damaged, match="is gone"):
        vault.get(one.code, one.number)


def test_a_ciphertext_in_anothers_place_is_found(tmp_path: Path) -> None:
    filled(tmp_path / "v")
    connection = apsw.Connection(str(tmp_path / "v" / "bodies.db"))
    connection.execute("UPDATE bodies SET cell = 2 WHERE cell = 1")
    connection.close()
    with Vault.open(tmp_path / "v", VAULT_KEY) as vault, pytest.raises(Damaged):
        vault.get(prepare(0).code, prepare(0).number)


@given(st.data())
@settings(max_examples=60)
def test_a_flipped_byte_anywhere_gives_damage_or_the_right_body(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("vault")
    filled(folder, range(2))
    path = folder / data.draw(st.sampled_from(FILES))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    one = prepare(1)
    try:
        with Vault.open(folder, VAULT_KEY) as vault:
            got = vault.get(one.code, one.number)
    except (Damaged, Malformed, VerificationFailed):
        return
    except (KeyError, apsw.ReadOnlyError):
        return  # the index lost the number; the head of the file says that it is read-only
    assert got == (one.body, one.secret)


def test_a_replaced_body_leaves_no_key_behind(tmp_path: Path) -> None:
    """The same way erasure goes: the wrapped secret is in no file any more, nor in a side file."""
    one = prepare(1)
    with Vault.open(tmp_path / "v", VAULT_KEY) as vault:
        vault.put_many([one])
        reader = apsw.Connection(str(tmp_path / "v" / "keys.db"))
        wrapped = next(reader.execute("SELECT secret FROM wrapped"))[0]
        reader.close()
        assert wrapped in everything_in(tmp_path / "v")
        vault.mark_refused([(one.code, one.number, "x")])
        vault.put_many([prepare(1, settlement=None, business_codes=("OTHER",))])
        assert wrapped not in everything_in(tmp_path / "v")


def test_keys_of_a_transaction_cut_in_two_do_no_harm(tmp_path: Path) -> None:
    """Between the two commits: the keys are there, their bodies are not."""
    filled(tmp_path / "v", range(2))
    connection = apsw.Connection(str(tmp_path / "v" / "keys.db"))
    connection.execute("INSERT INTO wrapped (secret) VALUES (x'00'), (x'01')")
    connection.close()
    with Vault.open(tmp_path / "v", VAULT_KEY) as vault:
        vault.put_many([prepare(2), prepare(3)])
        for seed in range(4):
            one = prepare(seed)
            assert vault.get(one.code, one.number) == (one.body, one.secret)


def test_bodies_out_of_a_backup_cost_no_keys(tmp_path: Path) -> None:
    filled(tmp_path / "v", range(1))
    backup = (tmp_path / "v" / "bodies.db").read_bytes()
    filled(tmp_path / "v", range(1, 3))
    today = (tmp_path / "v" / "bodies.db").read_bytes()
    (tmp_path / "v" / "bodies.db").write_bytes(backup)
    filled(tmp_path / "v", range(0))
    (tmp_path / "v" / "bodies.db").write_bytes(today)
    with Vault.open(tmp_path / "v", VAULT_KEY) as vault:
        for seed in range(3):
            one = prepare(seed)
            assert vault.get(one.code, one.number) == (one.body, one.secret)


def test_keys_out_of_a_backup_are_damage(tmp_path: Path) -> None:
    filled(tmp_path / "v", range(1))
    backup = (tmp_path / "v" / "keys.db").read_bytes()
    filled(tmp_path / "v", range(1, 3))
    (tmp_path / "v" / "keys.db").write_bytes(backup)
    with pytest.raises(Damaged, match=r"keys\.db is older"):
        Vault.open(tmp_path / "v", VAULT_KEY)


def test_a_half_made_vault_is_made_whole(tmp_path: Path) -> None:
    filled(tmp_path / "v", range(0))
    (tmp_path / "v" / "bodies.db").unlink()
    filled(tmp_path / "v", range(1))
    one = prepare(0)
    with Vault.open(tmp_path / "v", VAULT_KEY) as vault:
        assert vault.get(one.code, one.number) == (one.body, one.secret)


WRITER = """
import sys
from pathlib import Path
from vaults import VAULT_KEY, prepare
from tallystick.vault import Vault

with Vault.open(Path(sys.argv[1]), VAULT_KEY) as vault:
    for batch in range(int(sys.argv[2]), 10_000):
        vault.put_many([prepare(batch * 5 + n, settlement=None) for n in range(5)])
        print(batch, flush=True)
"""


@pytest.mark.parametrize("batches", [1, 4, 9])
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path, batches: int) -> None:
    start = 0
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "v"), str(start)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        ) as writer:
            assert writer.stdout is not None
            acknowledged = [int(writer.stdout.readline()) for _ in range(batches)][-1]
            writer.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *map(int, writer.stdout.read().split())])
        with Vault.open(tmp_path / "v", VAULT_KEY) as vault:
            for seed in range((acknowledged + 1) * 5):
                one = prepare(seed, settlement=None)
                assert vault.get(one.code, one.number) == (one.body, one.secret)
            kept = len(vault.prepared(limit=10**6))
            assert kept % 5 == 0, "a batch is kept whole or not at all"
            assert vault._files.query("SELECT count(*) FROM cells") == [(kept,)]
        start = kept // 5


def test_roots_are_the_records_after_all_this(tmp_path: Path) -> None:
    filled(tmp_path / "v")
    with Vault.open(tmp_path / "v", VAULT_KEY) as vault:
        for seed in range(3):
            one = prepare(seed)
            vault.show(
                one.code, one.number, root=root_of(one), record=record_of(one), check=check_content
            )
