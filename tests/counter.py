"""The command line as a person uses it: a folder of keys, one ledger, and `tally` in this process.

Invariant: what is here goes through `cli.app.run` alone, as `tally` does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from tallystick.apps.bills.generate import make_draft
from tallystick.cli.app import run
from tallystick.engines.clock import Clock
from tallystick.protocol.canonical import builtins
from tallystick.protocol.values import local_day

PLAN = """
name = "counter.example"
region = 33
utc_offset_hours = 8
log_keys = ["keys/log.json"]
[trust]
threshold = 1
required = ["finance"]
[[organisations]]
org = "finance"
title = "财政厅 Finance"
root_key = "keys/finance-root.json"
keys = [{ key = "keys/finance.json", actions = ["*"] }]
grants = [{ actions = ["*"], depth = 8 }]
[[organisations]]
org = "hospital-01"
title = "第一医院"
root_key = "keys/hospital-01-root.json"
keys = [{ key = "keys/hospital-01.json", actions = ["bills.*"] }]
grants = [{ actions = ["bills.issue", "bills.reverse", "bills.replace", "bills.withhold",
                       "bills.reversal_request", "bills.cancel_reversal", "bills.plan",
                       "bills.rebind"] }]
[[keepers]]
name = "k/finance"
org = "finance"
key = "keys/keeper.json"
"""
SIGNING = ("log", "finance", "finance-root", "hospital-01", "hospital-01-root", "keeper")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return json.loads(self.err.splitlines()[-1])["error"]


def tally(*arguments: object) -> Answer:
    """One command; a traceback in its output fails whoever asked."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run([str(each) for each in arguments])
    answer = Answer(code, out.getvalue(), err.getvalue())
    assert "Traceback" not in answer.out + answer.err
    return answer


def done(*arguments: object) -> Answer:
    """One command that has to succeed."""
    answer = tally(*arguments)
    assert answer.code == 0, answer.out + answer.err
    return answer


@dataclass(frozen=True, slots=True)
class Counter:
    """A folder with keys, a plan, a ledger and a hospital's vault."""

    folder: Path

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger"

    @property
    def trust(self) -> Path:
        return self.folder / "trust" / "trust.json"

    @property
    def code(self) -> int:
        """Of this year's registrations."""
        return 33061300 + int(local_day(Clock().now(), 8 * 3600)[2:4])

    def key(self, name: str) -> Path:
        return self.folder / "keys" / f"{name}.json"

    def bill(self, number: int) -> str:
        return f"{self.code}:{number:010d}"

    def act(self, who: str, *arguments: object) -> Answer:
        """A command that acts, signed by `who`."""
        more = ("--dir", self.ledger, "--key", self.key(who), "--log-key", self.key("log"))
        return tally(*arguments, *more, "--json")

    def office(self) -> Sequence[object]:
        """Options of a command that goes through the hospital's vault."""
        return ("--vault", self.folder / "vault", "--vault-key", self.key("vault"))

    def drafts(self, *seeds: int) -> Path:
        """A file of drafts as people write them: without network, number and type."""
        made = []
        for seed in seeds:
            draft = builtins(make_draft(seed, "registration", issued_at=Clock().now()))
            made.append(
                {n: v for n, v in draft.items() if n not in ("network", "number", "type")}
                | {"issuer": "hospital-01"}
            )
        path = self.folder / f"drafts-{'-'.join(map(str, seeds))}.json"
        path.write_text(json.dumps(made, ensure_ascii=False), encoding="utf-8")
        return path

    def keep(self) -> Answer:
        """The keeper catches up and co-signs."""
        return done(
            *("keep", "--from", self.ledger / "feed", "--dir", self.folder / "keeper"),
            *("--key", self.key("keeper"), "--once", "--json"),
        )


def found_counter(folder: Path) -> Counter:
    """Keys, a plan, a ledger, one type, ten numbers and three bills; all by commands."""
    counter = Counter(folder)
    for name in SIGNING:
        done("keygen", counter.key(name), "--name", name)
    done("keygen", counter.key("vault"), "--name", "vault", "--kind", "vault")
    (folder / "plan.toml").write_text(PLAN, encoding="utf-8")
    genesis = folder / "genesis" / "genesis.json"
    done("genesis", folder / "plan.toml", "--output", genesis, "--trust", counter.trust)
    done("found", counter.ledger, "--genesis", genesis, "--key", counter.key("log"))
    range_ = ("--code", counter.code, "--range", "1-10", "--level")
    for who, arguments in (
        ("finance", ("bills", "define-type", "registration")),
        ("finance", ("bills", "allot", *range_, 0, "--to", "finance")),
        ("finance", ("bills", "allot", *range_, 3, "--to", "hospital-01", "--from", "0:1")),
    ):
        answer = counter.act(who, *arguments)
        assert answer.code == 0, answer.out + answer.err
    drafts = counter.drafts(1, 2, 3)  # dated now: the type is in force by now
    answer = counter.act("hospital-01", "bills", "issue", drafts, *counter.office())
    assert answer.code == 0, answer.out + answer.err
    return counter
