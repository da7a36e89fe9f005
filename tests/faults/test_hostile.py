"""Hostile bytes: a clear refusal, in bounded time and memory, whoever reads them."""

from __future__ import annotations

import subprocess
import sys
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from faults.failing import steady
from faults.ground import Ground, found, signer
from faults.processes import ENVIRONMENT
from faults.readers import EXPECTED, Reader, mutate, readers
from faults.signed import signed_mutants
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.contracts.kit.reasons import LedgerReason
from tallystick.engines.embedded import EmbeddedEngine
from tallystick.ledger.ledger import Ledger
from tallystick.node import Node, rules
from tallystick.protocol.errors import Malformed, Rejected, VerificationFailed

CHILD = Path(__file__).with_name("hostile_child.py")
NAMES = [reader.name for reader in readers()]
PEAK_BYTES_MAX = 16 * 1024 * 1024


def by_name(name: str) -> Reader:
    return next(reader for reader in readers() if reader.name == name)


def read(reader: Reader, data: bytes) -> None:
    """Only what is expected comes out; a surprise shows the bytes."""
    try:
        reader.read(data)
    except EXPECTED as error:
        assert str(error) or error.args == ("",)


@pytest.mark.parametrize("name", NAMES)
def test_the_example_is_sound(name: str) -> None:
    reader = by_name(name)
    if name not in {"vkey", "state"}:
        reader.read(reader.good)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60)
@given(data=st.binary(max_size=300))
def test_any_bytes(name: str, data: bytes) -> None:
    read(by_name(name), data)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=120)
@given(seed=st.integers(0, 2**64))
def test_bytes_that_were_sound_once(name: str, seed: int) -> None:
    reader = by_name(name)
    read(reader, mutate(reader.good, Random(seed)))


@pytest.mark.parametrize("name", NAMES)
def test_memory_stays_bounded(name: str) -> None:
    """For documents as large as any that are read."""
    reader = by_name(name)
    large = b"[" + b"[]," * 1_000_000 + b"[]]"
    tracemalloc.start()
    try:
        for data in (large, reader.good[:20] + large, b'{"a":' * 100_000, b"9" * 4_000_000):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            read(reader, data)
            peak = tracemalloc.get_traced_memory()[1] - before
            assert peak < 25 * len(data) + PEAK_BYTES_MAX, data[:40]
    finally:
        tracemalloc.stop()


def test_the_worst_in_a_process_of_little_memory() -> None:
    """10^5 deep, 10^6 items, numbers of 10^6 digits: all of it for each reader."""
    ran = subprocess.run(
        [sys.executable, str(CHILD)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert int(ran.stdout.split()[0]) > 300


def test_what_a_member_signed_is_refused_or_executed_and_never_a_fault(tmp_path: Path) -> None:
    """A member with a live key signs nonsense: it gets an outcome, no node an exception."""
    ground = Ground(20)
    at = ground.founded_at + 3600
    folder = found(ground, tmp_path / "ledger")
    seen: set[str] = set()
    with Ledger.open(folder, rules()) as ledger:
        for data in signed_mutants(ground, at, Random(21), 1_500):
            try:
                seen.update(ledger.dry_run(data, at))
            except (Malformed, VerificationFailed, Rejected) as error:
                seen.add(type(error).__name__)
    assert LedgerReason.FAULT.value not in seen
    assert len(seen) > 5


def test_an_engine_takes_no_harm(tmp_path: Path) -> None:
    """Hostile bytes between sound ones: those are answered as if nothing had been."""
    ground, chance = Ground(22), Random(24)
    at = ground.founded_at + 3600
    folder = found(ground, tmp_path / "ledger")
    good = [ground.issue("south", 2, at) for _ in range(5)]
    mutants = list(signed_mutants(ground, at, chance, 60))
    mutants += [mutate(each, chance) for each in good for _ in range(20)]
    with (
        Ledger.open(folder, rules()) as ledger,
        EmbeddedEngine(ledger, clock=steady(at)) as engine,
    ):
        waiting: list[Any] = []
        for n, data in enumerate(mutants):
            with suppress(Malformed, VerificationFailed):
                waiting.append(engine.submit(data))
            if n % 30 == 0 and good:
                assert engine.submit(good.pop()).result(60).outcomes == ["accepted"] * 2
        for each in waiting:
            error = each.exception(60)
            assert error is None or isinstance(error, Rejected | VerificationFailed), error
        assert engine.failure is None


def test_what_lies_among_the_cosignatures_stops_no_publisher(tmp_path: Path) -> None:
    ground, chance = Ground(24), Random(25)
    at = ground.founded_at + 3600
    folder = found(ground, tmp_path / "ledger")
    note = by_name("note").good
    with Node.open(folder, signer("log"), clock=steady(at)) as node:
        cosigned = folder / "feed" / "cosigned"
        (cosigned / "a-folder").mkdir()
        for n in range(100):
            (cosigned / f"{n}").write_bytes(mutate(note, chance))
        (cosigned / "large").write_bytes(b"a\n" * 1_000_000)
        first = node.submit(ground.issue("north", 1, at)).result(60).first
        for _ in range(200):
            with suppress(LookupError):
                assert node.receipt(first)
                break
            time.sleep(0.02)
        assert node.publisher.failure is None
