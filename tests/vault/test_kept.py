"""Backups of vaults have no keys, and what was erased does not come back with them."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import apsw
import pytest
from canaries import everything_in, planted, spellings
from vaults import (
    VAULT_KEY,
    business_of,
    check_content,
    expect,
    prepare,
    record_of,
    secret_of,
    send,
    tx_of,
)

from tallystick.contracts.bills.reasons import BillsReason
from tallystick.keyring import delivery_key_from_seed
from tallystick.protocol.errors import Damaged, Rejected, VerificationFailed
from tallystick.vault import Archive, BodyErased, Erased, Message, Recorded, Vault, kind_of
from tallystick.vault.ciphers import Ciphers
from tallystick.vault.store import blind_key

AT = 1_768_181_467
ORDER = b"o" * 32
RECEIVER = delivery_key_from_seed(secret_of(-1))
GONE = 3
SEEDS = range(8)


def bodies() -> list[int]:
    return [seed for seed in SEEDS if seed != GONE]


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    """A vault with a letter owed for each body, one body refused, a backup and a copy of keys."""
    (tmp_path / "keys").mkdir()
    with Vault.open(tmp_path / "vault", VAULT_KEY) as opened:
        prepared = [prepare(seed) for seed in SEEDS]
        opened.put_many(prepared)
        messages = [
            Message(one.code, one.number, "wallet:1", send(one, one.number, RECEIVER.public_key))
            for one in prepared[:-1]
        ]
        opened.mark_recorded(
            [Recorded(one.code, one.number, one.number, tx_of(1), 0) for one in prepared[:-1]],
            messages,
            at=AT,
        )
        opened.mark_refused([(prepared[-1].code, prepared[-1].number, "x")])
        opened.inbox.put(messages[0].data, at=AT)
        opened.backup(tmp_path / "backup")
        opened.copy_keys(tmp_path / "keys" / "keys.db")
    return tmp_path / "vault"


def erase(folder: Path) -> None:
    with Vault.open(folder, VAULT_KEY) as opened:
        opened.erase(prepare(GONE).code, prepare(GONE).number, ORDER, at=AT)


def restore(root: Path, keys: Path, erased: list[Erased] | None = None) -> Vault:
    folder = root / "restored"
    Vault.restore(
        folder,
        VAULT_KEY,
        backup=root / "backup",
        keys=keys,
        business=business_of,
        erased=erased or [],
    )
    return Vault.open(folder, VAULT_KEY)


def check_erased(opened: Vault, root: Path) -> None:
    one = prepare(GONE)
    with pytest.raises(BodyErased):
        opened.get(one.code, one.number)
    standing = opened.find(one.code, one.number)
    assert standing is not None and standing.state == "erased"
    stored = everything_in(root)
    values = [value for value in planted(range(GONE, GONE + 1)) if value != VAULT_KEY]
    assert [value for value in values if any(form in stored for form in spellings(value))] == []
    for seed in bodies():
        other = prepare(seed)
        assert opened.get(other.code, other.number) == (other.body, other.secret)


def test_a_backup_has_no_key_no_letter_and_no_index(vault: Path, tmp_path: Path) -> None:
    files = sorted(path.name for path in (tmp_path / "backup").iterdir())
    assert files == ["bodies.db"]
    assert stat.S_IMODE((tmp_path / "backup" / "bodies.db").stat().st_mode) == 0o600
    stored = everything_in(tmp_path / "backup")
    connection = apsw.Connection(str(vault / "keys.db"))
    wrapped = [row[0] for row in connection.execute("SELECT secret FROM wrapped")]
    connection.close()
    connection = apsw.Connection(str(vault / "bodies.db"))
    letters = [row[0] for row in connection.execute("SELECT data FROM outbox")]
    letters += [row[0] for row in connection.execute("SELECT data FROM inbox")]
    connection.close()
    assert len(wrapped) == len(SEEDS) and len(letters) == len(SEEDS)
    blinded = [
        blind_key(Ciphers(VAULT_KEY), one.network, one.issuer, key)
        for one in map(prepare, SEEDS)
        for key in one.business
    ]
    for value in [*wrapped, *(letter[:64] for letter in letters), *blinded]:
        assert value not in stored and value in everything_in(vault)


def test_a_backup_is_restored_and_not_opened(vault: Path, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "backup" / "bodies.db", vault / "bodies.db")
    for side in ("-wal", "-shm"):
        (vault / f"bodies.db{side}").unlink(missing_ok=True)
    with pytest.raises(Damaged, match="is a backup"):
        Vault.open(vault, VAULT_KEY)


def test_a_backup_and_the_keys_make_the_vault_again(vault: Path, tmp_path: Path) -> None:
    with restore(tmp_path, vault / "keys.db") as again:
        for seed in SEEDS:
            one = prepare(seed)
            assert again.get(one.code, one.number) == (one.body, one.secret)
        taken = prepare(0)
        with pytest.raises(Rejected) as caught:
            again.put_many([prepare(50, business_codes=tuple(k.code for k in taken.business))])
        assert caught.value.reason == BillsReason.BIZCODE_CONFLICT, "the index is there again"
        free = prepare(SEEDS[-1])
        again.put_many([free])
        assert again.outbox.owed() == []


def test_a_restored_backup_stays_erased(vault: Path, tmp_path: Path) -> None:
    erase(vault)
    with restore(tmp_path, vault / "keys.db") as again:
        check_erased(again, tmp_path)
        again.put_many([prepare(60, business_codes=tuple(k.code for k in prepare(GONE).business))])


def test_a_restored_backup_with_the_copy_of_the_keys_stays_erased(
    vault: Path, tmp_path: Path
) -> None:
    erase(vault)
    shutil.rmtree(vault)
    with restore(tmp_path, tmp_path / "keys" / "keys.db") as again:
        check_erased(again, tmp_path)


def test_with_keys_older_than_the_erasure_the_ledger_says_what_is_erased(
    vault: Path, tmp_path: Path
) -> None:
    """Who kept more copies of the keys than the guide allows; the ledger has the orders."""
    shutil.copy(tmp_path / "keys" / "keys.db", tmp_path / "hoarded.db")
    one = prepare(GONE)
    erase(vault)
    with restore(
        tmp_path, tmp_path / "hoarded.db", [Erased(one.code, one.number, ORDER, AT)]
    ) as again:
        check_erased(again, tmp_path / "restored")
        assert again.erasures.all(unfinished=True) == []


def test_the_whole_file_put_back_by_hand_stays_erased(vault: Path, tmp_path: Path) -> None:
    shutil.copytree(vault, tmp_path / "old")
    erase(vault)
    before = everything_in(vault)
    for path in (tmp_path / "old").glob("bodies.db*"):
        shutil.copy(path, vault / path.name)
    assert everything_in(vault) != before
    shutil.rmtree(tmp_path / "old")
    with Vault.open(vault, VAULT_KEY) as again:
        check_erased(again, vault)


def test_bodies_of_another_history_are_erased_too(vault: Path, tmp_path: Path) -> None:
    """An older copy of the keys went on and erased something else: all of the list is looked at."""
    shutil.copy(tmp_path / "keys" / "keys.db", tmp_path / "hoarded.db")
    other = prepare(0)
    with Vault.open(vault, VAULT_KEY) as opened:
        opened.erase(other.code, other.number, ORDER, at=AT)
    with restore(tmp_path, tmp_path / "hoarded.db") as again:
        again.erase(prepare(GONE).code, prepare(GONE).number, ORDER, at=AT)
    folder = tmp_path / "restored"
    for path in vault.glob("bodies.db*"):
        shutil.copy(path, folder / path.name)
    with Vault.open(folder, VAULT_KEY) as mixed:
        with pytest.raises(BodyErased):
            mixed.get(prepare(GONE).code, prepare(GONE).number)
        standing = mixed.find(prepare(GONE).code, prepare(GONE).number)
        assert standing is not None and standing.state == "erased"


def test_a_body_that_was_replaced_since_is_not_in_the_restored_vault(
    vault: Path, tmp_path: Path
) -> None:
    one = prepare(SEEDS[-1])
    with Vault.open(vault, VAULT_KEY) as opened:
        opened.put_many([prepare(SEEDS[-1], settlement=None, business_codes=("OTHER",))])
    with restore(tmp_path, vault / "keys.db") as again:
        assert again.find(one.code, one.number) is None
        again.put_many([one])


def test_what_cannot_be_restored_leaves_nothing(vault: Path, tmp_path: Path) -> None:
    with pytest.raises(VerificationFailed, match="wrong key"):
        Vault.restore(
            tmp_path / "restored",
            bytes(32),
            backup=tmp_path / "backup",
            keys=vault / "keys.db",
            business=business_of,
        )
    with Vault.open(tmp_path / "other", VAULT_KEY) as other, pytest.raises(FileExistsError):
        other.backup(tmp_path / "backup")
    with pytest.raises(Damaged, match="other half"):
        restore(tmp_path, tmp_path / "other" / "keys.db")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"vault", "backup", "keys", "other"}


def test_what_a_restore_left_that_was_cut_off_goes_with_the_next_erasure(
    vault: Path, tmp_path: Path
) -> None:
    shutil.copytree(vault, tmp_path / ".vault.new")
    erase(vault)
    assert not (tmp_path / ".vault.new").exists()


def open_archive(folder: Path) -> Archive[object]:
    by_number = {one.number: one for one in map(prepare, SEEDS)}
    return Archive[object].open(
        folder,
        VAULT_KEY,
        delivery_keys={RECEIVER.public_key: RECEIVER.private_key},
        fetch_record=lambda expected: record_of(by_number[expected.number]),
        check=check_content,  # type: ignore[arg-type]  # a record is a mapping here
        business=business_of,
    )


def test_an_archives_backup_stays_erased_and_is_indexed_again(tmp_path: Path) -> None:
    with open_archive(tmp_path / "archive") as archive:
        sent = [prepare(seed) for seed in SEEDS]
        archive.expect([expect(one, one.number) for one in sent], size=100)
        archive.receive([send(one, one.number, RECEIVER.public_key) for one in sent], at=AT)
        archive.backup(tmp_path / "backup")
        archive.erase(prepare(GONE).code, prepare(GONE).number, ORDER, at=AT)
    assert kind_of(tmp_path / "archive") == kind_of(tmp_path / "backup") == "archive"
    Archive[object].restore(
        tmp_path / "restored",
        VAULT_KEY,
        backup=tmp_path / "backup",
        keys=tmp_path / "archive" / "keys.db",
        business=business_of,
    )
    with open_archive(tmp_path / "restored") as again:
        with pytest.raises(BodyErased):
            again.get(prepare(GONE).code, prepare(GONE).number)
        for seed in bodies():
            one = prepare(seed)
            assert again.get(one.code, one.number) == (one.body, one.secret)
        assert again.watermark(prepare(0).issuer).exceptions == ()
        keys = again._files.query("SELECT count(DISTINCT bill) FROM business")[0][0]
        assert keys == len(bodies())


def test_the_kind_of_what_is_no_vault(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        kind_of(tmp_path)
    connection = apsw.Connection(str(tmp_path / "bodies.db"))
    connection.execute("CREATE TABLE meta (name TEXT, value BLOB)")
    connection.close()
    with pytest.raises(Damaged, match="does not say what it is"):
        kind_of(tmp_path)
