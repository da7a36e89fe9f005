"""What people read about a refusal, found by its code over all domains of this build.

Invariant: a code without a text is shown as it is, never left out. See docs/spec/refusals.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from tallystick.cli.out import Language
from tallystick.client.failures import TEXTS as OF_A_CLIENT
from tallystick.contracts.kit.reasons import TEXTS as SHARED
from tallystick.contracts.kit.reasons import ReasonText
from tallystick.protocol.errors import Reason
from tallystick.vault.letterbox import TEXTS as OF_LETTERS
from tallystick.web.reasons import TEXTS as OF_THE_WEB


@cache
def texts() -> dict[str, ReasonText]:
    """Every refusal code of this build and its text, by code."""
    found = _of_the_office() | _of_the_desk()
    for known in (SHARED, OF_A_CLIENT, OF_LETTERS, OF_THE_WEB, *_of_domains()):
        found |= {reason.value: text for reason, text in known.items()}
    return dict(sorted(found.items()))


def _of_domains() -> list[Mapping[Reason, ReasonText]]:
    from tallystick.node import DOMAINS

    return [domain.texts for domain in DOMAINS]


def explain(code: str, language: Language) -> str:
    """What is wrong and what to do about it, in one sentence."""
    text = texts().get(code)
    if text is None:
        return code
    if language == "zh":
        return f"{text.zh}；{text.todo_zh}"
    return f"{text.en}; {text.todo_en}"


def both(code: str) -> str:
    """What is wrong, in Chinese and in English."""
    text = texts().get(code)
    return code if text is None else f"{text.zh} / {text.en}"


def _of_the_office() -> dict[str, ReasonText]:
    """What an issuer's office says before anything reaches the ledger."""
    from tallystick.apps.bills.office import MALFORMED, NEVER_SENT

    return {
        MALFORMED: ReasonText(
            *("内容不符合格式", "a field is out of bounds or has no such form"),
            *("按所示字段改正后重试", "mend the field that is named and try again"),
        ),
        NEVER_SENT: ReasonText(
            *("未曾提交，号码可再用", "it was never sent; its number is free again"),
            *("重新开具", "issue it again"),
        ),
    }


def _of_the_desk() -> dict[str, ReasonText]:
    """What a reimburser's desk says before anything reaches the ledger."""
    from tallystick.apps.bills import claim_orders as desk

    return {
        desk.MALFORMED: ReasonText(
            *("内容不符合格式", "a field is out of bounds or has no such form"),
            *("按所示字段改正后重试", "mend the field that is named and try again"),
        ),
        desk.UNKNOWN: ReasonText(
            *("本单位台账中没有这笔报销", "the book has no such claim"),
            *("用 tally claims list 查找", "look for it with tally claims list"),
        ),
        desk.STATE: ReasonText(
            *("该笔报销所处状态不能如此办理", "the claim is not in a state for this"),
            *(
                "先运行 tally claims refresh，再查看其状态",
                "run tally claims refresh, then see how it stands",
            ),
        ),
        desk.OPEN: ReasonText(
            *(
                "该票据同一用途已有未结报销，但金额或条件不同",
                "a claim on this bill for this purpose is open, for another amount or other terms",
            ),
            *("先解锁，再按新的条件锁定", "release it, then lock it anew"),
        ),
        desk.TWICE: ReasonText(
            *("同一批中出现两次", "it stands twice in what was handed in"),
            *("删去一处", "leave one of them out"),
        ),
        desk.CASE_SIZE: ReasonText(
            *(
                "一个案件的票据超过一笔交易的上限，无法全有或全无",
                "a case has more bills than one transaction holds, to be done all or none",
            ),
            *("分成几个案件", "divide it into several cases"),
        ),
    }
