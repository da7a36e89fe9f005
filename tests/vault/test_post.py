"""Outbox and inbox: owed until delivered, taken once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from vaults import VAULT_KEY

from tallystick.protocol.errors import Busy, Malformed
from tallystick.vault import Message, Vault, post

AT = 1_768_181_467


def message(number: int) -> Message:
    return Message(33060126, number, f"org-{number}", b"sealed %d" % number)


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with Vault.open(tmp_path / "v", VAULT_KEY) as opened:
        yield opened


def test_what_is_owed_is_sent_once_in_order(vault: Vault) -> None:
    messages = [message(number) for number in range(5)]
    vault.outbox.put(messages, at=AT)
    vault.outbox.put(messages[:2], at=AT + 1)
    got: list[Message] = []
    assert vault.outbox.send_together(got.extend, at=AT, limit=3) == post.Sent(3, 0)
    assert vault.outbox.send_together(got.extend, at=AT) == post.Sent(2, 0)
    assert got == messages
    assert vault.outbox.owed() == []
    assert vault.outbox.send_together(got.extend, at=AT) == post.Sent(0, 0)
    vault.outbox.put(messages, at=AT + 2)
    assert vault.outbox.owed() == [], "what was delivered is not owed again"


def test_what_was_delivered_leaves_no_copy(vault: Vault) -> None:
    vault.outbox.put([message(1)], at=AT)
    vault.outbox.send_together(lambda _: None, at=AT)
    assert vault._files.query("SELECT data, receiver FROM outbox") == [(None, b"")]


@pytest.mark.parametrize("error", [ConnectionRefusedError("down"), Malformed("no"), TimeoutError()])
def test_a_receiver_that_fails_is_tried_again_later(vault: Vault, error: Exception) -> None:
    vault.outbox.put([message(1), message(2)], at=AT)
    got: list[Message] = []

    def deliver(_: Sequence[Message]) -> None:
        raise error

    assert vault.outbox.send_together(deliver, at=AT) == post.Sent(0, 2)
    now = AT
    for attempt in range(1, 14):
        owed = vault.outbox.owed()
        assert [(one.message.number, one.attempts) for one in owed] == [(1, attempt), (2, attempt)]
        pause = min(post.RETRY_SECONDS_MIN * 2 ** (attempt - 1), post.RETRY_SECONDS_MAX)
        assert vault.outbox.send_together(deliver, at=now + pause - 1) == post.Sent(0, 0)
        now += pause
        assert vault.outbox.send_together(deliver, at=now) == post.Sent(0, 2)
    assert vault.outbox.send_together(got.extend, at=now + 3_600) == post.Sent(2, 0)
    assert [one.number for one in got] == [1, 2]


def test_a_busy_receiver_says_when(vault: Vault) -> None:
    vault.outbox.put([message(1)], at=AT)

    def busy(_: Sequence[Message]) -> None:
        raise Busy(100)

    vault.outbox.send_together(busy, at=AT)
    assert vault.outbox.send_together(busy, at=AT + 99) == post.Sent(0, 0)
    assert vault.outbox.send_together(busy, at=AT + 100) == post.Sent(0, 1)


def test_a_bug_in_delivering_is_not_hidden_and_loses_nothing(vault: Vault) -> None:
    vault.outbox.put([message(1)], at=AT)

    def broken(_: Sequence[Message]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        vault.outbox.send_together(broken, at=AT)
    assert len(vault.outbox.owed()) == 1


def test_the_outbox_survives(tmp_path: Path, vault: Vault) -> None:
    vault.outbox.put([message(1)], at=AT)
    vault.close()
    with Vault.open(tmp_path / "v", VAULT_KEY) as again:
        assert [owed.message for owed in again.outbox.owed()] == [message(1)]


def test_the_inbox_takes_a_message_once(vault: Vault) -> None:
    assert vault.inbox.put(b"one", at=AT)
    assert not vault.inbox.put(b"one", at=AT + 1)
    assert vault.inbox.put(b"two", at=AT)
    assert vault.inbox.waiting() == [(1, b"one"), (2, b"two")]
    assert vault.inbox.waiting(after=1) == [(2, b"two")]
    vault.inbox.done([1])
    assert vault.inbox.waiting() == [(2, b"two")]
    assert not vault.inbox.put(b"one", at=AT + 2), "it is known though it is gone"
    assert vault.inbox.waiting() == [(2, b"two")]


def test_a_full_inbox_says_so(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post, "WAITING_MAX", 2)
    vault.inbox.put(b"one", at=AT)
    vault.inbox.put(b"two", at=AT)
    with pytest.raises(Busy):
        vault.inbox.put(b"three", at=AT)
    assert not vault.inbox.put(b"one", at=AT)
    vault.inbox.done([1])
    assert vault.inbox.put(b"three", at=AT)


def test_many_are_sent_together_or_not_at_all(vault: Vault) -> None:
    messages = [message(number) for number in range(5)]
    vault.outbox.put(messages, at=AT)
    got: list[Message] = []

    def down(_: Sequence[Message]) -> None:
        raise ConnectionRefusedError("down")

    assert vault.outbox.send_together(down, at=AT, limit=3) == post.Sent(0, 3)
    assert vault.outbox.send_together(got.extend, at=AT) == post.Sent(2, 0)
    assert got == messages[3:]
    later = AT + post.RETRY_SECONDS_MIN
    assert vault.outbox.send_together(got.extend, at=later - 1) == post.Sent(0, 0)
    assert vault.outbox.send_together(got.extend, at=later) == post.Sent(3, 0)
    assert got == messages[3:] + messages[:3]
    assert vault.outbox.owed() == []


def to(receiver: str, number: int) -> Message:
    return Message(33060126, number, receiver, b"sealed %d" % number)


class Road:
    """Delivers to everybody but those who are down or refuse; says what it was handed."""

    def __init__(self, *, down: str = "", refuses: str = "") -> None:
        self.down = down
        self.refuses = refuses
        self.handed: list[list[str]] = []

    def __call__(self, messages: Sequence[Message]) -> None:
        receivers = [each.receiver for each in messages]
        self.handed.append(receivers)
        if self.down in receivers:
            raise ConnectionRefusedError("down")
        if self.refuses in receivers:
            raise Malformed("not mine")


def test_a_dead_receiver_delays_no_other(vault: Vault) -> None:
    vault.outbox.put([to("dead", n) for n in range(50)], at=AT)
    vault.outbox.put([to("alive", 50 + n) for n in range(5)], at=AT + 1)
    road = Road(down="dead")
    assert vault.outbox.send_together(road, at=AT + 1, limit=10) == post.Sent(0, 10)
    assert vault.outbox.send_together(road, at=AT + 1, limit=10) == post.Sent(5, 0)
    assert road.handed == [["dead"] * 10, ["alive"] * 5], "it was asked once, for all that is due"
    assert {one.message.receiver for one in vault.outbox.owed()} == {"dead"}
    road.down = ""
    later = AT + 1 + post.RETRY_SECONDS_MIN
    assert vault.outbox.send_together(road, at=later) == post.Sent(50, 0)


def test_a_receiver_that_was_dead_for_long_is_not_asked_more_often_for_new_letters(
    vault: Vault,
) -> None:
    road, now = Road(down="dead"), AT
    vault.outbox.put([to("dead", 1)], at=AT)
    for attempt in range(6):
        vault.outbox.send_together(road, at=now)
        now += post.RETRY_SECONDS_MIN << attempt
    road.handed.clear()
    vault.outbox.put([to("dead", 2)], at=now - 10)
    vault.outbox.send_together(road, at=now - 10)
    assert road.handed == [], "a new letter waits with the old one"
    road.down = ""
    assert vault.outbox.send_together(road, at=now) == post.Sent(2, 0)


def test_a_letter_that_is_refused_holds_up_no_other_of_the_same_way(vault: Vault) -> None:
    vault.outbox.put([to(name, n) for n, name in enumerate("abcb")], at=AT)
    road = Road(refuses="b")
    sent = vault.outbox.send_together(road, at=AT, route=lambda _: "one letterbox")
    assert sent == post.Sent(2, 2)
    assert road.handed == [["a", "b", "c", "b"], ["a"], ["b", "b"], ["c"]]
    assert [one.message.receiver for one in vault.outbox.owed()] == ["b", "b"]


def test_what_goes_the_same_way_goes_together_and_never_too_much(vault: Vault) -> None:
    messages = [Message(33060126, n, f"w{n % 3}", b"%04d" % n * 25) for n in range(30)]
    vault.outbox.put(messages, at=AT)
    handed: list[int] = []
    sent = vault.outbox.send_together(
        lambda some: handed.append(len(some)), at=AT, route=lambda _: "all", bytes_max=1_300
    )
    assert sent == post.Sent(30, 0)
    assert handed == [10, 10, 10], "as many as fit, with what hides them"


def test_after_a_failure_the_rest_of_the_way_is_not_tried(vault: Vault) -> None:
    vault.outbox.put([to("dead", n) for n in range(9)], at=AT)
    road = Road(down="dead")
    vault.outbox.send_together(road, at=AT, bytes_max=100)
    assert len(road.handed) == 1
    assert vault.outbox.send_together(road, at=AT + post.RETRY_SECONDS_MIN - 1) == post.Sent(0, 0)
    assert len(road.handed) == 1


def test_an_erased_body_is_not_handed_over_though_it_was_due(vault: Vault) -> None:
    vault.outbox.put([to("a", 1), to("b", 2)], at=AT)
    got: list[Message] = []

    def deliver(messages: Sequence[Message]) -> None:
        vault.erase(33060126, 2, b"order", at=AT)
        got.extend(messages)

    vault.outbox.send_together(deliver, at=AT)
    assert [one.number for one in got] == [1]


def test_the_figures_say_what_is_owed_and_overdue(vault: Vault) -> None:
    assert vault.outbox.figures(now=AT) == post.Figures(0, [])
    vault.outbox.put([to("dead", n) for n in range(3)], at=AT)
    vault.outbox.put([to("wallet:1", 3), to("wallet:2", 4)], at=AT + 100)
    vault.outbox.send_together(Road(down="dead"), at=AT)
    found = vault.outbox.figures(
        now=AT + 150, overdue_seconds=100, group=lambda name: name.partition(":")[0]
    )
    assert found == post.Figures(
        0, [post.OwedTo("dead", 3, 3, AT, 1), post.OwedTo("wallet", 2, 0, AT + 100, 0)]
    )
    vault.outbox.send_together(Road(), at=AT + 200)
    assert vault.outbox.figures(now=AT + 200) == post.Figures(5, [])


def test_who_failed_before_is_tried_after_all_others(vault: Vault) -> None:
    vault.outbox.put([to("dead", 1)], at=AT)
    vault.outbox.send_together(Road(down="dead"), at=AT)
    vault.outbox.put([to("dead", 2), to("new", 3)], at=AT + 1)
    road = Road(down="dead")
    vault.outbox.send_together(road, at=AT + 60)
    assert road.handed == [["new"], ["dead", "dead"]]
