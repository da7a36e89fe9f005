"""`tally wallet`, and what members and issuers do for whoever holds a bill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from counter import Answer, Counter, done, tally

from tallystick.engines.clock import Clock
from tallystick.protocol.values import format_instant

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "patient.md"
READER = ("--to", "finance", "--purpose", "audit")


class Patient:
    """A wallet beside a counter, whose address the hospital has registered."""

    def __init__(self, counter: Counter, name: str = "ann") -> None:
        self.counter = counter
        self.folder = counter.folder / name
        self.until = format_instant(Clock().now() + 86_400)
        done("wallet", "init", self.folder, "--genesis", counter.ledger / "genesis.json")

    def run(self, command: str, *arguments: object, ledger: bool = True) -> Answer:
        at = ("--dir", self.counter.ledger) if ledger else ()
        return tally("wallet", command, *arguments, "--wallet", self.folder, *at)

    def ok(self, command: str, *arguments: object, ledger: bool = True) -> Answer:
        answer = self.run(command, *arguments, ledger=ledger)
        assert answer.code == 0, answer.out + answer.err
        return answer

    def say(self, command: str, *arguments: object) -> Answer:
        """Something signed, entered at once with finance's key."""
        by = ("--key", self.counter.key("finance"), "--log-key", self.counter.key("log"))
        return self.run(command, *arguments, *by, "--json")

    def consent(self, bill: str, *more: object) -> str:
        fields = ("--fields", "items/*", "--fields", "payer/name")
        answer = self.say("consent", bill, *READER, *fields, "--until", self.until, *more)
        assert answer.code == 0, answer.out + answer.err
        self.counter.keep()
        act: str = answer.json["act"]
        return act

    def present(self, bill: str, output: Path, *more: object) -> Answer:
        named = ("--fields", "items/*", "--out", output, "--log-key", self.counter.key("log"))
        return self.run("present", bill, *READER, *named, *more)

    @property
    def mailbox(self) -> Path:
        return self.counter.folder / "mail"

    def address(self, via: str = "hospital-01") -> Path:
        path = self.counter.folder / f"{self.folder.name}-{via}.json"
        self.ok("address", "--via", via, "--out", path, ledger=False)
        return path

    def receive(self) -> Any:
        return self.ok("receive", "--from", self.mailbox, "--json").json


def visits(counter: Counter, seed: int, count: int) -> Path:
    """Drafts of several visits of one patient, the seed's."""
    seeds = range(seed, seed + count)
    drafts = json.loads(counter.drafts(*seeds).read_text(encoding="utf-8"))
    for draft in drafts:
        draft["payer"] = drafts[0]["payer"]
    path = counter.folder / f"visits-{seed}.json"
    path.write_text(json.dumps(drafts), encoding="utf-8")
    return path


def issue(counter: Counter, drafts: Path) -> list[str]:
    mail = ("--mailbox", counter.folder / "mail")
    answer = counter.act("hospital-01", "bills", "issue", drafts, *counter.office(), *mail)
    assert answer.code == 0, answer.err
    return [each["bill"] for each in answer.json["bills"]]


@pytest.fixture
def ann(counter: Counter) -> Patient:
    """Her wallet holds two bills, numbers 4 and 5, that came by themselves."""
    patient = Patient(counter)
    (draft,) = (visits(counter, 20, 1),)
    ledger = ("--dir", counter.ledger)
    office = (*counter.office(), *ledger)
    done("bills", "register-address", patient.address(), *office, "--draft", draft)
    issue(counter, visits(counter, 20, 2))
    assert patient.receive()["bills"] == [counter.bill(4), counter.bill(5)]
    return patient


def test_bills_come_by_themselves_and_stand_as_the_ledger_says(ann: Patient) -> None:
    rows = ann.ok("list", "--json").json["bills"]
    assert [row["bill"] for row in rows] == [ann.counter.bill(4), ann.counter.bill(5)]
    assert {row["key"] for row in rows} == {"unbound"}
    assert {row["state"] for row in rows} == {"issued"}
    assert all(row["left"] <= row["total"] for row in rows)
    assert ann.counter.bill(4) in ann.ok("list").out
    shown = ann.ok("show", ann.counter.bill(4), "--json").json
    assert shown["body"]["number"] == 4
    assert shown["readers"] == []
    assert "unbound: whoever sent it knows the key too" in ann.ok("show", ann.counter.bill(4)).out
    told = ann.ok("about", "--json", ledger=False).json
    assert told["bills"] == 2
    assert [each["via"] for each in told["addresses"]] == ["hospital-01"]
    assert ann.receive() == {"bills": [], "refused": [], "shares": [], "waiting": 0}
