"""A letterbox takes what is for its receivers, durably, and gives it to them alone."""

from __future__ import annotations

import errno
import os
from hashlib import sha256
from pathlib import Path

import pytest
from vaults import prepare, send

from tallystick.keyring import DeliveryKey, delivery_key_from_seed, signer_from_seed
from tallystick.protocol.errors import Busy, Malformed, Rejected
from tallystick.vault import letterbox, mail
from tallystick.vault.delivery import DELIVERY_BYTES_MAX
from tallystick.vault.letterbox import LetterBox, LetterReason, Room, Waiting, address_id, keep


def key_of(name: str) -> DeliveryKey:
    return delivery_key_from_seed(sha256(name.encode()).digest())


ARCHIVE, WALLET = key_of("archive"), key_of("wallet")
OWNER = signer_from_seed(sha256(b"owner").digest()).public_key
OTHER = signer_from_seed(sha256(b"other").digest()).public_key
NETWORK = prepare(1).network
BOX = address_id(WALLET.public_key)


@pytest.fixture
def box(tmp_path: Path) -> LetterBox:
    return LetterBox(tmp_path / "box", NETWORK, lambda: {ARCHIVE.public_key})


def packed(*messages: bytes) -> bytes:
    return b"".join(mail.packed(messages))


def letter(seed: int = 1, to: DeliveryKey = ARCHIVE, **head: object) -> bytes:
    return send(prepare(seed), seed, to.public_key, **head)


def refusal(box: LetterBox, data: bytes) -> tuple[object, str]:
    with pytest.raises(Rejected) as caught:
        box.take(data)
    assert not list(box.folder.rglob("*.sealed"))
    return caught.value.reason, caught.value.path


def test_letters_lie_in_the_box_of_their_receiver(box: LetterBox) -> None:
    box.open_box(WALLET.public_key, OWNER)
    ours, theirs = [letter(1), letter(2)], letter(3, WALLET)
    box.take(packed(ours[0], theirs, ours[1]))
    (mine,) = mail.collect(box.folder)
    assert mail.unpack(mine.data) == ours
    ((name, size),) = box.waiting(BOX, OWNER)
    data = box.letter(BOX, name, OWNER)
    assert (mail.unpack(data), size) == ([theirs], len(data))


def test_the_same_file_again_changes_nothing(box: LetterBox) -> None:
    data = packed(letter(1), letter(2))
    box.take(data)
    before = [each.path.stat().st_mtime_ns for each in mail.collect(box.folder)]
    box.take(data)
    assert [each.path.stat().st_mtime_ns for each in mail.collect(box.folder)] == before


def test_nothing_is_taken_for_a_stranger(box: LetterBox) -> None:
    data = packed(letter(1), letter(2, WALLET))
    assert refusal(box, data) == (LetterReason.UNKNOWN_RECEIVER, "1/to")


def test_a_key_that_was_exchanged_receives_until_it_is_named_no_more(tmp_path: Path) -> None:
    keys = {ARCHIVE.public_key, key_of("new").public_key}
    box = LetterBox(tmp_path, NETWORK, lambda: keys)
    box.take(packed(letter(1)))
    keys.remove(ARCHIVE.public_key)
    with pytest.raises(Rejected) as caught:
        box.take(packed(letter(2)))
    assert caught.value.reason is LetterReason.UNKNOWN_RECEIVER


def test_nothing_is_taken_of_another_network(box: LetterBox) -> None:
    data = packed(letter(1, network=bytes(32)))
    assert refusal(box, data) == (LetterReason.OTHER_NETWORK, "0/network")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"rubbish",
        b"5\nabcd",
        b"05\nabcde",
        packed(letter(1)) + b"x",
        packed(letter(1), b"no delivery"),
        b"3\nabc",
        b"1" * (mail.FILE_BYTES_MAX + 1),
        b"%d\n" % (DELIVERY_BYTES_MAX + 1) + b"x" * (DELIVERY_BYTES_MAX + 1),
    ],
)
def test_what_is_no_file_of_deliveries(box: LetterBox, data: bytes) -> None:
    with pytest.raises(Malformed):
        box.take(data)
    assert not list(box.folder.rglob("*.sealed"))


def test_a_full_box_takes_nothing_and_says_when(tmp_path: Path) -> None:
    size = len(letter(1))
    keys = {ARCHIVE.public_key}
    by_files = LetterBox(tmp_path / "a", NETWORK, lambda: keys, members_room=Room(1, 10**9))
    by_bytes = LetterBox(tmp_path / "b", NETWORK, lambda: keys, members_room=Room(9, size + 100))
    for box in (by_files, by_bytes):
        box.take(packed(letter(1)))
        with pytest.raises(Busy) as caught:
            box.take(packed(letter(2)))
        assert caught.value.retry_after_seconds == letterbox.FULL_SECONDS
        mail.remove(box.folder, list(mail.collect(box.folder)))
        box.take(packed(letter(2)))


def test_no_box_is_touched_when_one_is_full(tmp_path: Path) -> None:
    keys = {ARCHIVE.public_key}
    box = LetterBox(tmp_path, NETWORK, lambda: keys, wallets_room=Room(0, 10**9))
    box.open_box(WALLET.public_key, OWNER)
    with pytest.raises(Busy):
        box.take(packed(letter(1), letter(2, WALLET)))
    assert not list(tmp_path.rglob("*.sealed"))


def test_a_full_disk_is_told_and_the_letter_is_tried_again(
    box: LetterBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Busy):
        box.take(packed(letter(1)))
    monkeypatch.undo()
    box.take(packed(letter(1)))
    assert len(list(mail.collect(box.folder))) == 1


# --------------------------------------------------------------------------- wallets' boxes


def test_only_whoever_opened_a_box_gets_letters_out_of_it(box: LetterBox) -> None:
    assert box.open_box(WALLET.public_key, OWNER) == BOX
    assert box.open_box(WALLET.public_key, OWNER) == BOX
    box.take(packed(letter(1, WALLET)))
    ((name, _),) = box.waiting(BOX, OWNER)
    with pytest.raises(Rejected) as caught:
        box.open_box(WALLET.public_key, OTHER)
    assert caught.value.reason is LetterReason.BOX_TAKEN
    for ask in (
        lambda: box.waiting(BOX, OTHER),
        lambda: box.letter(BOX, name, OTHER),
        lambda: box.taken(BOX, name, OTHER),
        lambda: box.waiting("0" * 32, OWNER),
    ):
        with pytest.raises(Rejected) as caught:
            ask()
        assert (caught.value.reason, caught.value.path) == (LetterReason.NO_BOX, "address")
    assert len(box.waiting(BOX, OWNER)) == 1


def test_a_letter_that_was_taken_is_gone(box: LetterBox) -> None:
    box.open_box(WALLET.public_key, OWNER)
    box.take(packed(letter(1, WALLET)))
    ((name, _),) = box.waiting(BOX, OWNER)
    box.taken(BOX, name, OWNER)
    box.taken(BOX, name, OWNER)
    assert box.waiting(BOX, OWNER) == []
    with pytest.raises(Rejected) as caught:
        box.letter(BOX, name, OWNER)
    assert caught.value.reason is LetterReason.NO_LETTER


@pytest.mark.parametrize(
    "name", ["..", "../lock", "", "a/b", "." * 32, "A" * 32, "0" * 31, "ö" * 32]
)
def test_no_name_of_a_box_leads_elsewhere(box: LetterBox, name: str) -> None:
    with pytest.raises(Rejected) as caught:
        box.waiting(name, OWNER)
    assert caught.value.reason is LetterReason.NO_BOX


@pytest.mark.parametrize("name", [".owner", "../x", "", "0" * 64, "0" * 64 + ".tx", "x.sealed"])
def test_no_name_of_a_letter_leads_elsewhere(box: LetterBox, name: str) -> None:
    box.open_box(WALLET.public_key, OWNER)
    for ask in (box.letter, box.taken):
        with pytest.raises(Rejected) as caught:
            ask(BOX, name, OWNER)
        assert caught.value.reason is LetterReason.NO_LETTER
    assert (box.folder / letterbox.WALLETS / BOX / letterbox.OWNER).exists()


def test_there_are_only_so_many_boxes(tmp_path: Path) -> None:
    box = LetterBox(tmp_path, NETWORK, set, boxes_max=2)
    for n in range(2):
        box.open_box(key_of(f"{n}").public_key, OWNER)
    with pytest.raises(Busy):
        box.open_box(WALLET.public_key, OWNER)
    assert box.open_box(key_of("0").public_key, OWNER) == address_id(key_of("0").public_key)


def test_a_box_that_an_office_made_is_opened_by_its_wallet(box: LetterBox) -> None:
    folder = box.folder / letterbox.WALLETS / BOX
    folder.mkdir(parents=True)
    mail.post_messages(folder, [letter(1, WALLET)])
    box.open_box(WALLET.public_key, OWNER)
    assert [type(each) for each in box.waiting(BOX, OWNER)] == [Waiting]


def test_what_was_fetched_is_kept_under_its_own_name(tmp_path: Path) -> None:
    data = packed(letter(1))
    name = mail.name_of(data)
    for _ in range(2):
        keep(tmp_path / "mine", name, data)
    assert [each.data for each in mail.collect(tmp_path / "mine")] == [data]
    with pytest.raises(Malformed):
        keep(tmp_path / "mine", name, data + b"x")
