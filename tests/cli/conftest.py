"""A ledger that commands made, once for all tests of the command line, and copies of it to change.

Invariant: `standing` is never written to by a test; whoever acts takes `counter`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from counter import Counter, found_counter


@pytest.fixture(scope="session")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Counter:
    counter = found_counter(tmp_path_factory.mktemp("standing"))
    counter.keep()
    return counter


@pytest.fixture
def counter(standing: Counter, tmp_path: Path) -> Counter:
    shutil.copytree(standing.folder, tmp_path / "counter")
    return Counter(tmp_path / "counter")


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests reaches them."""
    for name in (
        "TALLY_DIR",
        "TALLY_KEY",
        "TALLY_LOG_KEY",
        "TALLY_TRUST",
        "TALLY_DEBUG",
        "TALLY_CLAIMS",
        "TALLY_WALLET",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    monkeypatch.setenv("TALLY_LANG", "en")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("tallystick.cli.out._language", [])
