"""Each reason of the web is explained in both languages, and `tally errors` knows it."""

from __future__ import annotations

from tallystick.cli.reasons import explain, texts
from tallystick.web.reasons import TEXTS, WebReason


def test_every_reason_has_its_texts() -> None:
    assert list(TEXTS) == list(WebReason)
    for text in TEXTS.values():
        assert all(text)
        assert text.zh != text.en and not text.zh.isascii() and text.en.isascii()


def test_people_are_told_of_them_where_they_are_told_of_the_ledgers() -> None:
    assert {reason.value for reason in WebReason} <= set(texts())
    assert explain(WebReason.REPLAYED, "en").endswith("sign anew with a new nonce")
