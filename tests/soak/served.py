"""The province's worst minute for as long as one likes, over HTTP, with all that goes on beside it.

A real `tally serve`, two real `tally keep` (the one that is not required is stopped and started
again), members by the SDK, followers, readers, hooks, backups, and kills -9 of workers and of the
whole server while the load goes on. See docs/guides/operations.md.

Invariant: what was not foreseen ends the soak with its seed; latencies and memory are judged last.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soak.measured import Meter, size_of
from soak.members_child import Ended
from soak.running import TALLY, Running, child, free_port
from soak.served_end import check_all, check_folders
from soak.served_plan import KEEPERS, Setting, found, key_file, mandates_until, now
from soak.verdict import Verdict
from soak.watchers_child import Watched

from tallystick.protocol.canonical import decode, encode

Say = Callable[[str], None]
CONFIG = """
[listen]
workers = {workers}
[webhooks]
private_addresses = true
[check]
asked_per_hour = 1000000
[logs]
requests = false
"""
TICK_SECONDS = 0.2
SAMPLES = 120
"""Of a run, at least one a second apart."""
KEEPER_EVERY = 600
"""Seconds in which the keeper that is not required is away once, for a fifth of them."""
BACKUP_EVERY = 300
DEAD_EVERY = 120
REVERSAL_WAIT_SECONDS = 120
"""Who answers in time does so though the server was killed meanwhile."""
PATIENT_SECONDS_MIN = 240
"""A shorter run has no refunds that nobody answers."""
CALM_SECONDS = 5.0
"""After a kill, once requests are answered again, until latencies count as undisturbed."""
FOLLOW_SECONDS_MAX = 120
AWAY, BACK = 0.3, 0.5


@dataclass(frozen=True, slots=True)
class Options:
    """How much of it."""

    seconds: int = 3_600
    rate: int = 300
    reads: int = 40
    workers: int = 2
    kills: int = 0
    p99_seconds_max: float = 1.0
    flat: bool = True
    """Whether memory is judged: a run of minutes only fills caches."""


class Served:
    """One run."""

    def __init__(self, folder: Path, seed: int, options: Options, say: Say) -> None:
        self.folder, self.seed, self.options, self._say = folder, seed, options, say
        self.node = folder / "node"
        self.counted: Counter[str] = Counter()
        self.meter = Meter()
        self.disturbed: list[tuple[float, float]] = []
        self._load: list[Running] = []
        self._size = 0
        self._backups = 0

    def run(self) -> Verdict:
        """All of it, and what it came to."""
        at = now()
        opened = found(self.node, self.seed, at, REVERSAL_WAIT_SECONDS)
        (self.node / "tally.toml").write_text(CONFIG.format(workers=self.options.workers))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        setting = Setting(
            url=self.url, seed=self.seed, network=opened.trust.network, trust=opened.trust,
            begins=opened.size, mandates_until=mandates_until(at), rate=self.options.rate,
            seconds=self.options.seconds, reads=self.options.reads,
            reversal_wait=(
                REVERSAL_WAIT_SECONDS if self.options.seconds >= PATIENT_SECONDS_MIN else 0
            ),
            dead_every=min(DEAD_EVERY, max(self.options.seconds // 2, 6)),
        )  # fmt: skip
        path = self.folder / "setting.json"
        path.write_bytes(encode(setting))
        with ExitStack() as stack:
            self._start(stack, port, setting)
            self.members = child(stack, "members", self.folder, path)
            self.watchers = child(stack, "watchers", self.folder, path)
            self._load = [self.members, self.watchers]
            self._soak()
            ended = self._finish()
        self._say("every transaction, every fen, every event")
        self.counted.update(check_all(self.folder, self.node, opened.size))
        self._say("doctor")
        copies = [self.folder / "backup"] if (self.folder / "backup").exists() else []
        check_folders([self.node, *(self._keeper_folder(name) for name in KEEPERS), *copies])
        return self._judge(ended)

    # ------------------------------------------------------------------------------ the parts

    def _start(self, stack: ExitStack, port: int, setting: Setting) -> None:
        command = [*TALLY, "serve", str(self.node), "--listen", f"127.0.0.1:{port}"]
        self.server = Running("serve", command, self.folder)
        stack.callback(self.server.close)
        self.server.start("http://")
        self.keepers = dict[str, Running]()
        for name in KEEPERS:
            command = [*TALLY, "keep", "--from", self.url, "--json"]
            command += ["--dir", str(self._keeper_folder(name))]
            command += ["--key", str(key_file(self.node, name))]
            command += ["--network", setting.network.hex()]
            keeper = Running(name.replace("/", "-"), command, self.folder)
            stack.callback(keeper.close)
            keeper.start("")
            self.keepers[name] = keeper
        command = [*TALLY, "backup", str(self.node), str(self.folder / "backup.new"), "--json"]
        self._backup = Running("backup", command, self.folder)
        stack.callback(self._backup.close)

    def _keeper_folder(self, name: str) -> Path:
        return self.folder / name.replace("/", "-")

    # ------------------------------------------------------------------------------- the time

    def _soak(self) -> None:
        """Until the members are done: samples, kills, backups, a keeper that comes and goes."""
        seconds, self.meter.began = self.options.seconds, time.monotonic()
        kills = [seconds * (n + 1) / (self.options.kills + 1) for n in range(self.options.kills)]
        every, sampled = max(1.0, seconds / SAMPLES), -1e9
        while self.members.code is None:
            elapsed = time.monotonic() - self.meter.began
            if elapsed - sampled >= every:
                sampled = elapsed
                self._look()
            if kills and elapsed >= kills[0]:
                kills.pop(0)
                self._kill(len(kills) % 2 == 0)
            self._move_keeper(elapsed)
            self._copy(elapsed)
            self._check_alive()
            time.sleep(TICK_SECONDS)
        assert self.members.code == 0, self.members.log[-3_000:]

    def _check_alive(self) -> None:
        required = [self.server, self.watchers, self.keepers[next(iter(KEEPERS))]]
        for each in required:
            if each.code is not None:
                raise AssertionError(f"{each.name} ended: {self._why(each)}")

    def _why(self, running: Running) -> str:
        report = self.folder / "watched.json"
        told = report.read_text() if running is self.watchers and report.exists() else ""
        return f"{told} {running.log[-3_000:]}"

    def _look(self) -> None:
        with suppress(OSError):  # it was just killed
            self._size = int(self._health().get("size", self._size))
        node = self.node
        roles: dict[str, list[int | None]] = {
            "node": [self.server.pid],
            "workers": [*self.server.children],
            "keepers": [each.pid for each in self.keepers.values()],
            "members": [self.members.pid],
            "watchers": [self.watchers.pid],
        }
        disk = {
            "ledger": size_of(node / "ledger.db"),
            "wal": size_of(node / "ledger.db-wal"),
            "feed": size_of(node / "feed"),
            "web": size_of(node / "web"),
            "keepers": sum(size_of(self._keeper_folder(name)) for name in KEEPERS),
        }
        pids = {role: [pid for pid in some if pid] for role, some in roles.items()}
        sample = self.meter.look(self._size, pids, disk)
        memory = ", ".join(f"{role} {size >> 20}" for role, size in sample.memory.items())
        self._say(
            f"log {sample.size:,}; MiB: {memory}; ledger {disk['ledger'] >> 20}, "
            f"WAL {disk['wal'] >> 20}; load {os.getloadavg()[0]:.1f}"
        )

    def _health(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/api/v1/health", timeout=10) as answer:
            said: dict[str, Any] = json.load(answer)
            return said

    def _kill(self, whole: bool) -> None:
        """-9, of the server or of one worker; the server is started again on the same port."""
        began = time.monotonic()
        if whole:
            self.server.kill()
            self.server.start("http://")
        else:
            os.kill(self.server.children[0], signal.SIGKILL)
        while True:
            try:
                if self._health()["state"] == "ok":
                    break
            except OSError:
                time.sleep(0.05)
        took = time.monotonic() - began
        self._say(f"killed {'the server' if whole else 'a worker'}; answering after {took:.1f} s")
        self.counted["kills"] += 1
        self.disturbed.append((began - 0.5, time.monotonic() + CALM_SECONDS))

    def _move_keeper(self, elapsed: float) -> None:
        """The one that is not required is away for a while."""
        every = min(KEEPER_EVERY, self.options.seconds)
        share = elapsed % every / every
        keeper = self.keepers[list(KEEPERS)[1]]
        if AWAY <= share < BACK and keeper.pid is not None:
            assert keeper.terminate() == 0, keeper.log[-3_000:]
            self.counted["a keeper was away"] += 1
        elif share >= BACK and keeper.pid is None:
            keeper.start("")

    def _copy(self, elapsed: float) -> None:
        """`tally backup`, while all goes on."""
        backup, target = self._backup, self.folder / "backup"
        every = min(BACKUP_EVERY, self.options.seconds / 3)
        if backup.code is None and backup.pid is None and elapsed > every * (self._backups + 0.5):
            self._backups += 1
            backup.start("")
        if backup.code is not None:
            assert backup.code == 0, backup.log[-3_000:]
            shutil.rmtree(target, ignore_errors=True)
            (self.folder / "backup.new").rename(target)
            backup.close()
            self.counted["backups"] += 1

    # ------------------------------------------------------------------------------ the end

    def _finish(self) -> Ended:
        """Everybody sees all of it, then everything is stopped as it is meant to be."""
        self._look()
        ended = decode((self.folder / "ended.json").read_bytes(), Ended)
        assert not ended.failure, ended.failure
        size = int(self._head())
        self._say(f"the log has {size:,} entries; until everybody has seen them")
        self.watchers.tell(f"finish {size}\n")
        code = self.watchers.ended()
        self._watched = decode((self.folder / "watched.json").read_bytes(), Watched)
        assert code == 0, self._why(self.watchers)
        keeper = self.keepers[list(KEEPERS)[1]]
        if keeper.pid is None:
            keeper.start("")
        until = time.monotonic() + FOLLOW_SECONDS_MAX
        while (told := self._followed()) < size:
            assert time.monotonic() < until, f"keepers have co-signed {told} of {size}"
            time.sleep(0.2)
        for each in self.keepers.values():
            assert each.terminate() == 0, each.log[-3_000:]
        began = time.monotonic()
        assert self.server.terminate() == 0, self.server.log[-3_000:]
        self.counted["milliseconds to stop"] = int((time.monotonic() - began) * 1_000)
        assert '"fault"' not in self.server.log, self.server.log[-3_000:]
        return ended

    def _head(self) -> int:
        """Of the log, once the node has told its workers."""
        last = -1
        while (size := int(self._health()["size"])) != last:
            last = size
            time.sleep(1.5)
        return size

    def _followed(self) -> int:
        """What all keepers have co-signed."""
        told = self._health().get("keepers", {})
        return min(int(told.get(name, {}).get("size", 0)) for name in KEEPERS)

    def _judge(self, ended: Ended) -> Verdict:
        self.counted["bills a second"] = ended.issued // self.options.seconds
        self.counted["reads"] = sum(self._watched.reads.values())
        self.counted["deliveries"] = self._watched.deliveries
        self.counted["deliveries repeated"] = self._watched.repeated
        self.counted["statuses of an earlier moment"] = self._watched.earlier
        self.counted["deliveries turned away"] = self._watched.turned_away
        return Verdict(
            self.folder,
            self.meter.samples,
            self.disturbed,
            ended,
            self._watched,
            seconds=self.options.seconds,
            p99_seconds_max=self.options.p99_seconds_max,
            flat=self.options.flat,
        )
