"""Whatever is raised is one kind of answer, in two languages, and says nothing of this machine."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from tallystick.contracts import members
from tallystick.contracts.kit.reasons import TEXTS as SHARED
from tallystick.contracts.kit.reasons import KitReason, LedgerReason
from tallystick.contracts.members.reasons import MembersReason
from tallystick.ledger.engine import Stopped
from tallystick.protocol.canonical import decode
from tallystick.protocol.errors import Busy, Damaged, Malformed, Rejected, VerificationFailed
from tallystick.web.exchange import Exchange
from tallystick.web.problems import STATUSES, Problem, Problems
from tallystick.web.reasons import TEXTS, WebReason

PROBLEMS = Problems(members.DOMAIN.texts, {MembersReason.KEY_WEAK: 400})

EXPECTED: list[tuple[Exception, int, str]] = [
    (Malformed("no integer", path="items/3"), 400, "web.malformed"),
    (VerificationFailed("the signature does not hold"), 422, "web.false"),
    (Rejected(MembersReason.ORG_UNKNOWN, "nobody"), 422, "members.org_unknown"),
    (Rejected(MembersReason.ORG_TAKEN), 409, "members.org_taken"),
    (Rejected(MembersReason.KEY_WEAK), 400, "members.key_weak"),
    (Rejected(KitReason.NO_GRANT), 403, "kit.no_grant"),
    (Rejected(KitReason.VERSION_CONFLICT), 409, "kit.version_conflict"),
    (Rejected(LedgerReason.KEY_UNKNOWN), 403, "ledger.key_unknown"),
    (Rejected(LedgerReason.IDEMPOTENCY_CONFLICT), 409, "ledger.idempotency_conflict"),
    (Rejected(WebReason.UNSIGNED), 401, "web.unsigned"),
    (Rejected(WebReason.NOT_YET), 202, "web.not_yet"),
    (Busy(2.5), 503, "web.busy"),
    (Stopped("/opt/secret/ledger.db: no room"), 503, "web.stopped"),
    (Damaged("/opt/secret/ledger.db: page 7"), 500, "web.damaged"),
    (KeyError("patient 4711"), 500, "web.fault"),
    (HTTPException(404), 404, "web.not_found"),
    (HTTPException(405, headers={"Allow": "GET"}), 405, "web.method"),
    (HTTPException(413, "Content Too Large"), 413, "web.too_large"),
    (HTTPException(418), 418, "web.malformed"),
]


@pytest.mark.parametrize(("error", "status", "code"), EXPECTED)
def test_every_failure_has_its_status_and_its_code(
    error: Exception, status: int, code: str
) -> None:
    refusal = PROBLEMS.of(error, "ab-1")
    problem = decode(refusal.body, Problem)
    assert (refusal.status, refusal.code) == (problem.status, problem.code) == (status, code)
    assert problem.type == f"urn:tallystick:reason:{code}"
    assert refusal.headers["content-type"] == "application/problem+json"
    assert not problem.title_zh.isascii() and problem.title.isascii()
    assert problem.todo and problem.todo_zh
    for secret in (b"secret", b"4711", b"/opt", b"Traceback"):
        assert secret not in refusal.body


def test_what_can_be_mended_is_named() -> None:
    problem = decode(PROBLEMS.of(Malformed("no integer", path="items/3")).body, Problem)
    assert (problem.path, problem.detail, problem.instance) == ("items/3", "no integer", "")


def test_only_the_operators_failures_have_a_number_to_tell_them() -> None:
    numbered = [
        code
        for error, _, code in EXPECTED
        if decode(PROBLEMS.of(error, "ab-1").body, Problem).instance
    ]
    assert numbered == ["web.stopped", "web.damaged", "web.fault"]


def test_whoever_is_to_wait_is_told_how_long() -> None:
    assert PROBLEMS.of(Busy(2.5)).headers["retry-after"] == "3"
    assert PROBLEMS.of(Busy(0.01)).headers["retry-after"] == "1"
    assert "retry-after" not in PROBLEMS.of(Malformed("x")).headers
    assert PROBLEMS.say(WebReason.CROWDED, retry=40).headers["retry-after"] == "40"


def test_a_405_says_what_is_allowed_and_a_401_how_to_ask() -> None:
    assert PROBLEMS.of(HTTPException(405, headers={"Allow": "GET"})).headers["allow"] == "GET"
    assert PROBLEMS.of(Rejected(WebReason.PASS)).headers["www-authenticate"] == "Signature, Bearer"


def test_every_reason_of_the_web_has_its_status_and_words_are_never_missing() -> None:
    assert set(STATUSES) >= set(WebReason) and set(TEXTS) == set(WebReason)
    for reason in SHARED:
        assert decode(Problems().say(reason).body, Problem).title_zh
    unknown = decode(Problems().say(MembersReason.ORG_TAKEN).body, Problem)
    assert (unknown.title, unknown.title_zh) == ("members.org_taken", "members.org_taken")


def client(*, told: list[tuple[Exchange, BaseException]]) -> TestClient:
    async def run(request: Request) -> Response:
        raise EXPECTED[int(request.path_params["n"])][0]

    async def numbered(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope["exchange"] = Exchange("ab-1", scope["method"])
        await app(scope, receive, send)

    handlers = PROBLEMS.handlers(lambda exchange, error: told.append((exchange, error)))
    app = Starlette(routes=[Route("/{n:int}", run)], exception_handlers=handlers)
    return TestClient(numbered, raise_server_exceptions=False)


def test_starlette_answers_by_the_same_table() -> None:
    told: list[tuple[Exchange, BaseException]] = []
    asked = client(told=told)
    for number, (error, status, code) in enumerate(EXPECTED):
        found = asked.get(f"/{number}")
        assert (found.status_code, found.json()["code"]) == (status, code), error
        assert found.headers["content-type"] == "application/problem+json"
    assert [type(error) for _, error in told] == [Damaged]
    assert asked.post("/0").status_code == 405
    assert asked.post("/0").headers["allow"] == "GET, HEAD"
    assert json.loads(asked.get("/none").content)["code"] == "web.not_found"
