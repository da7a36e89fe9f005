"""`tally letterbox` as a process of its own, killed and started again, and who delivers to it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from counter import Answer, Counter, done, tally

from tallystick.engines.clock import Clock
from tallystick.protocol.values import format_instant

READY = "letters are taken at "


@contextmanager
def letterbox(
    counter: Counter, *, listen: str = "127.0.0.1:0"
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [
        *(sys.executable, "-P", "-m", "tallystick.cli", "letterbox"),
        *("--box", counter.folder / "mail", "--ledger", counter.ledger, "--wallets"),
        *("--receiver", "finance", "--listen", listen),
    ]
    process = subprocess.Popen(
        [str(each) for each in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(READY), line + (process.stderr.read() if process.stderr else "")
        yield line.removeprefix(READY).strip(), process
    finally:
        process.kill()
        process.communicate()


class Patient:
    """A wallet beside a counter."""

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self.folder = counter.folder / "ann"
        done("wallet", "init", self.folder, "--genesis", counter.ledger / "genesis.json")

    def address(self) -> Path:
        path = self.counter.folder / "address.json"
        self.run("address", "--via", "hospital-01", "--out", path)
        return path

    def run(self, command: str, *arguments: object) -> Answer:
        return done("wallet", command, *arguments, "--wallet", self.folder)

    def collect(self, url: str) -> object:
        named = ("--letterbox", f"hospital-01={url}", "--to", self.counter.folder / "annes")
        return self.run("collect", *named, "--json").json

    def receive(self) -> list[str]:
        named = ("--from", self.counter.folder / "annes", "--dir", self.counter.ledger)
        bills: list[str] = self.run("receive", *named, "--json").json["bills"]
        return bills


def visits(counter: Counter, *seeds: int) -> Path:
    """Drafts of several visits of one patient."""
    drafts = json.loads(counter.drafts(*seeds).read_text(encoding="utf-8"))
    for draft in drafts:
        draft["payer"] = drafts[0]["payer"]
    path = counter.folder / "visits.json"
    path.write_text(json.dumps(drafts), encoding="utf-8")
    return path


def register(counter: Counter, address: Path, drafts: Path) -> None:
    one = counter.folder / "draft.json"
    draft = json.loads(drafts.read_text(encoding="utf-8"))[0]
    one.write_text(json.dumps(draft), encoding="utf-8")
    named = ("--draft", one, *counter.office(), "--dir", counter.ledger)
    done("bills", "register-address", address, *named)


def rotate(counter: Counter, *more: object) -> None:
    answer = counter.act("finance", "members", "delivery", "rotate", counter.folder / "mine", *more)
    assert answer.code == 0, answer.out + answer.err


def issue(counter: Counter, drafts: Path) -> None:
    send = ("--deliver-to", "finance")
    answer = counter.act("hospital-01", "bills", "issue", drafts, *counter.office(), *send)
    assert answer.code == 0, answer.out + answer.err


def deliver(counter: Counter, place: object, *more: object) -> Answer:
    return counter.act(
        "hospital-01",
        *("bills", "deliver", place, *counter.office(), "--deliver-to", "finance", *more),
    )


def run_archive(counter: Counter) -> Answer:
    return done(
        *("bills", "archive", "run", "--ledger", counter.ledger),
        *("--mailbox", counter.folder / "mail", "--org", "finance"),
        *("--key", counter.key("finance"), "--patience", 0, "--once"),
        *("--delivery-key", counter.folder / "mine", "--dir", counter.folder / "archive"),
        *("--archive-key", counter.key("archive"), "--json"),
    )


def owed(counter: Counter) -> Answer:
    return done("bills", "owed", *counter.office(), "--overdue", 0, "--json")


def test_letters_over_the_wire_with_a_kill_and_a_new_key(counter: Counter) -> None:
    done("keygen", counter.key("archive"), "--name", "archive", "--kind", "vault")
    rotate(counter)
    ann = Patient(counter)
    drafts, address = visits(counter, 4, 5), ann.address()
    with letterbox(counter) as (url, process):
        assert ann.collect(url) == {"fetched": 0}
        register(counter, address, drafts)
        issue(counter, drafts)
        assert deliver(counter, url).json == {"delivered": 4, "owed_anew": 0}
        process.kill()
        process.wait()
        issue(counter, counter.drafts(6))
        said = owed(counter).json
        assert said["delivered"] == 4
        assert [(row["receiver"], row["owed"]) for row in said["owed"]] == [("finance", 1)]
        assert "finance" in done("bills", "owed", *counter.office()).out
    with letterbox(counter) as (url, _):
        assert deliver(counter, url).json == {"delivered": 1, "owed_anew": 0}
        assert owed(counter).json == {"delivered": 5, "owed": []}
        assert run_archive(counter).json["archived"] == 3
        assert ann.collect(url) == {"fetched": 1}
        assert len(ann.receive()) == 2

        issue(counter, counter.drafts(7))
        rotate(counter, "--overlap-days", 0)
        gone = done(
            *("members", "delivery", "destroy", counter.folder / "mine"),
            *("--dir", counter.ledger, "--json"),
        )
        assert [len(gone.json[name]) for name in ("destroyed", "kept")] == [1, 1]
        shown = done("members", "delivery", "show", "finance", "--dir", counter.ledger, "--json")
        assert shown.json["key"] == gone.json["kept"][0]
        assert shown.json["before"] == gone.json["destroyed"][0]
    with letterbox(counter) as (url, _):
        assert deliver(counter, url).json["delivered"] == 1, "sealed anew: the old key is gone"
        assert run_archive(counter).json["archived"] == 1


def test_a_key_that_is_still_good_is_kept(counter: Counter) -> None:
    rotate(counter)
    rotate(counter, "--overlap-days", 3)
    destroy = ("members", "delivery", "destroy", counter.folder / "mine", "--dir", counter.ledger)
    assert "0 destroyed, 2 kept" in done(*destroy).out


def test_a_key_whose_entry_was_refused_is_taken_the_next_time(counter: Counter) -> None:
    answer = counter.act("hospital-01", "members", "delivery", "rotate", counter.folder / "mine")
    assert answer.code == 3, "its key is for bills alone"
    rotate(counter)
    assert len(list((counter.folder / "mine").iterdir())) == 1


def test_where_letters_go_is_said_as_it_can_be_used(counter: Counter) -> None:
    answer = deliver(counter, counter.folder / "mail")
    assert answer.error["code"] == "cli.deliver_to", "no key of finance's is known"
    rotate(counter)
    answer = deliver(counter, "http://letters.example")
    assert answer.error["code"] == "cli.address"
    answer = deliver(counter, counter.folder / "mail", "--route", "finance")
    assert answer.error["code"] == "cli.parts"
    wrong = tally("letterbox", "--box", counter.folder, "--ledger", counter.ledger, "--listen", "x")
    assert wrong.code != 0


def test_a_reimburser_is_sent_what_the_holder_allowed(counter: Counter) -> None:
    for name, kind in (("archive", "vault"), ("parts", "vault")):
        done("keygen", counter.key(name), "--name", name, "--kind", kind)
    rotate(counter)
    ann, drafts = Patient(counter), visits(counter, 4)
    register(counter, ann.address(), drafts)
    issue(counter, drafts)
    box, mine = counter.folder / "annes", counter.folder / "mine"
    kept = ("--parts", counter.folder / "parts", "--parts-key", counter.key("parts"))
    receive = (
        *("claims", "receive", "--mailbox", counter.folder / "readers", "--org", "finance"),
        *("--delivery-key", mine, *kept, "--dir", counter.ledger, "--json"),
    )
    deliver(counter, box)
    (bill,) = ann.receive()
    until = format_instant(Clock().now() + 86_400)
    sign = ("--key", counter.key("finance"), "--log-key", counter.key("log"))
    at = ("--dir", counter.ledger)
    said = ann.run(
        *("consent", bill, "--to", "finance", "--purpose", "claim", "--fields", "items/*"),
        *("--until", until, *sign, *at, "--json"),
    )
    basis = counter.folder / "basis.json"
    ann.run("basis", said.json["act"], "--out", basis, *at)
    share = ("bills", "share", basis, bill, *counter.office())
    assert counter.act("hospital-01", *share).json == {"owed": [{"bill": bill, "to": "finance"}]}
    route = f"finance={counter.folder / 'readers'}"
    assert deliver(counter, box, "--route", route).json["delivered"] == 1
    assert done(*receive).json["kept"] == [bill]
    assert done(*receive).json["kept"] == []
    (shown,) = done("claims", "shown", bill, *kept, "--json").json["shown"]
    assert (shown["right"], shown["right_id"]) == ("consent", said.json["act"])
    assert all(path.startswith("items/") for path in shown["fields"])
    assert said.json["act"] in done("claims", "shown", bill, *kept).out
    reads = ("vault", "reads", counter.folder / "parts", bill, "--key", counter.key("parts"))
    assert len(done(*reads, "--json").json["reads"]) == 2
