"""Transactions on their way: proven before they are answered, sent until they are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from misled import Net, problem
from starlette.requests import Request
from starlette.responses import Response

from tallystick.client.failures import Equivocation, Unanswered
from tallystick.client.history import KNOWN, PROOF, History
from tallystick.protocol.canonical import decode, encode
from tallystick.protocol.errors import Malformed, Rejected, VerificationFailed


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    with Net(tmp_path) as net:
        yield net


def is_submit(request: Request) -> bool:
    return request.method == "POST" and request.url.path == "/api/v1/transactions"


def test_what_is_answered_was_proven_under_the_policy(net: Net) -> None:
    with net.served() as served, net.submitter(served) as submitter:
        answers = [submitter.submit(net.issue(3)) for _ in range(10)]
        done = [each.result(30) for each in answers]
    assert [len(each.outcomes) for each in done] == [3] * 10
    assert {each for one in done for each in one.outcomes} == {"accepted"}
    assert len({each.first for each in done}) == 10
    assert submitter.figures().sending == submitter.figures().proving == 0


def test_an_answer_that_the_log_does_not_prove_is_none(net: Net) -> None:
    """The server names what is another transaction's, or says that what was refused was taken."""
    refused = net.world.transaction("hospital", "bills.issue", net.world.issue_item(2_000))
    other = net.node.submit(net.issue(1)).result(30).first
    changes: dict[str, Any] = {}

    def lies(request: Request, response: Response) -> Response:
        if not is_submit(request):
            return response
        told = decode(bytes(response.body), dict[str, Any])
        told.pop("refused", None)
        return Response(encode(told | changes))

    with net.served() as served, net.submitter(served) as submitter:
        served.after = lies
        assert submitter.submit(refused).result(30).outcomes == ("bills.number_not_allocated",)
        changes["first"] = other
        with pytest.raises(VerificationFailed):
            submitter.submit(net.issue(1)).result(30)


def test_a_receipt_that_falls_short_of_the_policy_is_waited_for(net: Net) -> None:
    with net.served() as served, net.submitter(served, "finance") as submitter:
        answer = submitter.submit(net.issue(1))
        wait_for(lambda: "finance" in submitter.figures().why)
        waiting = submitter.figures()
        assert (waiting.sending, waiting.proving) == (0, 1) and not answer.done()
        with net.keeper():
            assert answer.result(30).outcomes == ("accepted",)


def test_refusals_come_as_they_were_meant(net: Net) -> None:
    with net.served() as served, net.submitter(served) as submitter:
        with pytest.raises(Rejected) as refused:
            submitter.submit(net.issue(1, key="stranger")).result(30)
        assert refused.value.reason == "ledger.key_unknown"
        with pytest.raises(Malformed):
            submitter.submit(b"{}")


def test_a_lost_answer_is_asked_for_again_and_nothing_is_doubled(net: Net) -> None:
    lost: list[str] = []

    def loses(request: Request, response: Response) -> Response:
        if is_submit(request) and len(lost) < 2:
            lost.append("lost")
            return problem(504, "web.timeout")
        return response

    with net.served() as served, net.submitter(served) as submitter:
        served.after = loses
        done = submitter.submit(net.issue(2)).result(30)
    assert len(lost) == 2 and done.repeated
    assert net.issued() == 2


def test_a_server_that_is_away_is_waited_for(net: Net) -> None:
    with net.served() as served:
        pass
    with net.submitter(served) as submitter:
        answer = submitter.submit(net.issue(1))
        wait_for(lambda: "refused" in submitter.figures().why)
        assert submitter.figures().sending == 1
        with net.served(served.port):
            assert answer.result(30).outcomes == ("accepted",)
    assert net.issued() == 1


def test_busy_is_not_an_answer(net: Net) -> None:
    busy = iter([problem(503, "web.busy", retry_after="0"), problem(429, "web.crowded")])
    with net.served() as served, net.submitter(served) as submitter:
        served.before = lambda request: next(busy, None) if is_submit(request) else None
        assert submitter.submit(net.issue(1)).result(30).outcomes == ("accepted",)
    assert net.issued() == 1


def test_what_was_under_way_is_sent_again_after_a_crash(net: Net, tmp_path: Path) -> None:
    outbox = tmp_path / "outbox"
    data = net.issue(2)
    with net.served() as served:
        served.after = lambda request, response: (
            problem(504, "web.timeout") if is_submit(request) else response
        )
        with net.submitter(served, outbox=outbox) as submitter:
            answer = submitter.submit(data)
            wait_for(lambda: net.issued() == 2)
        with pytest.raises(Unanswered, match="send it again"):
            answer.result(0)
        served.after = lambda request, response: response
        with net.submitter(served, outbox=outbox) as again:
            (later,) = again.resume().values()
            assert later.result(30).repeated
            assert len(again.resume()) == 1, "it is kept until its answer is noted"
            again.forget(data)
            assert again.resume() == {}
    assert net.issued() == 2


def test_two_histories_stop_the_client_with_a_proof(net: Net, tmp_path: Path) -> None:
    """The log shows another history to us than it did: a fork by its own key."""
    with net.served() as served, net.submitter(served) as submitter:
        submitter.submit(net.issue(1)).result(30)
    fork = Net(tmp_path / "fork", known=net.known)
    with fork, fork.served() as served, net.submitter(served) as submitter:
        fork.node.submit(fork.issue(5)).result(30)
        answer: Future[Any] = submitter.submit(fork.issue(1))
        with pytest.raises(Equivocation) as stopped:
            answer.result(30)
        assert stopped.value.proof.name == PROOF and stopped.value.proof.exists()
        with pytest.raises(Equivocation):
            submitter.submit(net.issue(1))
    with History(net.known, net.policy()) as history:
        with pytest.raises(Equivocation):
            history.guard()
        (net.known / PROOF).unlink()
        history.guard()
    assert (net.known / KNOWN).stat().st_mode & 0o777 == 0o600


def wait_for(holds: Any, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it never came to it"
        time.sleep(0.02)
