"""The page of a gateway, for whoever is called to it: how the ledger answers, what waits and why.

Plain HTML without a script: it loads itself anew every ten seconds, unless it is told to stay as it
is. It names no payer, no amount and no ref.

Invariant: everything that is shown is escaped; the page may load nothing.
See docs/guides/gateway.md.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING

from tallystick.protocol.values import format_instant, local_day, parse_instant

if TYPE_CHECKING:
    from tallystick.apps.bills.gateway.house import House

EVERY_SECONDS = 10
SHOWN_MAX = 100
OFFSET_SECONDS = 8 * 3600
"""Until the network's founding file is known."""
STYLE = """
:root{color-scheme:light dark;--line:#8886;--good:#0a6b3d;--bad:#a3191f;--warn:#8a5300}
@media (prefers-color-scheme:dark){:root{--good:#5fd39b;--bad:#ff8d8d;--warn:#ffc46b}}
body{font:16px/1.5 system-ui,"Noto Sans CJK SC","Microsoft YaHei",sans-serif;margin:0 auto;
max-width:60rem;padding:1rem}
h1{font-size:1.3rem;margin:0}h2{font-size:1.05rem;margin:1.5rem 0 .4rem}
header{display:flex;flex-wrap:wrap;gap:.5rem 1rem;justify-content:space-between;
align-items:baseline}
.state{border:1px solid;border-left-width:.5rem;border-radius:.3rem;padding:.6rem .8rem;
margin:1rem 0;font-weight:600}
.ok{color:var(--good)}.away{color:var(--warn)}.idle,.trouble{color:var(--bad)}
.state small{display:block;font-weight:400;color:CanvasText;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:0}
dt{opacity:.75}dd{margin:0;overflow-wrap:anywhere}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%}caption{text-align:left;opacity:.75}
th,td{text-align:left;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line);
vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
@media (max-width:34rem){dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.4rem}}
footer{margin-top:2rem;opacity:.75;font-size:.9rem}
"""
_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Say = Callable[[str, str], str]
_STATES = {
    "ok": ("账本已连接，开票正常", "The ledger answers; bills are issued"),
    "away": (
        "账本暂时连接不上：正以离线号段开票，恢复后自动入账",
        "The ledger is away: bills come out of the reserve and are handed in when it is back",
    ),
    "idle": (
        "账本连接不上，且无可用离线号段：暂不能开票",
        "The ledger is away and no reserve is left: nothing can be issued",
    ),
    "trouble": (
        "已停止开票，等待检修",
        "Issuing has stopped until somebody has looked at it",
    ),
}


def language_of(query: str, accept: str) -> str:
    """``zh`` or ``en``: what is asked for, else what the browser would rather have."""
    if query in ("zh", "en"):
        return query
    return "en" if accept.strip().lower().startswith("en") else "zh"


def render(house: House, language: str, *, still: bool) -> str:
    """The page as it is now."""
    zh = language == "zh"

    def say(chinese: str, english: str) -> str:
        return escape(chinese if zh else english)

    health = house.standing.health()
    refresh = "" if still else f'<meta http-equiv="refresh" content="{EVERY_SECONDS}">'
    other, named = ("en", "English") if zh else ("zh", "中文")
    lang = "zh-CN" if zh else "en"
    stay = (
        f'<a href="?lang={language}">{say("恢复自动刷新", "Refresh by itself")}</a>'
        if still
        else f'<a href="?lang={language}&amp;still=1">{say("停止自动刷新", "Stop refreshing")}</a>'
    )
    connection = house.link.connection
    offset = connection.genesis.utc_offset_seconds if connection is not None else OFFSET_SECONDS
    body = "".join(
        (
            _state(house, say, health["state"]),
            _figures(house, say, health, offset),
            _keepers(house, say),
            _waits(house, say, zh, offset),
        )
    )
    now = _local(format_instant(house.clock()), offset)
    title = say("前置机", "Gateway")
    return (
        f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8">{refresh}'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>"
        f'<header><h1>{title}</h1><nav><a href="?lang={other}" lang="{other}">{named}</a> · '
        f"{stay}</nav></header><main>{body}</main>"
        f"<footer>{say('本页时间', 'As of')} {now}</footer></body></html>"
    )


def _state(house: House, say: Say, state: str) -> str:
    why = house.writer.trouble or (house.link.why if house.link.away else house.writer.doubt)
    more = f"<small>{escape(why[:300])}</small>" if why else ""
    return f'<p class="state {state}" role="status">{say(*_STATES[state])}{more}</p>'


def _figures(house: House, say: Say, health: dict[str, object], offset: int) -> str:
    silent = health["silent_seconds"]
    rows = [
        (say("账本地址", "Ledger"), escape(house.config.ledger.url)),
        (
            say("账本上次应答", "Last answer of the ledger"),
            say("从未", "never") if silent is None else f"{silent} {say('秒前', 's ago')}",
        ),
        (say("排队请求", "Requests that wait"), str(health["queued"])),
        (say("未有结果的票据", "Bills without an end"), str(health["waiting"])),
        (say("账本未接受", "Refused by the ledger"), str(health["refused"])),
    ]
    for code, left in sorted(house.writer.reserves.left.items()):
        failed = house.writer.reserves.failed.get(code, "")
        note = f" · {escape(failed[:200])}" if failed else ""
        named = f"{say('离线号段余号', 'Numbers left of the reserve')} {code}"
        rows.append((named, f"{left:,}{note}"))
    last = house.standing.reconciled
    rows.append((say("上次对账", "Last reconciliation"), _reconciled(say, last, offset)))
    shown = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
    return f"<h2>{say('概况', 'At a glance')}</h2><dl>{shown}</dl>"


def _reconciled(say: Say, last: tuple[str, str, int] | None, offset: int) -> str:
    if last is None:
        return say("尚无", "none yet")
    at, day, differences = last
    count = f"{differences:,} {say('处差异', 'differences')}"
    return f"{escape(day)} · {count} · {_local(at, offset)}"


def _keepers(house: House, say: Say) -> str:
    found = house.standing.keepers()
    if not found:
        return ""
    rows = [(escape(name), f"{behind:,}", f"{seconds:,}") for name, behind, seconds in found]
    heads = (
        say("见证方", "Keeper"),
        say("落后条目", "Entries behind"),
        say("上次见证（秒前）", "Signed (s ago)"),
    )
    return f"<h2>{say('见证方', 'Keepers')}</h2>" + _table(heads, rows, {1, 2})


def _waits(house: House, say: Say, zh: bool, offset: int) -> str:
    waiting = house.standing.waiting()
    if not waiting.waits:
        return f"<h2>{say('等待事项', 'What waits')}</h2><p>{say('没有', 'Nothing')}</p>"
    shown = waiting.waits[:SHOWN_MAX]
    rows = [
        (
            escape(each.bill or "–").replace(":", ":<wbr>"),
            _local(each.since, offset),
            escape(
                (each.why_zh if zh else each.why_en) + (f"：{each.reason}" if each.reason else "")
            ),
        )
        for each in shown
    ]
    heads = (say("票据", "Bill"), say("自", "Since"), say("原因", "Why"))
    more = len(waiting.waits) - len(shown) + waiting.more
    rest = f"<p>{say('另有', 'And')} {more:,} {say('项', 'more')}</p>" if more else ""
    return f"<h2>{say('等待事项', 'What waits')}</h2>{_table(heads, rows, set())}{rest}"


def _local(instant: str, offset: int) -> str:
    """As clocks on the wall have it."""
    at = parse_instant(instant)
    seconds = (at + offset) % 86_400
    clock = f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"
    return f'<time datetime="{instant}">{local_day(at, offset)} {clock}</time>'


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]], numbers: set[int]) -> str:
    def kind(n: int) -> str:
        return ' class="n"' if n in numbers else ""

    head = "".join(f'<th scope="col"{kind(n)}>{text}</th>' for n, text in enumerate(heads))
    body = "".join(
        "<tr>" + "".join(f"<td{kind(n)}>{cell}</td>" for n, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
