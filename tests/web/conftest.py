"""One browser for all tests of the web.

Invariant: it is started by the first test that asks for it, and only then.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import Chromium, open_chromium


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    with open_chromium() as opened:
        yield opened
