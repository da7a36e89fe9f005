"""The demo's page: one HTML file that needs no network and runs no script.

Invariant: every text from outside is escaped; nothing is loaded from anywhere. See docs/cli.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from tallystick.cli.verdicts import LIMITS, VERDICTS_ZH
from tallystick.verify import Step, Verdict


class Told(NamedTuple):
    """One step of the story, in two languages, and what came of it."""

    zh: str
    en: str
    found: str


class Line(NamedTuple):
    """One figure of the summary: what it is, in two languages, and how much."""

    zh: str
    en: str
    value: str
    rate: str = ""


class Refused(NamedTuple):
    """One fraud and what it was told."""

    zh: str
    en: str
    reason: str
    why_zh: str
    why_en: str


class Shown(NamedTuple):
    """A verified bill."""

    bill: str
    verdict: Verdict
    steps: Sequence[Step]
    file: str


_STYLE = """
:root { color-scheme: light dark; --ink: #1c2321; --paper: #fbfaf6; --line: #cfcabb;
  --soft: #5c625c; --good: #1d6b3c; --bad: #9b2c1f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e6df; --paper: #171a19; --line: #3c423f;
  --soft: #a3aaa4; --good: #7fce9d; --bad: #f0998c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 62rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.6 system-ui, "Noto Sans SC", "PingFang SC", sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .6rem; }
p { max-width: 44rem; } .soft { color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .45rem .8rem .45rem 0;
  border-bottom: 1px solid var(--line); }
td.n, th.n { text-align: right; }
td.n { white-space: nowrap; }
code { font: .86rem/1.5 ui-monospace, "SF Mono", Menlo, monospace; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; padding: .9rem 1rem; border: 1px solid var(--line);
  border-radius: 6px; }
.verdict { font-weight: 650; font-size: 1.1rem; color: var(--good); }
.bad { color: var(--bad); font-weight: 600; }
"""


def render(
    network: str,
    summary: Iterable[Line],
    life: Iterable[Told],
    frauds: Iterable[Refused],
    shown: Shown,
    commands: Sequence[str],
) -> str:
    """The whole page."""
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="zh-CN"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            "<title>Tallystick 演示 · demo</title>",
            f"<style>{_STYLE}</style></head><body>",
            "<header>",
            "<h1>一个省的电子票据 <span lang='en'>· A province of bills</span></h1>",
            "<p class='soft'>网络 <span lang='en'>network</span> "
            f"<code>{escape(network)}</code></p>",
            "</header><main>",
            _section("本次演示", "What happened", _summary(summary)),
            _section("一张票据的一生", "The life of a bill", _life(life)),
            _section("四种造假，均被拒绝", "Four frauds, each refused", _frauds(frauds)),
            _section("一张票据的离线核验", "One bill, verified offline", _verified(shown)),
            _section("亲手试试", "Try it yourself", _commands(commands)),
            "</main></body></html>",
            "",
        )
    )


def _section(zh: str, en: str, content: str) -> str:
    return f"<section><h2>{zh} <span lang='en' class='soft'>{en}</span></h2>{content}</section>"


def _table(title: str, head: Sequence[str], rows: Iterable[str]) -> str:
    """A table; a column whose name ends in ``#`` holds numbers."""
    right = " class='n'"
    cells = "".join(
        f"<th scope='col'{right if each.endswith('#') else ''}>{each.rstrip('#')}</th>"
        for each in head
    )
    return (
        f"<div class='scroll' tabindex='0' role='region' aria-label='{title}'>"
        f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _summary(lines: Iterable[Line]) -> str:
    rows = (
        f"<tr><th scope='row'>{escape(line.zh)} <span lang='en' class='soft'>{escape(line.en)}"
        f"</span></th><td class='n'>{escape(line.value)}</td>"
        f"<td class='n'>{escape(line.rate)}</td></tr>"
        for line in lines
    )
    return _table("本次演示 What happened", ("项目 item", "数量 count#", "每秒 a second#"), rows)


def _life(told: Iterable[Told]) -> str:
    rows = (
        f"<tr><th scope='row'>{escape(one.zh)}<br><span lang='en' class='soft'>{escape(one.en)}"
        f"</span></th><td><code>{escape(one.found)}</code></td></tr>"
        for one in told
    )
    return _table("一张票据的一生 The life of a bill", ("步骤 step", "结果 result"), rows)


def _frauds(frauds: Iterable[Refused]) -> str:
    rows = (
        f"<tr><th scope='row'>{escape(one.zh)}<br><span lang='en' class='soft'>{escape(one.en)}"
        f"</span></th><td><code class='bad'>{escape(one.reason)}</code></td>"
        f"<td>{escape(one.why_zh)}<br><span lang='en' class='soft'>{escape(one.why_en)}</span></td>"
        "</tr>"
        for one in frauds
    )
    return _table("四种造假 Four frauds", ("手法 fraud", "原因码 reason", "说明 why"), rows)


def _verified(shown: Shown) -> str:
    english, chinese = LIMITS.get(shown.verdict.name, ("", ""))
    rows = (
        f"<tr><td class='n'>{step.number}</td><th scope='row' lang='en'>{escape(step.what)}</th>"
        f"<td><code>{escape(step.finding)}</code></td></tr>"
        for step in shown.steps
    )
    return (
        f"<p class='verdict'>{VERDICTS_ZH[shown.verdict.name]} "
        f"<span lang='en'>{escape(shown.verdict.text)}</span></p>"
        "<p class='soft'>以下是演示当时的记录，本页自身不核验任何内容；请用下方命令自行核验。<br>"
        "<span lang='en'>This is what the demo found when it ran. A page proves nothing: verify "
        "the receipt yourself, with the commands below.</span></p>"
        f"<p>票据 <code>{escape(shown.bill)}</code>，回执 <code>{escape(shown.file)}</code></p>"
        + _table("核验步骤 Steps", ("步骤 step#", "检查 check", "结果 finding"), rows)
        + f"<p class='soft'>{chinese}<br><span lang='en'>{escape(english)}</span></p>"
    )


def _commands(commands: Sequence[str]) -> str:
    return f"<pre><code>{escape(chr(10).join(commands))}</code></pre>"
