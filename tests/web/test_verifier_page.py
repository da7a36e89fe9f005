"""The verifier's page in use: by keyboard, on a phone, in two languages, with hostile files.

Invariant: the page is the one file, from a disk, and asks for nothing. See docs/guides/verify.md.
"""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import verifying
from browser import INSECURE_HOST, Chromium
from playwright.sync_api import Browser, Page
from vectors.chain import START, note_of
from vectors.proofs import Forked
from vectors.world import NOW, build, fresh_times
from verifying import HERE, VECTORS

from tallystick.protocol.canonical import encode
from tallystick.protocol.equivocation import policy_keys, verify_equivocation
from tallystick.web.verifier import bundle, security_policy
from tallystick.web.verifier_page import verifier_routes

POLICY = VECTORS / "policies" / "trust.json"
GOOD = VECTORS / "receipts" / "pass" / "025-first-good-now.json"
FALSE = VECTORS / "receipts" / "fail" / "002-bill-entry-block-changed.json"
PRESENTATION = VECTORS / "presentations" / "pass" / "001-by-a-consent.json"
LOOK = (HERE / "verifier_look.js").read_text(encoding="utf-8")
ALL_TONES = (
    GOOD,
    FALSE,
    PRESENTATION,
    VECTORS / "receipts" / "pass" / "043-refused.json",
    VECTORS / "receipts" / "fail" / "167-cut-off.json",
    VECTORS / "notes" / "pass" / "001-three-keepers.txt",
    VECTORS / "equivocations" / "pass" / "001-two-roots-by-the-log.json",
    VECTORS / "slips" / "pass" / "005-reimbursed-in-part.json",
    VECTORS / "statuses" / "pass" / "001-status-of-demo-bill-33060126-0000100001.json",
    VECTORS / "states" / "pass" / "003-state-of-demo-bill-33060126-0000100001.json",
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "verify.html"
    path.write_text(bundle({"demo.number_taken": ("号码已用", "换号", "taken", "take another")}))
    return path


@contextmanager
def opened(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """The page, at the time of the vectors, in Chinese unless asked otherwise."""
    before = options.pop("before", "")
    context = browser.new_context(**{"locale": "zh-CN"} | options)
    page = context.new_page()
    asked, wrong = list[str](), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.on("console", lambda told: wrong.append(told.text) if told.type == "error" else None)
    if before:
        page.add_init_script(before)
    page.clock.set_fixed_time(NOW)
    page.goto(url)
    page.wait_for_selector("#ask:not([hidden])")
    try:
        yield page
        assert [each for each in asked if not each.startswith("blob:")] == [url] and wrong == []
    finally:
        context.close()


def choose(page: Page, *documents: Path) -> None:
    """Give the page the usual policy, and then the documents."""
    page.set_input_files("#policy-files", POLICY)
    page.wait_for_selector("#policies input")
    page.set_input_files("#files", list(documents))
    page.wait_for_selector(".card")


def test_by_keyboard_alone(chromium: Chromium, file: Path) -> None:
    def work(browser: Browser) -> None:
        with opened(browser, file.as_uri(), offline=True) as page:
            page.on("filechooser", lambda _: None)  # caught from here on, not a moment too late
            _press_until(page, "policy-files")
            with page.expect_file_chooser() as chooser:
                page.keyboard.press("Enter")
            chooser.value.set_files(POLICY)
            page.wait_for_selector("#policies input:checked")
            _press_until(page, "paste")
            page.keyboard.insert_text(GOOD.read_text(encoding="utf-8") + "\n")
            _press_until(page, "submit")
            page.keyboard.press("Enter")
            page.wait_for_selector(".card")
            assert page.inner_text("#spoken") == "有效: 真实，已入账，现行有效"
            assert page.inner_text(".card .word") == "有效"
            first = page.evaluate("document.querySelector('main').innerText.trim().slice(0, 20)")
            assert "有效" in first, "the verdict comes first"
            steps = page.locator(".steps li")
            assert steps.count() == 15 and page.locator(".steps li.held").count() == 15
            _press_until(page, "language", "Shift+Tab")
            page.keyboard.press("Enter")
            assert page.inner_text("#spoken") == "Good: authentic, accepted and good"
            assert page.evaluate("document.documentElement.lang") == "en"
            assert "item hash" in steps.first.inner_text()

    chromium.run(work)


def _press_until(page: Page, name: str, key: str = "Tab") -> None:
    """Walk with the keyboard to what has this id (or type)."""
    for _ in range(40):
        page.keyboard.press(key)
        if page.evaluate("document.activeElement.id || document.activeElement.type") == name:
            return
    raise AssertionError(f"the keyboard does not lead to {name}")


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["zh-CN", "en-GB"])
def test_it_can_be_read_by_everybody(
    chromium: Chromium, file: Path, width: int, scheme: Any, locale: str
) -> None:
    def work(browser: Browser) -> None:
        looks = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
        with opened(browser, file.as_uri(), locale=locale, **looks) as page:
            assert page.evaluate(LOOK) == []
            page.click("details summary")
            choose(page, *ALL_TONES)
            assert page.locator(".card").count() == len(ALL_TONES)
            assert page.evaluate(LOOK) == []

    chromium.run(work)


def test_the_worst_comes_first_and_each_tone_has_a_word(chromium: Chromium, file: Path) -> None:
    def work(browser: Browser) -> list[str]:
        with opened(browser, file.as_uri(), locale="en") as page:
            choose(page, *ALL_TONES)
            assert page.inner_text("#spoken").startswith("10 documents; the worst: False")
            refused = page.locator(".card.warn").filter(has_text="demo.number_taken")
            assert "taken; take another" in refused.inner_text()
            return page.locator(".card .word").all_inner_texts()

    words = chromium.run(work)
    assert words[:2] == ["False", "Unreadable"] and set(words) >= {"Good", "Refused", "Not for you"}


def test_a_presentation_is_good_only_for_whom_it_is(chromium: Chromium, file: Path) -> None:
    def work(browser: Browser) -> None:
        with opened(browser, file.as_uri(), locale="en") as page:
            choose(page, PRESENTATION)
            assert page.inner_text(".word") == "Not for you"
            assert "insurer-01" in page.inner_text(".card") and "诊察费" not in page.inner_text(
                "main"
            )
            page.click("details summary")
            page.fill("#audience", "insurer-01")
            page.fill("#purpose", "claim")
            page.set_input_files("#files", PRESENTATION)
            page.wait_for_selector(".card.good")
            assert page.locator(".steps li.held").count() == 21
            assert "诊察费 · 10.00" in page.inner_text(".card")
            page.fill("#about", "33060126:0000300002")
            page.set_input_files("#files", PRESENTATION)
            page.wait_for_selector(".card.warn")
            assert page.inner_text(".word") == "Another thing"
            page.fill("#about", "300002")
            page.set_input_files("#files", PRESENTATION)
            assert "CODE:NUMBER" in page.inner_text("#about-told")

    chromium.run(work)


def test_a_failure_names_its_step_and_what_was_not_reached(chromium: Chromium, file: Path) -> None:
    def work(browser: Browser) -> None:
        with opened(browser, file.as_uri(), locale="en") as page:
            choose(page, FALSE)
            assert page.inner_text(".why").startswith("Step 7, log path: path does not lead")
            states = page.locator(".steps li").evaluate_all("all => all.map(li => li.className)")
            assert states == ["held"] * 6 + ["failed"] + ["open"] * 3

    chromium.run(work)


def test_without_a_policy_or_a_document_it_asks_for_one(chromium: Chromium, file: Path) -> None:
    def work(browser: Browser) -> None:
        with opened(browser, file.as_uri(), locale="en") as page:
            page.set_input_files("#files", GOOD)
            page.wait_for_selector("#policy-told:not(.calm)")
            assert page.locator(".card").count() == 0
            page.set_input_files("#policy-files", GOOD)
            page.locator("#policy-told").filter(has_text="cannot serve").wait_for()
            choose_policy_among_documents(page)
            page.click("button[type=submit]")
            assert "Choose or paste" in page.inner_text("#cards")

    def choose_policy_among_documents(page: Page) -> None:
        page.set_input_files("#policy-files", POLICY)
        page.wait_for_selector("#policies input")
        page.set_input_files("#files", VECTORS / "policies" / "trust-one.json")
        page.wait_for_selector("#cards .told")
        assert "not a document" in page.inner_text("#cards")
        assert page.locator("#policies input").count() == 1, "it adds no trust"

    chromium.run(work)


def test_hostile_texts_stay_texts(chromium: Chromium, file: Path, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>\u202egood\u0007\u200b"
    chain = deepcopy(build().after[1])
    chain.put("demo.member", "evil", note=evil, **{"<b>": {"a": [evil]}})
    chain.block(START + 200)
    note = note_of(chain.checkpoint(), fresh_times())
    document = tmp_path / "<img src=x onerror=alert(3)>.json"
    document.write_bytes(encode(chain.document("demo.member/evil", note)))
    noise = tmp_path / "noise.json"
    noise.write_text(f'{{"format":"{evil[:20]}","x":1}}')

    def work(browser: Browser) -> None:
        with opened(browser, file.as_uri()) as page:
            choose(page, document, noise)
            text = page.inner_text(".card.good")
            assert "<script>alert(2)</script>\\u{202e}good" in text
            assert "\\u{7}" in text and "\u202e" not in page.inner_text("body")
            assert page.locator("main img, main script, main b").count() == 0

    chromium.run(work)


def test_long_files_are_refused_unread(chromium: Chromium, file: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.json"
    with long.open("wb") as handle:
        handle.truncate(4 * 1024 * 1024 + 2)
    few = [tmp_path / f"{n}.json" for n in range(201)]
    for path in few:
        path.write_bytes(b"{}")

    def work(browser: Browser) -> None:
        with opened(browser, file.as_uri(), locale="en") as page:
            choose(page, long)
            assert page.inner_text(".word") == "Unreadable"
            assert "more than 4194305" in page.inner_text(".why")
            page.set_input_files("#files", few)
            page.locator(".card").nth(199).wait_for()
            assert "At most 200 files" in page.inner_text("#cards")

    chromium.run(work)


def test_two_that_contradict_each_other_make_a_proof(
    chromium: Chromium, file: Path, tmp_path: Path
) -> None:
    forked = Forked(build())
    paths = []
    for name, chain in (("one", forked.one), ("two", forked.longer)):
        paths.append(tmp_path / f"{name}.json")
        receipt = chain.receipt(forked.index, forked.note(chain).decode())
        paths[-1].write_bytes(encode(receipt))
    notes = [tmp_path / "one.txt", tmp_path / "two.txt"]
    for path, chain in zip(notes, (forked.one, forked.two), strict=True):
        path.write_bytes(forked.note(chain))

    def work(browser: Browser, documents: list[Path]) -> bytes:
        with opened(browser, file.as_uri(), locale="en") as page:
            for document in documents:
                choose(page, document)
                page.locator("#cards").filter(has_text=document.name).wait_for()
            assert "vouched for two histories" in page.inner_text("#spoken")
            with page.expect_download() as download:
                page.click(".contradiction a")
            return Path(download.value.path()).read_bytes()

    keys = policy_keys(verifying.trust("policies/trust.json"))
    for documents, kind in ((paths, "two_leaves"), (notes, "two_roots")):
        proof = chromium.run(partial(work, documents=documents))
        assert verify_equivocation(proof, keys).kind == kind

    def agreeing(browser: Browser) -> None:
        with opened(browser, file.as_uri(), locale="en") as page:
            choose(page, GOOD, VECTORS / "receipts" / "pass" / "026-pass-good-now.json")
            assert page.locator(".contradiction").count() == 0
            assert "no contradiction is proven" in page.inner_text("#cards")

    chromium.run(agreeing)


def test_dropped_files_and_a_checkpoint_at_hand(chromium: Chromium, file: Path) -> None:
    drop = """([name, text]) => {
        const data = new DataTransfer();
        data.items.add(new File([text], name));
        document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true}));
    }"""

    def work(browser: Browser) -> None:
        with opened(browser, file.as_uri(), locale="en") as page:
            page.set_input_files("#policy-files", POLICY)
            page.wait_for_selector("#policies input")
            page.evaluate(drop, ["dropped.json", GOOD.read_text(encoding="utf-8")])
            page.wait_for_selector(".card.good")
            assert "dropped.json" in page.inner_text(".code")
            page.click("details summary")
            page.set_input_files("#at-hand", VECTORS / "at-hand" / "forked.txt")
            page.locator("#at-hand-told").filter(has_text="forked").wait_for()
            page.evaluate(drop, ["again.json", GOOD.read_text(encoding="utf-8")])
            page.wait_for_selector(".card.bad")
            assert page.inner_text(".why").startswith("Step 8, checkpoint")

    chromium.run(work)


# ------------------------------------------------------------------- where it cannot be relied on

CANNOT = """crypto.subtle.importKey = async () => {
    throw new DOMException("", "NotSupportedError");
};"""
LENIENT = "crypto.subtle.verify = async () => true;"


@pytest.mark.parametrize(
    ("before", "told"), [(CANNOT, "has no Ed25519"), (LENIENT, "accepts a signature")]
)
def test_a_browser_that_cannot_verify_says_so(
    chromium: Chromium, file: Path, before: str, told: str
) -> None:
    def work(browser: Browser) -> None:
        with opened(browser, file.as_uri(), locale="en", before=before) as page:
            assert told in page.inner_text("#trouble")
            assert page.locator("#ask input:enabled, #ask button:enabled").count() == 0

    chromium.run(work)


def test_served_it_works_and_over_plain_http_it_says_what_is_missing(
    chromium: Chromium, file: Path
) -> None:
    def work(browser: Browser, port: int) -> None:
        with opened(browser, f"http://127.0.0.1:{port}/verify", locale="en") as page:
            choose(page, GOOD)
            assert page.inner_text(".word") == "Good"
        with opened(browser, f"http://{INSECURE_HOST}:{port}/verify", locale="en") as page:
            assert "plain http" in page.inner_text("#trouble")
            assert page.locator("#ask input:enabled").count() == 0

    with served() as port:
        chromium.run(lambda browser: work(browser, port))


@contextmanager
def served() -> Iterator[int]:
    """The page with the headers of `GET /verify`, on a port of this machine."""
    (route,) = verifier_routes({})
    sent = list[dict[str, Any]]()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/verify", "headers": [], "query_string": b""}
    work = route.app(scope, _nothing, send)
    with pytest.raises(StopIteration):
        work.__await__().send(None)
    start, body = sent[0], b"".join(message.get("body", b"") for message in sent[1:])
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    assert route.path == "/verify" and start["status"] == 200
    assert headers["content-security-policy"] == security_policy(body.decode())

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Not on the terminal."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


async def _nothing() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


def test_what_the_vectors_are_called_is_there() -> None:
    listed = {case["file"] for case in json.loads((VECTORS / "index.json").read_bytes())}
    assert {str(path.relative_to(VECTORS)) for path in ALL_TONES} <= listed
