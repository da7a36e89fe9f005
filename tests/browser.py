"""Node and Chromium for tests: found, or said to be missing; one browser for all tests of a run.

Invariant: where a program is missing, a test is skipped with one line that says what to install;
where `CI` or `TALLY_REQUIRE_ALL` is set it fails instead. See docs/spec/verifier.md.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import pytest
from playwright.sync_api import Browser, sync_playwright

T = TypeVar("T")

INSECURE_HOST = "ledger.example"
"""Leads to this machine too, but by a name: over plain http that is no secure context."""

MISSING = {
    "node": "Node.js 20 or newer is missing: install the package nodejs",
    "chromium": "Chromium is missing: install the package chromium (or run tests/system-packages)",
}


def need(program: str) -> str:
    """The path of a program; without it the test is skipped, or fails where all must run."""
    found = shutil.which(program)
    if found is not None:
        return found
    if os.environ.get("CI") or os.environ.get("TALLY_REQUIRE_ALL"):
        pytest.fail(MISSING[program])
    pytest.skip(MISSING[program])


class Chromium:
    """A browser in a thread of its own: playwright keeps a loop there that `asyncio.run` minds."""

    def __init__(self, thread: ThreadPoolExecutor, browser: Browser) -> None:
        self._thread, self._browser = thread, browser

    def run(self, work: Callable[[Browser], T]) -> T:
        """What `work` gives, done where the browser lives."""
        return self._thread.submit(work, self._browser).result()


@contextmanager
def open_chromium() -> Iterator[Chromium]:
    """A headless browser, for as long as it is needed."""
    path = need("chromium")
    with ThreadPoolExecutor(1) as thread:
        playwright = thread.submit(lambda: sync_playwright().start()).result()
        try:
            names = f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1"
            launched = thread.submit(
                lambda: playwright.chromium.launch(executable_path=path, args=[names])
            )
            browser = launched.result()
            yield Chromium(thread, browser)
            thread.submit(browser.close).result()
        finally:
            thread.submit(playwright.stop).result()
