"""The node's side of the socket, spoken to by hand: answers, notes, moments, nonsense."""

from __future__ import annotations

import socket
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from world import until

from tallystick.contracts.kit.reasons import LedgerReason
from tallystick.ledger.engine import Committed
from tallystick.protocol.canonical import decode
from tallystick.protocol.errors import Busy, Rejected, VerificationFailed
from tallystick.web.frames import SOCKET, Failed, Frame, Kind, Told, Unpacker, pack
from tallystick.web.hub import PIN_SECONDS_MAX, Hub


class Desk:
    """What the hub asks of its node: an engine whose answers a test gives, notes, offers."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[tuple[bytes, Future[Committed]]] = []
        self.offered: list[bytes] = []
        self.notes = {10: b"ten", 20: b"twenty"}
        self.busy = False
        self.hub = Hub(
            folder,
            submit=self._submit,
            offer=self._offer,
            note=lambda size: self.notes[size],
            sizes=lambda: sorted([*self.notes, 30]),  # 30 is forgotten meanwhile
        )
        self.path = str(folder / SOCKET)

    def _submit(self, data: bytes) -> Future[Committed]:
        if self.busy:
            raise Busy(0.5)
        future: Future[Committed] = Future()
        self.asked.append((data, future))
        return future

    def _offer(self, note: bytes) -> None:
        if note != b"good":
            raise VerificationFailed("no line of a live keeper")
        self.offered.append(note)

    def answer(self, n: int) -> None:
        self.asked[n][1].set_result(Committed("00" * 32, n, ("accepted",), 1, 1))


class Peer:
    """A worker's end."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(5)
        self.socket.connect(path)
        self._frames = Unpacker()
        self._found: list[Frame] = []

    def send(self, *frames: bytes) -> None:
        self.socket.sendall(b"".join(frames))

    def read(self, *kinds: Kind) -> Frame:
        """The next frame of one of these kinds; others are passed over."""
        while True:
            while self._found:
                frame = self._found.pop(0)
                if frame.kind in kinds:
                    return frame
            data = self.socket.recv(65_536)
            assert data, "the hub has closed"
            self._found += self._frames.feed(data)

    def closed(self) -> bool:
        while data := self.socket.recv(65_536):
            self._found += self._frames.feed(data)
        return True


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.hub.close()


@pytest.fixture
def peer(desk: Desk) -> Iterator[Peer]:
    peer = Peer(desk.path)
    yield peer
    peer.socket.close()


def test_the_socket_is_its_owners_alone_and_goes_with_the_hub(tmp_path: Path) -> None:
    (tmp_path / SOCKET).touch()  # left by one that was killed
    desk = Desk(tmp_path)
    mode = (tmp_path / SOCKET).stat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
    peer = Peer(desk.path)
    assert peer.read(Kind.NOTE).number == 10
    desk.hub.close()
    assert peer.closed() and not (tmp_path / SOCKET).exists()
    peer.socket.close()


def test_who_comes_is_told_the_notes_that_there_are(peer: Peer, desk: Desk) -> None:
    assert [peer.read(Kind.NOTE)[1:] for _ in range(2)] == [(10, b"ten"), (20, b"twenty")]
    desk.notes[40] = b"forty"
    desk.hub.publish(40)
    desk.hub.publish(41)  # of which there is none any more
    desk.hub.publish(40)
    assert [peer.read(Kind.NOTE).number for _ in range(2)] == [40, 40]


def test_each_is_answered_by_its_own_number_in_whatever_order(peer: Peer, desk: Desk) -> None:
    peer.send(*(pack(Kind.SUBMIT, 100 + n, b"tx %d" % n) for n in range(50)))
    until(lambda: len(desk.asked) == 50)
    assert [data for data, _ in desk.asked] == [b"tx %d" % n for n in range(50)]
    for n in reversed(range(50)):
        desk.answer(n)
    told = [peer.read(Kind.ANSWER) for _ in range(50)]
    assert {each.number: decode(each.payload, Told).first for each in told} == {
        100 + n: n for n in range(50)
    }


def test_failures_go_back_as_what_they_are(peer: Peer, desk: Desk) -> None:
    peer.send(pack(Kind.SUBMIT, 1, b"a"), pack(Kind.SUBMIT, 2, b"b"))
    until(lambda: len(desk.asked) == 2)
    desk.asked[0][1].set_exception(Rejected(LedgerReason.EXPIRED, "long ago"))
    desk.asked[1][1].set_exception(KeyError("a bug of ours"))
    found = [decode(peer.read(Kind.FAILED).payload, Failed) for _ in range(2)]
    assert (found[0].reason, found[0].detail) == ("ledger.expired", "long ago")
    assert found[1].name == "Stopped"
    desk.busy = True
    peer.send(pack(Kind.SUBMIT, 3, b"c"))
    busy = peer.read(Kind.FAILED)
    assert (busy.number, decode(busy.payload, Failed).retry_after_milliseconds) == (3, 500)


def test_a_cosignature_is_offered_and_answered(peer: Peer, desk: Desk) -> None:
    peer.send(pack(Kind.COSIGNED, 7, b"good"), pack(Kind.COSIGNED, 8, b"bad"))
    assert peer.read(Kind.ANSWER).number == 7
    refused = peer.read(Kind.FAILED)
    assert (refused.number, decode(refused.payload, Failed).name) == (8, "VerificationFailed")
    assert desk.offered == [b"good"]


def test_the_writer_waits_for_those_that_hold_a_moment_and_not_long(desk: Desk) -> None:
    peers = [Peer(desk.path) for _ in range(3)]
    for peer in peers:
        peer.send(pack(Kind.READY))
    until(lambda: desk.hub.workers == 3)

    def hold(peer: Peer) -> None:
        for kind in (Kind.PIN, Kind.DROP):
            frame = peer.read(kind)
            peer.send(pack(Kind.PINNED, frame.number))

    threads = [threading.Thread(target=hold, args=(peer,)) for peer in peers]
    for each in threads:
        each.start()
    desk.hub.pin(25)
    desk.hub.drop()
    for each in threads:
        each.join(5)
        assert not each.is_alive()
    started = time.monotonic()
    desk.hub.pin(26)  # nobody answers: they hang
    assert PIN_SECONDS_MAX * 0.5 <= time.monotonic() - started < PIN_SECONDS_MAX * 20
    for peer in peers:
        peer.socket.close()
    until(lambda: desk.hub.workers == 0)
    started = time.monotonic()
    desk.hub.pin(27)  # nobody is there
    assert time.monotonic() - started < PIN_SECONDS_MAX


def test_a_late_answer_counts_for_no_later_moment(desk: Desk, peer: Peer) -> None:
    peer.send(pack(Kind.READY))
    until(lambda: desk.hub.workers == 1)
    desk.hub.pin(1)
    peer.send(pack(Kind.PINNED, 1))
    time.sleep(0.1)
    started = time.monotonic()
    desk.hub.pin(2)
    assert time.monotonic() - started >= PIN_SECONDS_MAX * 0.5, "it took the late one for this"


def test_who_speaks_nonsense_is_sent_away_and_others_are_served(desk: Desk, peer: Peer) -> None:
    other = Peer(desk.path)
    other.send(b"\xff" * 100)
    assert other.closed()
    other.socket.close()
    peer.send(pack(200, 1, b"of another version"), pack(Kind.SUBMIT, 1, b"a"))  # type: ignore[arg-type]  # no kind of ours
    until(lambda: len(desk.asked) == 1)
    desk.answer(0)
    assert peer.read(Kind.ANSWER).number == 1


def test_who_is_gone_when_its_answer_comes_disturbs_nobody(desk: Desk, peer: Peer) -> None:
    gone = Peer(desk.path)
    gone.send(pack(Kind.SUBMIT, 1, b"a"), pack(Kind.FIGURES_SENT, 0, b"{}"))
    until(lambda: len(desk.asked) == 1 and len(desk.hub.worker_figures) == 1)
    gone.socket.close()
    until(lambda: not desk.hub.worker_figures)
    peer.send(pack(Kind.SUBMIT, 5, b"b"))
    until(lambda: len(desk.asked) == 2)
    desk.answer(0)
    desk.answer(1)
    assert peer.read(Kind.ANSWER).number == 5


def test_figures_go_both_ways(desk: Desk, peer: Peer) -> None:
    assert peer.read(Kind.NOTE).number == 10  # it has joined
    desk.hub.tell_figures(b'{"block":1}')
    assert peer.read(Kind.FIGURES).payload == b'{"block":1}'
    peer.send(pack(Kind.FIGURES_SENT, 0, b'{"a":1}'))
    until(lambda: list(desk.hub.worker_figures.values()) == [b'{"a":1}'])
