"""docs/images/verifier.png: the page on a wide screen and on a phone, side by side.

`PYTHONPATH=tests python tests/verifier_picture.py docs/images/verifier.png` makes it again after
the page was changed; look at it before it is committed. See docs/spec/verifier.md.

Invariant: what it shows is the page itself, with vectors and the clock that they are made for.
"""

from __future__ import annotations

import sys
import tempfile
from base64 import b64encode
from pathlib import Path

from browser import open_chromium
from playwright.sync_api import Browser, Page
from verifying import VECTORS

from tallystick.web.verifier import bundle

NOW = 1_772_414_100
"""When the vectors are fresh."""
HEIGHT = 860


def picture(folder: Path, browser: Browser) -> bytes:
    """Both screens in one picture."""
    file = folder / "verify.html"
    file.write_text(bundle(), encoding="utf-8")
    wide = _screen(browser, file, 1180, "presentations/pass/001-by-a-consent.json")
    phone = _screen(browser, file, 360, "receipts/fail/002-bill-entry-block-changed.json")
    page = browser.new_page(viewport={"width": 1620, "height": HEIGHT + 40})
    images = "".join(
        f'<img alt="" src="data:image/png;base64,{b64encode(each).decode()}">'
        for each in (wide, phone)
    )
    style = "body{margin:20px;display:flex;gap:24px;background:#dcded7}img{border:1px solid #999}"
    page.set_content(f"<style>{style}</style>{images}")
    return page.screenshot()


def _screen(browser: Browser, file: Path, width: int, document: str) -> bytes:
    context = browser.new_context(
        viewport={"width": width, "height": HEIGHT}, locale="zh-CN", offline=True
    )
    page = context.new_page()
    page.clock.set_fixed_time(NOW)
    page.goto(file.as_uri())
    verify(page, document)
    page.evaluate("window.scrollTo(0, 0)")
    return page.screenshot()


def verify(page: Page, document: str) -> None:
    """Choose the usual policy, name the reader and the purpose of the vectors, give a document."""
    page.set_input_files("#policy-files", VECTORS / "policies" / "trust.json")
    page.wait_for_selector("#policies input")
    page.click("details summary")
    page.fill("#audience", "insurer-01")
    page.fill("#purpose", "claim")
    page.click("details summary")
    page.set_input_files("#files", VECTORS / document)
    page.wait_for_selector(".card")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made, open_chromium() as chromium:
        data = chromium.run(lambda browser: picture(Path(made), browser))
    Path(sys.argv[1]).write_bytes(data)
