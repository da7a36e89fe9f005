"""Receipts verified a second: in Node and in Chromium, by the page's own modules, beside Python.

`measure` gives the three rates for the same receipts under the same policy. Where a program is
missing, its rate is None.

Invariant: each receipt is verified whole in each pass; only signatures that receipts share are
verified once, in all three alike. See docs/benchmarks.md.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

import tallystick.web.verifier
from tallystick.protocol.trust import read_trust
from tallystick.verify import Verifier
from tallystick.web.verifier import bundle

MODULES = Path(tallystick.web.verifier.__file__).parent
EXPRESSION = Path(__file__).with_suffix(".js")
NODE = """
import { readFileSync } from "node:fs";
const [library, expression, job] = process.argv.slice(1);
const { library: found } = await import(library);
const run = (0, eval)(readFileSync(expression, "utf8"));
process.stdout.write(String(await run(found, JSON.parse(readFileSync(job, "utf8")))));
"""


def measure(
    receipts: Sequence[bytes], policy: bytes, seconds: float = 2.0
) -> dict[str, float | None]:
    """Rates by ``node``, ``chromium`` and ``python``; `policy` are the bytes of a trust policy."""
    job = {
        "receipts": [b64encode(each).decode() for each in receipts],
        "policy": b64encode(policy).decode(),
        "seconds": seconds,
    }
    with tempfile.TemporaryDirectory() as folder:
        return {
            "python": _python(receipts, policy, seconds),
            "node": _node(job, Path(folder)),
            "chromium": _chromium(job, Path(folder)),
        }


def _python(receipts: Sequence[bytes], policy: bytes, seconds: float) -> float:
    trusted, passes = read_trust(policy), 0
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        verifier = Verifier(trusted)
        for each in receipts:
            verifier.receipt(each)
        passes += 1
    return passes * len(receipts) / (time.perf_counter() - start)


def _node(job: dict[str, Any], folder: Path) -> float | None:
    node = shutil.which("node")
    if node is None:
        return None
    file = folder / "job.json"
    file.write_text(json.dumps(job), encoding="utf-8")
    library = (MODULES / "library.mjs").as_uri()
    command = [node, "--input-type=module", "-e", NODE, library, str(EXPRESSION), str(file)]
    made = subprocess.run(command, capture_output=True, check=True, timeout=300)
    return float(made.stdout)


def _chromium(job: dict[str, Any], folder: Path) -> float | None:
    path = shutil.which("chromium")
    if path is None:
        return None
    file = folder / "verify.html"
    file.write_text(bundle(), encoding="utf-8")
    source = EXPRESSION.read_text(encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        page = browser.new_context(offline=True).new_page()
        page.goto(file.as_uri())
        page.wait_for_selector("#ask:not([hidden])")
        rate = page.evaluate(f"(job) => ({source})(globalThis.tallystick, job)", job)
        browser.close()
    return float(rate)
