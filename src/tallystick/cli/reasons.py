"""What people read about a refusal, found by its code over all domains of this build.

Invariant: a code without a text is shown as it is, never left out. See docs/spec/refusals.md.
"""

from __future__ import annotations

from functools import cache

from tallystick.cli.out import Language
from tallystick.contracts.kit.reasons import TEXTS as SHARED
from tallystick.contracts.kit.reasons import ReasonText


@cache
def texts() -> dict[str, ReasonText]:
    """Every refusal code of this build and its text, by code."""
    from tallystick.node import DOMAINS

    found = _of_the_office() | {reason.value: text for reason, text in SHARED.items()}
    for domain in DOMAINS:
        found |= {reason.value: text for reason, text in domain.texts.items()}
    return dict(sorted(found.items()))


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
