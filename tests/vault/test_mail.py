"""A folder as a letter box: whole files, once, and nothing hostile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.vault import mail
from tallystick.vault.delivery import DELIVERY_BYTES_MAX


def test_what_is_posted_is_collected_until_it_is_removed(tmp_path: Path) -> None:
    for messages in ([b"one"], [b"two", b"three"], [b"one"]):
        mail.post_messages(tmp_path, messages)
    letters = list(mail.collect(tmp_path))
    found = [mail.unpack(letter.data) for letter in letters]
    assert sorted(found) == [[b"one"], [b"two", b"three"]], "the same file is one file"
    mail.remove(tmp_path, letters[:1])
    assert list(mail.collect(tmp_path)) == letters[1:]
    mail.remove(tmp_path, letters)
    assert list(mail.collect(tmp_path)) == []


def test_many_messages_are_a_few_files(tmp_path: Path) -> None:
    messages = [b"%d" % n for n in range(2_500)] + [
        bytes([n]) * DELIVERY_BYTES_MAX for n in range(3)
    ]
    mail.post_messages(tmp_path, messages)
    letters = list(mail.collect(tmp_path))
    assert max(len(letter.data) for letter in letters) <= mail.FILE_BYTES_MAX
    assert len(letters) < 8
    found = [message for letter in letters for message in mail.unpack(letter.data)]
    assert sorted(found) == sorted(messages)


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=9), st.binary(max_size=30))
def test_what_is_no_message_is_left_for_a_judge(messages: list[bytes], rest: bytes) -> None:
    packed = b"".join(b"%d\n" % len(each) + each for each in messages)
    assert mail.unpack(packed + rest) == messages + mail.unpack(rest)


@pytest.mark.parametrize(
    "data", [b"x", b"9\nshort", b"-1\n", b"0\n", b"\n", b"999999999\nx", b"1 \nx", b"\xb2\nxx"]
)
def test_a_file_that_is_none_is_one_piece(data: bytes) -> None:
    assert mail.unpack(data) == [data]


def test_a_file_that_is_not_whole_is_not_there(tmp_path: Path) -> None:
    path = mail.post(tmp_path, b"message", "a.sealed")
    left = tmp_path / f".{path.name}.new"
    path.rename(left)
    left.write_bytes(b"mess")
    assert list(mail.collect(tmp_path)) == []
    assert mail.post(tmp_path, b"message", "a.sealed").read_bytes() == b"message"


def test_links_and_folders_are_no_letters_and_long_files_are_cut(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (tmp_path / "a.sealed").symlink_to(secret)
    with (tmp_path / "b.sealed").open("wb") as file:
        file.truncate(2 * mail.FILE_BYTES_MAX)
    (tmp_path / "c.sealed").mkdir()
    os.mkfifo(tmp_path / "d.sealed")
    (letter,) = mail.collect(tmp_path)
    assert len(letter.data) == mail.FILE_BYTES_MAX + 1, "enough to be refused, not more"


def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    assert mail.post(tmp_path, b"x", "name.tx").stat().st_mode & 0o077 == 0
