"""Letters over a real socket: durable before 204, to whom they are for and nobody else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import httpx2
import pytest
from letterboxes import Served
from vaults import prepare, send

from tallystick.client.failures import Away, Missing
from tallystick.client.post import collect_letters, open_box, post, post_letters
from tallystick.client.signing import SignedBy
from tallystick.keyring import delivery_key_from_seed, signer_from_seed
from tallystick.protocol.canonical import encode
from tallystick.protocol.errors import Busy, Malformed, Rejected
from tallystick.vault import mail
from tallystick.vault.letterbox import LetterBox, Room, address_id, keep
from tallystick.web.letters import OPENED_EACH_MAX, letterbox_app

AT = 1_768_181_467
ARCHIVE = delivery_key_from_seed(sha256(b"archive").digest())
WALLET = delivery_key_from_seed(sha256(b"wallet").digest())
OWNER = signer_from_seed(sha256(b"owner").digest(), name="owner")
OTHER = signer_from_seed(sha256(b"other").digest(), name="other")
BOX = address_id(WALLET.public_key)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    box = LetterBox(
        tmp_path / "box",
        prepare(1).network,
        lambda: {ARCHIVE.public_key},
        members_room=Room(3, 10**9),
    )
    with Served(box, AT) as running:
        yield running


def letters(*seeds: int, to: bytes = ARCHIVE.public_key) -> bytes:
    return b"".join(mail.packed([send(prepare(seed), seed, to) for seed in seeds]))


def test_a_post_is_on_the_disk_before_it_is_answered(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noting(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noting)
    post_letters(served.client(), letters(1, 2))
    (letter,) = mail.collect(served.box.folder)
    assert len(mail.unpack(letter.data)) == 2
    assert any(letter.path.name in each for each in synced)
    assert str(served.box.folder) in synced, "its name too"


def test_the_same_post_again_is_one_letter(served: Served) -> None:
    client, data = served.client(), letters(1)
    for _ in range(3):
        post_letters(client, data)
    assert [each.data for each in mail.collect(served.box.folder)] == [data]


def test_a_server_that_is_away_has_nothing_and_gets_it_when_it_is_back(served: Served) -> None:
    client, data = served.client(), letters(1)
    served.stop()
    with pytest.raises(Away):
        client.once(post(data), 5)
    served.start()
    post_letters(client, data)
    assert len(list(mail.collect(served.box.folder))) == 1


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (letters(1, to=WALLET.public_key), Rejected),
        (b"rubbish", Malformed),
        (letters(1)[:-1], Malformed),
    ],
)
def test_what_is_refused_says_why_and_leaves_nothing(
    served: Served, data: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        post_letters(served.client(), data)
    if isinstance(caught.value, Rejected):
        assert (caught.value.reason, caught.value.path) == ("letters.unknown_receiver", "0/to")
    assert list(mail.collect(served.box.folder)) == []


def test_a_full_box_says_when_to_come_again(served: Served) -> None:
    client = served.client()
    for seed in range(1, 4):
        post_letters(client, letters(seed))
    with pytest.raises(Busy) as caught:
        post_letters(client, letters(4))
    assert caught.value.retry_after_seconds == 60


def test_what_is_too_large_is_refused_unread(served: Served) -> None:
    body = b"x" * (mail.FILE_BYTES_MAX + 1)
    headers = {"content-type": "application/octet-stream"}
    with httpx2.Client() as client:
        response = client.post(f"{served.url}/api/v1/deliveries", content=body, headers=headers)
    assert response.status_code == 413
    assert list(mail.collect(served.box.folder)) == []


def test_a_wallet_collects_its_letters_and_leaves_none(served: Served, tmp_path: Path) -> None:
    wallet = served.client(OWNER)
    assert open_box(wallet, WALLET.public_key) == open_box(wallet, WALLET.public_key) == BOX
    sent = [letters(seed, to=WALLET.public_key) for seed in range(5)]
    for data in sent:
        post_letters(served.client(), data)
    got: list[bytes] = []

    def keep_it(name: str, data: bytes) -> None:
        keep(tmp_path / "mine", name, data)
        got.append(data)

    assert collect_letters(wallet, BOX, keep_it) == 5
    assert sorted(got) == sorted(sent)
    assert collect_letters(wallet, BOX, keep_it) == 0
    assert len(list(mail.collect(tmp_path / "mine"))) == 5


def test_a_wallet_that_dies_before_it_kept_a_letter_finds_it_again(served: Served) -> None:
    wallet = served.client(OWNER)
    open_box(wallet, WALLET.public_key)
    post_letters(served.client(), letters(1, to=WALLET.public_key))

    def dies(name: str, data: bytes) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect_letters(wallet, BOX, dies)
    assert collect_letters(wallet, BOX, lambda name, data: None) == 1


def test_nobody_else_gets_at_a_box(served: Served) -> None:
    open_box(served.client(OWNER), WALLET.public_key)
    post_letters(served.client(), letters(1, to=WALLET.public_key))
    thief = served.client(OTHER)
    with pytest.raises(Rejected) as caught:
        open_box(thief, WALLET.public_key)
    assert caught.value.reason == "letters.box_taken"
    with pytest.raises(Missing) as missing:
        collect_letters(thief, BOX, lambda name, data: None)
    assert missing.value.reason == "letters.no_box"
    for path in (f"/api/v1/boxes/{BOX}", f"/api/v1/boxes/{BOX}/{'0' * 64}.sealed"):
        with httpx2.Client() as client:
            response = client.get(served.url + path)
        assert (response.status_code, response.json()["code"]) == (401, "web.unsigned")
    served.now += 3_600
    assert collect_letters(served.client(OWNER), BOX, lambda name, data: None) == 1


def test_one_client_opens_no_more_boxes_than_a_wallet_has_use_for(served: Served) -> None:
    """Any key may open one, and there is room for so many: one flood would close them to all."""

    def opened(n: int) -> httpx2.Response:
        key, auth = sha256(b"%d" % n).digest(), SignedBy(OWNER, lambda: served.now)
        body = encode({"delivery_key": key})
        headers = {"content-type": "application/json"}
        return http.post("/api/v1/boxes", content=body, headers=headers, auth=auth)

    with httpx2.Client(base_url=served.url, trust_env=False) as http:
        for n in range(OPENED_EACH_MAX):
            assert opened(n).status_code == 200
        refused = opened(OPENED_EACH_MAX)
        assert refused.status_code == 503 and int(refused.headers["retry-after"]) > 60
        assert opened(0).status_code == 200, "what is open stays so"
    assert len(list((served.box.folder / "wallets").iterdir())) == OPENED_EACH_MAX


def test_without_a_verifier_no_box_of_a_wallet_is_there(tmp_path: Path) -> None:
    box = LetterBox(tmp_path, prepare(1).network, lambda: {ARCHIVE.public_key})
    with Served(box, AT, app=letterbox_app(box, None, version="test")) as running:
        with pytest.raises(Missing):
            open_box(running.client(OWNER), WALLET.public_key)
        post_letters(running.client(), letters(1))
    assert len(list(mail.collect(tmp_path))) == 1
