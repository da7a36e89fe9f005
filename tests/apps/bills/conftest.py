"""A ward for whoever shows bills.

Invariant: `bench` is one for all tests of a module that only read it, `ward` is a test's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from showing import Bench


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One for all that only read it."""
    made = Bench(tmp_path_factory.mktemp("bench") / "ledger")
    yield made
    made.ledger.close()


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Bench]:
    """One of its own, to be changed."""
    made = Bench(tmp_path / "ledger")
    yield made
    made.ledger.close()
