"""Verdicts: whether to act on what was proven.

Invariant: a verdict never makes up for a failed step; a state that nobody asked for can only speak
against a receipt. See docs/spec/receipt.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from tallystick.protocol.entry import ACCEPTED, BlockLeaf
from tallystick.protocol.row import Row
from tallystick.protocol.trust import TrustPolicy
from tallystick.protocol.values import parse_instant

CLOCK_AHEAD_SECONDS_MAX = 60
"""How far the keepers' clocks may be ahead of the reader's before their as-of means nothing."""


class Verdict(Enum):
    """What to do with a receipt; `exit_code` is that of ``tally verify``."""

    GOOD = (0, "authentic, accepted and good")
    ACCEPTED = (0, "authentic and accepted")
    REFUSED = (3, "authentic, but the ledger refused it")
    NOT_GOOD = (3, "authentic, but its state is no longer good")
    EXPIRED = (3, "authentic, but it has run out")
    ABSENT = (3, "authentic: there is no such thing")
    STALE = (3, "authentic, but its status is too old")
    OTHER = (3, "authentic, but not about what was asked for")
    NOT_FOR_YOU = (3, "authentic, but shown to another reader or for another purpose")
    NO_STATUS = (3, "authentic and accepted, but it does not show its status")
    FALSE = (1, "not what it claims to be: do not rely on it")
    UNREADABLE = (2, "no receipt that can be read")

    def __init__(self, exit_code: int, text: str) -> None:
        self.exit_code = exit_code
        self.text = text


@dataclass(frozen=True, slots=True)
class State:
    """A row as it stood at the checkpoint; None: it was not there (a number: not issued)."""

    key: str
    row: dict[str, Any] | None
    envelope: Row | None
    block: BlockLeaf
    as_of: int


def worst(verdicts: Iterable[Verdict]) -> int:
    """The exit code of many documents: false, then unreadable, then not to be acted on."""
    return max((found.exit_code for found in verdicts), key=(0, 3, 2, 1).index, default=2)


class Asked(NamedTuple):
    """What the reader wants to know besides whether it is true."""

    status: bool
    now: int | None
    about: str | None


def judge(policy: TrustPolicy, outcome: str, state: State | None, asked: Asked) -> Verdict:
    """Whether to act on what was proven. An unasked status can only speak against it."""
    if outcome != ACCEPTED:
        return Verdict.REFUSED
    if state is None:
        return Verdict.NO_STATUS if asked.status or asked.about else Verdict.ACCEPTED
    if asked.about is not None and state.key.partition("/")[2] != asked.about:
        return Verdict.OTHER
    row, against = state.envelope, _speaks_against(policy, state, asked)
    if against is not None:
        return against
    if row is None:
        return Verdict.ABSENT
    return Verdict.GOOD if asked.status else Verdict.ACCEPTED  # nobody asked how old its state is


def _speaks_against(policy: TrustPolicy, state: State, asked: Asked) -> Verdict | None:
    row, now = state.envelope, asked.now
    if row is not None and not row.good:
        return Verdict.NOT_GOOD
    until = row.until if row else None
    if until is not None and max(state.as_of, now or 0) >= parse_instant(until):
        return Verdict.EXPIRED
    age_seconds = now - state.as_of if asked.status and now is not None else 0
    if not -CLOCK_AHEAD_SECONDS_MAX <= age_seconds <= policy.status_max_age_seconds:
        return Verdict.STALE
    return None
