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
    from tallystick.apps.bills.gateway.reasons import TEXTS as OF_A_GATEWAY
    from tallystick.apps.bills.outcome_words import TEXTS as OF_DESKS

    found = dict(OF_DESKS)
    for known in (SHARED, OF_A_CLIENT, OF_LETTERS, OF_THE_WEB, OF_A_GATEWAY, *_of_domains()):
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
