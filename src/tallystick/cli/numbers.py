"""`tally bills`: the catalogue and the numbers: types, allotments, what becomes of ranges.

Invariant: one command is one action of the contract, told in its words.
See docs/spec/contracts/README.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tallystick.cli import options, out
from tallystick.cli.acting import How, act, acting, nonce
from tallystick.cli.failures import fail

Range = Annotated[
    str, typer.Option("--range", help="Numbers of the allotment: FIRST-LAST, or one number.")
]
RULES_BYTES_MAX = 64 * 1024
ACT_SECONDS = 10
"""How long an act may take to reach the ledger after it was made."""


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    app.command("define-type")(acting(define_type))
    app.command("allot")(acting(allot))
    app.command("give-back")(acting(give_back))
    app.command("recall")(acting(recall))
    app.command("void")(acting(void))
    app.command("opening")(acting(opening))
    app.command("suspend-block")(acting(suspend_block))
    app.command("resume-block")(acting(resume_block))


def define_type(
    how: How,
    scene: Annotated[
        list[str] | None,
        typer.Argument(help="Types of the reference catalogue, such as outpatient; all: each."),
    ] = None,
    rules: Annotated[
        Path | None,
        typer.Option(
            "--rules",
            help="JSON file of a type of your own: {type, type_version, catalogue, rules}.",
        ),
    ] = None,
    valid_from: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="In force from then on, UTC.",
            show_default="as soon as the contract allows",
        ),
    ] = None,
) -> None:
    """Define bill types. Of the reference catalogue by name, or out of a file of rules."""
    if (rules is None) == (not scene):
        fail(
            *("cli.which_type", "请指明一个票种名称或一个规则文件"),
            "name types of the catalogue, or a file with --rules, and not both",
        )
    stated = None if rules is None else _read_rules(rules)

    def items(view: Any) -> list[Any]:
        from tallystick.contracts.bills.items.bills import DefineType

        if stated is not None:
            start = valid_from or stated.pop("valid_from", None) or _soon(view, stated["type"])
            return [DefineType(**(stated | {"nonce": nonce(), "valid_from": start}))]
        return [
            each.define(
                nonce=nonce(),
                valid_from=valid_from or _soon(view, each.type_id),
                type_version=_newest(view, each.type_id) + 1,
            )
            for each in _scenes(scene or [])
        ]

    act(how, "bills.define_type/1", items)


def allot(
    how: How,
    code: options.Code,
    level: options.Level,
    range_: Annotated[str, typer.Option("--range", help="FIRST-LAST, or one number.")],
    to: Annotated[str, typer.Option("--to", help="Organisation that may use the numbers.")],
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Your own allotment that they come out of: LEVEL:FIRST. None: a new top block.",
        ),
    ] = None,
    offline_days: Annotated[
        int,
        typer.Option(
            "--offline-days",
            help="An offline reserve: its bills may reach the ledger so many days later.",
            min=0,
            max=31,
        ),
    ] = 0,
) -> None:
    """Hand a range of numbers to an organisation. Out of your own, or as a new top block."""
    from tallystick.cli.inputs import parse_range
    from tallystick.contracts.bills.items.bills import Allot

    first, last = parse_range(range_)
    parent = None if from_ is None else _parse_block(from_)
    item = Allot(
        nonce=nonce(),
        code=code,
        level=level,
        first=first,
        last=last,
        holder=to,
        parent=parent,
        offline_days=offline_days,
    )
    act(how, "bills.allot/1", [item])


def give_back(
    how: How,
    code: options.Code,
    level: options.Level,
    first: options.First,
    range_: Range,
    reason: options.Reason = "unused",
) -> None:
    """Give unused numbers back to whom they came from."""
    _of_range(how, "give_back", code, level, first, range_, reason)


def recall(
    how: How,
    code: options.Code,
    level: options.Level,
    first: options.First,
    range_: Range,
    reason: options.Reason,
) -> None:
    """Take unused numbers back that you granted."""
    _of_range(how, "recall", code, level, first, range_, reason)


def void(
    how: How,
    code: options.Code,
    level: options.Level,
    first: options.First,
    range_: Range,
    reason: options.Reason,
) -> None:
    """Declare unissued numbers void for ever (号码作废). At most 20 at once, of your allotment."""
    _of_range(how, "void_numbers", code, level, first, range_, reason)


def opening(
    how: How,
    code: options.Code,
    level: options.Level,
    first: options.First,
    range_: Range,
    reason: options.Reason = "cut_over",
) -> None:
    """Declare numbers as used elsewhere before the cut-over."""
    _of_range(how, "opening", code, level, first, range_, reason)


def suspend_block(
    how: How,
    code: options.Code,
    level: options.Level,
    first: options.First,
    reason: options.Reason,
) -> None:
    """Stop the use of an allotment that you granted. And of all that came out of it."""
    from tallystick.contracts.bills.items.bills import SuspendAllotment

    item = SuspendAllotment(nonce=nonce(), code=code, level=level, first=first, reason=reason)
    act(how, "bills.suspend_allotment/1", [item])


def resume_block(
    how: How,
    code: options.Code,
    level: options.Level,
    first: options.First,
    reason: options.Reason,
) -> None:
    """Let a suspended allotment be used again."""
    from tallystick.contracts.bills.items.bills import ResumeAllotment

    item = ResumeAllotment(nonce=nonce(), code=code, level=level, first=first, reason=reason)
    act(how, "bills.resume_allotment/1", [item])


def _of_range(
    how: How, action: str, code: int, level: int, first: int, range_: str, reason: str
) -> None:
    from tallystick.cli.inputs import parse_range
    from tallystick.contracts.bills.items import bills as items

    kind: Any = {
        "give_back": items.GiveBack,
        "recall": items.Recall,
        "void_numbers": items.VoidNumbers,
        "opening": items.Opening,
    }[action]
    start, end = parse_range(range_)
    item = kind(
        nonce=nonce(), code=code, level=level, first=first, start=start, end=end, reason=reason
    )
    act(how, f"bills.{action}/1", [item])


def _scenes(names: list[str]) -> list[Any]:
    from tallystick.apps.bills.catalogue import TYPES

    known: dict[str, Any] = {str(scene): each for scene, each in TYPES.items()}
    if names == ["all"]:
        return list(known.values())
    for name in names:
        if name not in known:
            fail(
                *("cli.which_type", "参考目录中没有该票种", "the catalogue has no such type"),
                detail=f"{name}; it has {', '.join(known)}",
            )
    return [known[name] for name in names]


def _read_rules(path: Path) -> dict[str, Any]:
    from tallystick.cli.inputs import read_json
    from tallystick.contracts.bills.items.bills import DefineType
    from tallystick.protocol.canonical import narrow

    stated = read_json(path, RULES_BYTES_MAX)
    if not isinstance(stated, dict):
        fail("cli.rules", "规则文件应为 JSON 对象", "a file of rules is one JSON object")
    checked = narrow(
        {"valid_from": "2026-01-01T00:00:00Z"} | stated | {"nonce": nonce()}, DefineType
    )
    named = {name: getattr(checked, name) for name in checked.__struct_fields__}
    if "valid_from" not in stated:
        del named["valid_from"]
    return named


def _newest(view: Any, type_id: int) -> int:
    from tallystick.contracts.bills.views.bills import find_type

    kind = find_type(view, type_id)
    return 0 if kind is None else kind.type_version


def _soon(view: Any, type_id: int) -> str:
    """A first version: now. A next one: beyond what bills may be dated ahead under the former."""
    from tallystick.contracts.bills.views.bills import find_type
    from tallystick.engines.clock import Clock
    from tallystick.protocol.values import format_instant

    now, former = max(view.head.at, Clock().now()), find_type(view, type_id)
    ahead = 0 if former is None else former.rules.issue_future_seconds_max + ACT_SECONDS
    return format_instant(now + ahead)


def _parse_block(text: str) -> Any:
    from tallystick.contracts.bills.items.bills import Block

    level, _, first = text.partition(":")
    if not (level.isdigit() and first.isdigit()):
        fail(
            "cli.block",
            "上级号段应写作 级别:起号",
            "an allotment is written LEVEL:FIRST",
            path=text,
        )
    return Block(level=int(level), first=int(first))


def print_type(kind: Any) -> None:
    """One type with its rules."""
    shown = {"version": kind.type_version, "from": kind.valid_from, "until": kind.until}
    rules = {name: getattr(kind.rules, name) for name in kind.rules.__struct_fields__}
    out.pairs(f"type {kind.type}", shown | rules)
