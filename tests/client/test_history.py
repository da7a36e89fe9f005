"""What a client knows of the log, against logs in memory that are honest, or are not."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import signer

from tallystick.client.failures import Equivocation
from tallystick.client.history import EVIDENCE, KNOWN, PROOF, History, Seen
from tallystick.client.wire import Call
from tallystick.durable import Locked
from tallystick.protocol import merkle, tiles
from tallystick.protocol.checkpoint import Checkpoint, format_checkpoint, format_note, sign_note
from tallystick.protocol.equivocation import policy_keys, verify_equivocation
from tallystick.protocol.errors import Damaged, VerificationFailed
from tallystick.protocol.trust import TrustPolicy

ORIGIN = "example/log"


def policy(*log_keys: str) -> TrustPolicy:
    return TrustPolicy(
        format="tallystick/trust/v1",
        version=1,
        network=bytes(32),
        origin=ORIGIN,
        log_keys=[signer(name).public_key for name in log_keys or ("log",)],
        keepers=[],
        threshold=0,
        required=[],
        status_max_age_seconds=3600,
    )


class Log:
    """A log in memory that answers for tiles; `forked_at`: other leaves from there on."""

    def __init__(self, size: int, forked_at: int | None = None) -> None:
        self.size = size
        self.leaves = [
            sha256(b"%d%s" % (n, b"other" if forked_at is not None and n >= forked_at else b""))
            .digest()
            for n in range(size)
        ]  # fmt: skip
        self.asked: list[str] = []

    def note(self, size: int | None = None, key: str = "log") -> bytes:
        size = self.size if size is None else size
        text = format_checkpoint(Checkpoint(ORIGIN, size, merkle.root(self.leaves[:size])))
        return format_note(text, [sign_note(text, ORIGIN, signer(key))]).encode()

    def answer(self, call: Call[Any]) -> bytes:
        """The tile of this path, as a log of the largest size has it."""
        self.asked.append(call.path)
        _, level, rest = call.path.removeprefix("/").split("/", 2)
        name, _, width = rest.partition(".p/")
        index = int("".join(each.removeprefix("x") for each in name.split("/")))
        hashes = self.leaves
        for _ in range(int(level)):
            whole = len(hashes) - len(hashes) % 256
            hashes = [merkle.root(hashes[at : at + 256]) for at in range(0, whole, 256)]
        return b"".join(hashes[256 * index :][: int(width or 256)])


def examine(history: History, note: bytes, log: Log) -> Seen:
    steps = history.examine(note)
    answer: bytes | None = None
    try:
        while True:
            call = next(steps) if answer is None else steps.send(answer)
            answer = log.answer(call)
    except StopIteration as end:
        seen: Seen = end.value
        return seen


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "log", policy())


@given(
    sizes=st.lists(st.integers(0, 70_000), min_size=1, max_size=5),
)
def test_every_checkpoint_of_one_log_is_of_its_history(
    sizes: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    log = Log(max(sizes))
    with History(tmp_path_factory.mktemp("log"), policy()) as history:
        newest = -1
        for size in sizes:
            seen = examine(history, log.note(size), log)
            assert seen.stale == (size < newest)
            newest = max(newest, size)
            assert history.newest is not None and history.newest.size == newest


def test_a_log_that_grew_costs_a_tile_or_two(history: History) -> None:
    log = Log(70_000)
    examine(history, log.note(69_900), log)
    log.asked.clear()
    examine(history, log.note(69_950), log)
    assert len(log.asked) <= 2
    log.asked.clear()
    examine(history, log.note(69_950), log)
    examine(history, log.note(69_900), log)
    assert log.asked == []


def test_it_is_remembered_over_a_restart(history: History, tmp_path: Path) -> None:
    log = Log(1_000)
    examine(history, log.note(), log)
    with pytest.raises(Locked):
        History(tmp_path / "log", policy())
    history.close()
    assert (tmp_path / "log" / KNOWN).stat().st_mode & 0o777 == 0o600
    with History(tmp_path / "log", policy()) as again:
        assert again.newest is not None and again.newest.size == 1_000
        with pytest.raises(Equivocation):
            examine(again, Log(1_000, 10).note(), log)


@pytest.mark.parametrize(("known", "shown"), [(700, 700), (700, 900), (900, 700), (255, 256)])
def test_two_histories_are_proven_and_stop_everything(
    history: History, tmp_path: Path, known: int, shown: int
) -> None:
    log, fork = Log(known), Log(shown, forked_at=100)
    examine(history, log.note(), log)
    with pytest.raises(Equivocation) as stopped:
        examine(history, fork.note(), fork if shown > known else log)
    assert stopped.value.proof == tmp_path / "log" / PROOF
    found = verify_equivocation(stopped.value.proof.read_bytes(), policy_keys(policy()))
    assert found.signer.name == ORIGIN
    history.close()
    with History(tmp_path / "log", policy()) as again, pytest.raises(Equivocation):
        examine(again, log.note(), log)


def test_two_histories_by_two_keys_of_one_log_stop_it_too(tmp_path: Path) -> None:
    with History(tmp_path / "log", policy("log", "second")) as history:
        examine(history, Log(700).note(), Log(700))
        with pytest.raises(Equivocation) as stopped:
            examine(history, Log(700, 1).note(key="second"), Log(700, 1))
        assert stopped.value.proof.name == EVIDENCE
        assert stopped.value.proof.read_bytes().count(ORIGIN.encode()) == 4


def test_tiles_that_are_not_the_logs_are_no_contradiction(history: History) -> None:
    """Whoever serves them may lie: the log has signed nothing of it."""
    log = Log(700)
    examine(history, log.note(), log)
    grown = Log(900)
    with pytest.raises(VerificationFailed):
        examine(history, grown.note(), Log(900, forked_at=200))
    history.guard()
    assert history.newest is not None and history.newest.size == 700
    examine(history, grown.note(), grown)


@pytest.mark.parametrize("key", ["stranger", "keeper"])
def test_a_note_of_nobody_is_not_looked_at(history: History, key: str) -> None:
    log = Log(10)
    with pytest.raises(VerificationFailed):
        examine(history, log.note(key=key), log)
    assert log.asked == [] and history.newest is None


def test_a_file_that_is_not_ours_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / KNOWN).write_bytes(b"{}")
    with pytest.raises(Damaged, match=KNOWN):
        History(folder, policy())


def test_the_edge_that_is_kept_is_that_of_the_newest(history: History) -> None:
    log = Log(70_000)
    examine(history, log.note(), log)
    assert len(log.asked) == len(tiles.edge_tiles(70_000))
