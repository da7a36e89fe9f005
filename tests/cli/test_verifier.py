"""`tally verifier-page`: one file, in which every refusal of a log is explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.cli.app import run
from tallystick.node import DOMAINS
from tallystick.web.verifier_page import verifier_page


def test_it_prints_the_page_that_servers_give(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    texts = {reason: text for domain in DOMAINS for reason, text in domain.texts.items()}
    assert run(["verifier-page"]) == 0
    printed = capfdbinary.readouterr().out
    assert printed == verifier_page(texts).encode() and printed.startswith(b"<!doctype html>")
    assert len(texts) > 100
    assert [reason for reason in texts if f'"{reason.value}": ["'.encode() not in printed] == []
    file = tmp_path / "verify.html"
    assert run(["verifier-page", "--output", str(file)]) == 0
    assert file.read_bytes() == printed
