"""What may go wrong between a client and a server, and how an answer becomes the same failure that
one would have seen at the ledger itself.

    TallystickError
    ├── Malformed, VerificationFailed, Rejected, Busy     as the server met them
    │       └── Missing                there is no such thing there
    ├── NotYet                         it is on the ledger; who vouches has not signed enough yet
    ├── Away                           no answer, or of a machine between: asked again by itself
    ├── ServerFailed                   the server says that it is broken: only its operator can help
    ├── WrongAnswer                    what came is not what the API says: no such server, or false
    ├── Unanswered                     the time is up; says what to do
    └── Equivocation                   two histories, with the proof: everything stops

Invariant: a reason keeps its word on its way, known here or not. See docs/guides/sdk.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tallystick.contracts.kit.reasons import ReasonText
from tallystick.protocol.canonical import parse
from tallystick.protocol.errors import (
    Busy,
    Malformed,
    Reason,
    Rejected,
    TallystickError,
    VerificationFailed,
)

PROBLEM_TYPE = "application/problem+json"
PROBLEM_BYTES_MAX = 64 * 1024
RETRY_SECONDS = 1.0
"""Where a busy server does not say how long."""
RETRY_SECONDS_MAX = 300.0
"""No server makes a client wait longer than this before it asks again."""
STOPPED = "web.stopped"
UNVERIFIED = "web.false"
_REASON_CHARS_MAX = 80


class ClientReason(Reason):
    """Reasons that a server named. Any word is one: a newer server may know more than we do."""

    UNNAMED = "client.unnamed"
    """It named none."""

    @classmethod
    def _missing_(cls, value: object) -> ClientReason | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = member._value_ = value
        return member


TEXTS: dict[Reason, ReasonText] = {
    ClientReason.UNNAMED: ReasonText(
        "服务器拒绝了请求，但没有说明原因",
        "the server said no and named no reason",
        "核对服务器地址；中间的代理也可能这样回答",
        "check the server's address; a proxy on the way may have answered",
    ),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What we use of RFC 9457; a server may say more."""

    title: str = ""
    code: str = ""
    path: str = ""
    detail: str = ""


class Missing(Rejected):
    """There is no such thing on that server, or not for whoever asks."""


class NotYet(TallystickError):
    """The note that would prove it is not signed by enough keepers yet. Ask again."""

    def __init__(self, detail: str, retry_after_seconds: float) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class Away(TallystickError):
    """Nothing answered, or a machine in between did: what was sent may or may not have come."""


class ServerFailed(TallystickError):
    """The server found a fault of its own, or has stopped: tell its operator."""


class WrongAnswer(TallystickError):
    """The answer is not what the API describes: another kind of server, or one that cheats."""


class Unanswered(TallystickError):
    """The time is up. What was sent may have been taken: the text says what to do."""


class Equivocation(TallystickError):
    """The log has signed two histories. `proof` is the file that shows it; nothing goes on before
    somebody has looked at it."""

    def __init__(self, detail: str, proof: Path) -> None:
        super().__init__(f"{detail}; the proof is in {proof}")
        self.proof = proof


def failure(status: int, headers: Mapping[str, str], body: bytes) -> TallystickError:
    """What an answer other than 200 says. `headers`: lower-case names."""
    problem = _problem(headers, body)
    detail = problem.detail or problem.title or f"status {status}"
    if status == 202:
        return NotYet(detail, retry_after(headers))
    if status < 400:
        return WrongAnswer(f"status {status}, which no call expects; redirects are not followed")
    if status in {408, 429} or status >= 500:
        return _of_the_server(status, headers, problem.code, f"status {status}: {detail}")
    if status in {400, 413, 414, 431}:
        return Malformed(detail, path=problem.path)
    if problem.code == UNVERIFIED:
        return VerificationFailed(detail, path=problem.path)
    reason = ClientReason(problem.code[:_REASON_CHARS_MAX] or ClientReason.UNNAMED.value)
    kind = Missing if status == 404 else Rejected
    return kind(reason, problem.detail or problem.title, path=problem.path)


def _of_the_server(
    status: int, headers: Mapping[str, str], code: str, detail: str
) -> TallystickError:
    """It is busy, was too slow, or is broken; what was asked is not at fault."""
    if status in {429, 503} and code != STOPPED:
        return Busy(retry_after(headers))
    if status in {408, 502, 504}:
        return Away(detail)
    return ServerFailed(detail)


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds as ``Retry-After`` says; a date, which we do not read, counts as a second."""
    said = headers.get("retry-after", "")
    if not (said.isascii() and said.isdigit() and len(said) <= 6):
        return RETRY_SECONDS
    return min(float(said), RETRY_SECONDS_MAX)


def _problem(headers: Mapping[str, str], body: bytes) -> Problem:
    """The problem in a body; an empty one where it holds none, as of a proxy's page."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != PROBLEM_TYPE:
        return Problem()
    try:
        said = parse(body, dict[str, Any])
    except Malformed:
        return Problem()
    texts = {name: said.get(name, "") for name in ("title", "code", "path", "detail")}
    return Problem(**{name: text for name, text in texts.items() if isinstance(text, str)})
