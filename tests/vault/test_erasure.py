"""What is erased is gone out of every byte that we wrote, whatever happens on the way, for good."""

from __future__ import annotations

import hmac
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

import apsw
import pytest
from canaries import everything_in, planted, spellings
from faults.powercut import Disk, Instant
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

from tallystick.contracts.bills.reasons import BillsReason
from tallystick.durable import Locked
from tallystick.keyring import delivery_key_from_seed
from tallystick.protocol import merkle
from tallystick.protocol.body import body_root, disclosure_digest, parse_disclosure
from tallystick.protocol.errors import Rejected
from tallystick.vault import Archive, BodyErased, Message, Prepared, Recorded, Vault
from tallystick.vault.ciphers import Ciphers
from tallystick.vault.erasure import PIECE_BYTES, is_left, pieces_of
from tallystick.vault.store import blind_key

AT = 1_768_181_467
ORDER = b"o" * 32
RECEIVER = delivery_key_from_seed(secret_of(-1))
WALLET = "wallet:7f3a-only-this-bill"
GONE = 7
"""The seed of the body that is erased."""


def filled(folder: Path, seeds: range = range(20), *, vfs: str | None = None) -> Vault:
    """A vault with bodies that are recorded, one letter owed for each."""
    vault = Vault.open(folder, VAULT_KEY, vfs=vfs)
    bodies = [prepare(seed) for seed in seeds]
    vault.put_many(bodies)
    messages = [letter(one) for one in bodies]
    vault.mark_recorded(
        [Recorded(one.code, one.number, one.number, tx_of(one.number), 0) for one in bodies],
        messages,
        at=AT,
    )
    return vault


def letter(one: Prepared) -> Message:
    wallet = WALLET if one.number == prepare(GONE).number else "wallet:another"
    return Message(one.code, one.number, wallet, send(one, one.number, RECEIVER.public_key))


def archived(folder: Path, seeds: range = range(20), *, vfs: str | None = None) -> Archive[object]:
    bodies = {one.number: one for one in map(prepare, seeds)}
    archive = Archive[object].open(
        folder,
        VAULT_KEY,
        delivery_keys={RECEIVER.public_key: RECEIVER.private_key},
        fetch_record=lambda expected: record_of(bodies[expected.number]),
        check=check_content,  # type: ignore[arg-type]  # a record is a mapping here
        business=business_of,
        vfs=vfs,
    )
    archive.expect([expect(one, one.number) for one in bodies.values()], size=100)
    archive.receive([letter(one).data for one in bodies.values()], at=AT)
    return archive


def hidden_of(folder: Path) -> list[bytes]:
    """What lies in the files for the body that will be erased: keys, indices, what is owed."""
    one = prepare(GONE)
    found = [blind_key(Ciphers(VAULT_KEY), one.network, one.issuer, key) for key in one.business]
    for name, sql in (
        ("keys.db", "SELECT secret FROM wrapped WHERE id = ?1"),
        ("bodies.db", "SELECT body FROM cells WHERE id = ?1"),
    ):
        connection = apsw.Connection(str(folder / name))
        found += [row[0] for row in connection.execute(sql, (cell_of(folder),))]
        connection.close()
    connection = apsw.Connection(str(folder / "bodies.db"))
    owed = "SELECT receiver, data FROM outbox WHERE number = ? AND data IS NOT NULL"
    found += [value for row in connection.execute(owed, (one.number,)) for value in row]
    connection.close()
    assert len(found) >= 3
    return found


def cell_of(folder: Path) -> int:
    connection = apsw.Connection(str(folder / "bodies.db"))
    table = "entries" if is_archive(connection) else "bodies"
    one = prepare(GONE)
    rows = list(
        connection.execute(
            f"SELECT cell FROM {table} WHERE code = ? AND number = ?", (one.code, one.number)
        )
    )
    connection.close()
    cell: int = rows[0][0]
    return cell


def is_archive(connection: apsw.Connection) -> bool:
    return bool(list(connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'entries'")))


def secrets_of_the_erased() -> list[bytes]:
    """In clear: its texts, its secret, the key of its ciphertext, its salts, the wallet."""
    one = prepare(GONE)
    body_key = hmac.digest(one.secret, b"tallystick/body-key/v1\n", "sha256")
    return [*planted(range(GONE, GONE + 1)), body_key, WALLET.encode()]


def left_of(folder: Path, hidden: list[bytes]) -> list[bytes]:
    """Whatever of it a search of all bytes finds, in any spelling; of ciphertexts any piece."""
    stored = everything_in(folder)
    found = [
        value
        for value in secrets_of_the_erased()
        if any(form in stored for form in spellings(value))
    ]
    return found + pieces_left(folder, hidden)


def pieces_left(folder: Path, hidden: list[bytes]) -> list[bytes]:
    """Of what lay there: nothing in clear ever does, whatever is cut off."""
    stored = everything_in(folder)
    return [piece for value in hidden for piece in pieces_of(value) if piece in stored]


def check_the_others(kept: Vault | Archive[object], seeds: range = range(20)) -> None:
    for seed in seeds:
        if seed != GONE:
            one = prepare(seed)
            assert kept.get(one.code, one.number) == (one.body, one.secret)


def erase(kept: Vault | Archive[object]) -> None:
    one = prepare(GONE)
    kept.erase(one.code, one.number, ORDER, at=AT + 5)


@pytest.mark.parametrize("count", [20, 150])
def test_nothing_of_an_erased_body_is_left_in_a_vault(tmp_path: Path, count: int) -> None:
    folder, one = tmp_path / "all" / "vault", prepare(GONE)
    with filled(folder, range(count)) as vault:
        (tmp_path / "all" / "key-disk").mkdir()
        vault.copy_keys(tmp_path / "all" / "key-disk" / "keys.db")
        vault.inbox.put(send(one, one.number, RECEIVER.public_key), at=AT)
        hidden = hidden_of(folder)
        assert left_of(tmp_path / "all", hidden), "the search finds what is there"
        erase(vault)
        assert left_of(tmp_path / "all", hidden) == []
        assert vault.erasures.all(unfinished=True) == []
        with pytest.raises(BodyErased, match="was erased"):
            vault.get(one.code, one.number)
        check_the_others(vault, range(count))
        assert vault.inbox.waiting() == []
    assert left_of(tmp_path / "all", hidden) == []
    with Vault.open(folder, VAULT_KEY) as again:
        standing = again.find(one.code, one.number)
        assert standing is not None and (standing.state, standing.entry) == ("erased", one.number)
        assert len(again.outbox.owed(limit=count)) == count - 1


def test_nothing_of_an_erased_body_is_left_in_an_archive(tmp_path: Path) -> None:
    folder, one = tmp_path / "archive", prepare(GONE)
    with archived(folder) as archive:
        mark = archive.watermark(one.issuer)
        hidden = hidden_of(folder)
        assert left_of(folder, hidden)
        erase(archive)
        assert left_of(folder, hidden) == []
        with pytest.raises(BodyErased):
            archive.get(one.code, one.number)
        check_the_others(archive)
        assert archive.watermark(one.issuer) == mark, "what was checked stays checked"
        (outcome,) = archive.receive([letter(one).data], at=AT + 9)
        assert outcome.status == "turned_away" and "erased" in outcome.detail
    assert left_of(folder, hidden) == []


def test_a_body_that_never_came_is_not_waited_for_and_not_taken(tmp_path: Path) -> None:
    one = prepare(GONE)
    with archived(tmp_path / "archive", range(0)) as archive:
        early = archive.receive([letter(one).data], at=AT)[0]
        assert early.status == "waiting"
        archive.erase(one.code, one.number, ORDER, at=AT)
        archive.expect([expect(one, one.number)], size=100)
        assert archive.watermark(one.issuer).exceptions == ()
        assert [outcome.status for outcome in archive.retry()] == ["turned_away"]
        assert archive._inbox.waiting() == []


def test_a_letter_that_waits_for_its_record_is_erased_with_it(tmp_path: Path) -> None:
    folder, one = tmp_path / "archive", prepare(GONE)
    with archived(folder, range(0)) as archive:
        archive.receive([letter(one).data, letter(prepare(1)).data], at=AT)
        hidden = archive._files.query("SELECT data FROM inbox ORDER BY id")
        archive.expect([expect(one, one.number)], size=100)
        erase(archive)
        assert left_of(folder, list(hidden[0])) == []
        assert [data for _, data in archive._inbox.waiting()] != []
    with archived(folder, range(0)) as archive:
        assert len(archive._inbox.waiting()) == 1, "the letter about another bill waits on"


def test_a_body_that_comes_after_its_erasure_is_not_kept(tmp_path: Path) -> None:
    one = prepare(GONE)
    with Vault.open(tmp_path / "vault", VAULT_KEY) as vault:
        erase(vault)
        with pytest.raises(Rejected) as caught:
            vault.put_many([one])
        assert caught.value.reason == BillsReason.NUMBER_USED
        vault.outbox.put([letter(one)], at=AT)
        assert vault.outbox.owed() == []


def test_an_erased_body_stays_so_whatever_its_office_still_learns(tmp_path: Path) -> None:
    one = prepare(GONE)
    with Vault.open(tmp_path / "vault", VAULT_KEY) as vault:
        vault.put_many([one])
        erase(vault)
        vault.mark_refused([(one.code, one.number, "x")])
        vault.mark_recorded([Recorded(one.code, one.number, 9, tx_of(9), 0)], [letter(one)], at=AT)
        vault.mark_reversed([(one.code, one.number)])
        standing = vault.find(one.code, one.number)
        assert standing is not None
        assert (standing.state, standing.entry, standing.reversed) == ("erased", 9, True)
        assert vault.outbox.owed() == []


def test_the_same_erasure_again_changes_nothing(tmp_path: Path) -> None:
    one = prepare(GONE)
    with filled(tmp_path / "vault") as vault:
        for _ in range(2):
            erase(vault)
        (listed,) = vault.erasures.all()
        assert listed == (one.code, one.number, ORDER, AT + 5)
        assert [read.what for read in vault.reads(one.code, one.number)] == ["erased"]


def test_what_sqlite_leaves_in_a_page_is_found_and_written_over(tmp_path: Path) -> None:
    """As if `secure_delete` had missed a copy: the search is what the promise stands on."""
    folder = tmp_path / "vault"
    with filled(folder) as vault:
        hidden = hidden_of(folder)
        hidden = [value for value in hidden if value not in ciphertext_of(folder)]
        for connection in (vault._files.db, vault._files.keys):
            connection.execute("PRAGMA secure_delete = OFF").fetchall()
        erase(vault)
        assert left_of(folder, hidden) == []
        check_the_others(vault)


def ciphertext_of(folder: Path) -> list[bytes]:
    """Of the body: without its key it says nothing, wherever a copy of it may lie."""
    connection = apsw.Connection(str(folder / "bodies.db"))
    rows = list(connection.execute("SELECT body FROM cells WHERE id = ?", (cell_of(folder),)))
    connection.close()
    return [row[0] for row in rows]


def test_what_a_crash_left_to_be_finished_is_written_over_unseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows any more what to search for: then the files are written anew."""
    folder = tmp_path / "vault"
    vault = filled(folder)
    hidden = [value for value in hidden_of(folder) if value not in ciphertext_of(folder)]
    for connection in (vault._files.db, vault._files.keys):
        connection.execute("PRAGMA secure_delete = OFF").fetchall()
    monkeypatch.setattr(vault.erasures, "finish", crash)  # as kill -9 between the steps
    with pytest.raises(KeyboardInterrupt):
        erase(vault)
    monkeypatch.undo()
    vault.close()
    assert left_of(folder, hidden)
    with Vault.open(folder, VAULT_KEY) as again:
        assert left_of(folder, hidden) == []
        check_the_others(again)


def crash(_: object) -> None:
    raise KeyboardInterrupt


def test_the_copy_before_is_written_over_too(tmp_path: Path) -> None:
    """Whoever still has the old file open, or linked, finds nothing in it."""
    disk = tmp_path / "key-disk"
    disk.mkdir()
    with filled(tmp_path / "vault") as vault:
        vault.copy_keys(disk / "keys.db")
        (disk / ".keys.db.new").write_bytes((disk / "keys.db").read_bytes())
        (tmp_path / "seen").hardlink_to(disk / "keys.db")
        (tmp_path / "cut-off").hardlink_to(disk / ".keys.db.new")
        hidden = hidden_of(tmp_path / "vault")
        assert (tmp_path / "seen").read_bytes().strip(b"\x00")
        erase(vault)
    for name in ("seen", "cut-off"):
        assert not (tmp_path / name).read_bytes().strip(b"\x00")
    assert left_of(tmp_path, hidden) == []


def test_the_search_finds_every_piece_that_matters(tmp_path: Path) -> None:
    wrapped = bytes(range(60))
    for start in range(31):
        (tmp_path / "f").write_bytes(b"x" * start + wrapped[start % 17 :][:44] + b"y")
        whole = any(piece in wrapped[start % 17 :][:44] for piece in pieces_of(wrapped))
        assert is_left(tmp_path / "f", [wrapped]) == whole
    assert not is_left(tmp_path / "f", [])
    (tmp_path / "empty").touch()
    assert not is_left(tmp_path / "empty", [wrapped])
    longest = max(
        end - start
        for start in range(44)
        for end in range(start, 45)
        if not any(piece in wrapped[start:end] for piece in pieces_of(wrapped))
    )
    assert longest == 2 * PIECE_BYTES - 2 <= 44 - 14


def test_the_holders_own_copy_still_proves_itself(tmp_path: Path) -> None:
    one = prepare(GONE)
    with filled(tmp_path / "vault") as vault:
        mine = json.loads(vault.export(one.code, one.number))
        erase(vault)
        with pytest.raises(BodyErased):
            vault.export(one.code, one.number)
    leaves = [merkle.leaf_hash(disclosure_digest(text)) for text in mine["disclosures"]]
    assert merkle.root(leaves) == root_of(one), "the record's root, without any vault"
    assert parse_disclosure(mine["disclosures"][0]).path


AROUND = range(GONE - 2, GONE + 2)


@pytest.mark.parametrize("kind", ["vault", "archive"])
def test_a_power_cut_leaves_it_whole_or_erased(tmp_path: Path, kind: str) -> None:
    """At every instant of an erasure; afterwards it is as before, or nothing of it is left."""
    source = tmp_path / "source"
    make = filled if kind == "vault" else archived
    make(source, AROUND).close()
    hidden = [value for value in hidden_of(source) if value not in ciphertext_of(source)]
    untouched = erased = 0
    for image in images(tmp_path, source, kind, Random(4)):
        with reopened(image, kind) as kept:
            one = prepare(GONE)
            try:
                assert kept.get(one.code, one.number) == (one.body, one.secret)
                assert kept.erasures.all() == []
                untouched += 1
            except BodyErased:
                assert kept.erasures.all(unfinished=True) == []
                assert pieces_left(image, hidden) == []
                erased += 1
            check_the_others(kept, AROUND)
            erase(kept)
            assert pieces_left(image, hidden) == []
        shutil.rmtree(image)
    assert untouched >= 5 and erased >= 5, (untouched, erased)


def images(folder: Path, source: Path, kind: str, chance: Random) -> Iterator[Path]:
    """What a machine may find, for each instant of one erasure."""
    live, found = folder / "live", list[Path]()
    shutil.copytree(source, live)

    def cut(_: Instant) -> None:
        if chance.random() < 0.6:
            found.append(folder / f"cut-{len(found)}")
            disk.image(found[-1], chance)

    disk = Disk()
    with reopened(live, kind, vfs=disk.name) as kept:
        check_the_others(kept, AROUND)
        disk.before = cut
        erase(kept)
        disk.before = lambda _: None
    yield from found


def reopened(folder: Path, kind: str, *, vfs: str | None = None) -> Vault | Archive[object]:
    if kind == "vault":
        return Vault.open(folder, VAULT_KEY, vfs=vfs)
    return archived(folder, range(0), vfs=vfs)


def test_a_copy_of_the_keys_out_of_reach_keeps_an_erasure_unfinished(tmp_path: Path) -> None:
    disk, away, one = tmp_path / "key-disk", tmp_path / "away", prepare(GONE)
    disk.mkdir()
    with filled(tmp_path / "vault") as vault:
        vault.copy_keys(disk / "keys.db")
        hidden = hidden_of(tmp_path / "vault")
        disk.rename(away)
        with pytest.raises(FileNotFoundError, match="out of reach"):
            erase(vault)
        with pytest.raises(BodyErased):
            vault.get(one.code, one.number)
        assert [each.number for each in vault.erasures.all(unfinished=True)] == [one.number]
    with Vault.open(tmp_path / "vault", VAULT_KEY) as again:
        assert again.erasures.all(unfinished=True), "it opens, and owes this still"
        check_the_others(again)
    away.rename(disk)
    assert left_of(disk, hidden)
    with Vault.open(tmp_path / "vault", VAULT_KEY) as again:
        assert again.erasures.all(unfinished=True) == []
        assert again.erasures.copies() == [disk / "keys.db"]
        again.erasures.forget_copy(disk / "keys.db")
        assert again.erasures.copies() == []
    assert left_of(tmp_path, hidden) == []


def test_a_copy_of_the_keys_beside_the_vault_is_no_copy(tmp_path: Path) -> None:
    with filled(tmp_path / "vault") as vault, pytest.raises(ValueError, match="another disk"):
        vault.copy_keys(tmp_path / "vault" / "keys-2.db")


def test_a_file_that_is_being_read_keeps_an_erasure_unfinished(tmp_path: Path) -> None:
    one = prepare(GONE)
    with filled(tmp_path / "vault") as vault:
        hidden = hidden_of(tmp_path / "vault")
        reader = apsw.Connection(str(tmp_path / "vault" / "keys.db"))
        reading = reader.execute("BEGIN; SELECT secret FROM wrapped")
        next(reading)
        vault._files.keys.set_busy_timeout(1)
        with pytest.raises(Locked, match="being read"):
            erase(vault)
        with pytest.raises(BodyErased):
            vault.get(one.code, one.number)
        assert vault.erasures.all(unfinished=True)
        reader.close()
        erase(vault)
        assert vault.erasures.all(unfinished=True) == []
    assert left_of(tmp_path, hidden) == []


def test_root_and_secret_of_the_test_are_the_records(tmp_path: Path) -> None:
    """The tests above look for what is really there."""
    one = prepare(GONE)
    with filled(tmp_path / "vault") as vault:
        body, secret = vault.get(one.code, one.number)
    assert body_root(json.loads(body), secret) == root_of(one)
