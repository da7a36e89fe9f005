"""`tally wallet`, and what members and issuers do for whoever holds a bill."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from acts import nonce
from counter import Answer, Counter, done, tally

from tallystick.cli.desk import open_node
from tallystick.contracts.bills.items.bills import Archived
from tallystick.engines.clock import Clock
from tallystick.keyring import load
from tallystick.protocol.values import format_instant

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "patient.md"
READER = ("--to", "finance", "--purpose", "audit")
FIELDS = ("--fields", "items/*", "--fields", "payer/name")


class Patient:
    """A wallet beside a counter, made if it is not there yet."""

    def __init__(self, counter: Counter, name: str = "ann") -> None:
        self.counter = counter
        self.folder = counter.folder / name
        self.until = format_instant(Clock().now() + 86_400)
        if not self.folder.exists():
            done("wallet", "init", self.folder, "--genesis", counter.ledger / "genesis.json")

    @property
    def mailbox(self) -> Path:
        return self.counter.folder / "mail"

    def run(self, command: str, *arguments: object, ledger: bool = True) -> Answer:
        at = ("--dir", self.counter.ledger) if ledger else ()
        return tally("wallet", command, *arguments, "--wallet", self.folder, *at)

    def ok(self, command: str, *arguments: object, ledger: bool = True) -> Answer:
        answer = self.run(command, *arguments, ledger=ledger)
        assert answer.code == 0, answer.out + answer.err
        return answer

    def say(self, command: str, *arguments: object) -> Answer:
        """Something signed, and entered at once with finance's key."""
        by = ("--key", self.counter.key("finance"), "--log-key", self.counter.key("log"))
        return self.run(command, *arguments, *by, "--json")

    def said(self, command: str, *arguments: object) -> str:
        answer = self.say(command, *arguments)
        assert answer.code == 0, answer.out + answer.err
        act: str = answer.json["act"]
        return act

    def consent(self, bill: str, *more: object) -> str:
        return self.said("consent", bill, *READER, *FIELDS, "--until", self.until, *more)

    def standing(self, act: str) -> str:
        rows = self.ok("acts", "--json").json["acts"]
        (found,) = [str(row["standing"]) for row in rows if row["act"] == act]
        return found

    def present(self, bill: str, output: Path, *more: object) -> Answer:
        self.counter.keep()
        named = ("--fields", "items/*", "--out", output, "--log-key", self.counter.key("log"))
        return self.run("present", bill, *READER, *named, *more)

    def address(self, via: str = "hospital-01") -> Path:
        path = self.counter.folder / f"{self.folder.name}-{via}.json"
        self.ok("address", "--via", via, "--out", path, ledger=False)
        return path

    def receive(self) -> Any:
        return self.ok("receive", "--from", self.mailbox, "--json").json


def at_office(counter: Counter, command: str, *arguments: object) -> Answer:
    """A command of the hospital's vault that needs no signing key."""
    return tally("bills", command, *arguments, *counter.office(), "--dir", counter.ledger)


def visits(counter: Counter, *seeds: int) -> Path:
    """Drafts of several visits of one patient."""
    drafts = json.loads(counter.drafts(*seeds).read_text(encoding="utf-8"))
    for draft in drafts:
        draft["payer"] = drafts[0]["payer"]
    path = counter.folder / f"visits-{'-'.join(map(str, seeds))}.json"
    path.write_text(json.dumps(drafts), encoding="utf-8")
    return path


def issue(counter: Counter, drafts: Path) -> None:
    mail = ("--mailbox", counter.folder / "mail")
    answer = counter.act("hospital-01", "bills", "issue", drafts, *counter.office(), *mail)
    assert answer.code == 0, answer.out + answer.err


def archive(counter: Counter) -> None:
    """Finance has the bodies of all bills so far."""
    with open_node(counter.ledger, log_key=counter.key("log")) as node:
        item = Archived(nonce=nonce(2), issuer="hospital-01", below=node.ledger.head.size)
        sent = node.act(load(counter.key("finance")), "finance", "bills.archived/1", [item])
        assert list(sent.outcomes) == ["accepted"]


def digits_of(counter: Counter, seed: int) -> str:
    (draft,) = json.loads(counter.drafts(seed).read_text(encoding="utf-8"))
    return str(draft["payer"]["id_number"][-4:])


@pytest.fixture(scope="session")
def homely(standing: Counter, tmp_path_factory: pytest.TempPathFactory) -> Counter:
    """Ann's wallet holds two bills, numbers 4 and 5, which came by themselves."""
    folder = tmp_path_factory.mktemp("homely") / "counter"
    shutil.copytree(standing.folder, folder)
    counter = Counter(folder)
    ann = Patient(counter)
    draft = visits(counter, 20)
    assert at_office(counter, "register-address", ann.address(), "--draft", draft).code == 0
    issue(counter, visits(counter, 20, 21))
    assert ann.receive()["bills"] == [counter.bill(4), counter.bill(5)]
    return counter


@pytest.fixture
def ann(homely: Counter, tmp_path: Path) -> Patient:
    shutil.copytree(homely.folder, tmp_path / "counter")
    return Patient(Counter(tmp_path / "counter"))


def test_bills_come_by_themselves_and_stand_as_the_ledger_says(homely: Counter) -> None:
    ann = Patient(homely)
    rows = ann.ok("list", "--json").json["bills"]
    assert [row["bill"] for row in rows] == [homely.bill(4), homely.bill(5)]
    assert {(row["key"], row["state"], row["kind"]) for row in rows} == {
        ("unbound", "issued", "blue")
    }
    assert all(0 < row["left"] <= row["total"] for row in rows)
    assert homely.bill(4) in ann.ok("list").out
    shown = ann.ok("show", homely.bill(4), "--json").json
    assert shown["body"]["number"] == 4
    assert (shown["readers"], shown["key"]) == ([], "unbound")
    text = ann.ok("show", homely.bill(4)).out
    assert "unbound: whoever sent it knows the key too" in text
    assert shown["body"]["payer"]["name"] in text
    told = ann.ok("about", "--json", ledger=False).json
    assert told["bills"] == 2
    assert [each["via"] for each in told["addresses"]] == ["hospital-01"]
    assert ann.receive() == {"bills": [], "refused": [], "shares": [], "waiting": 0}
    none = ann.run("show", homely.bill(1), "--json")
    assert (none.code, none.error["code"]) == (2, "cli.not_in_wallet")
    none = ann.run("show", homely.bill(9), "--json")
    assert (none.code, none.error["code"]) == (3, "bills.bill_unknown")


def test_a_consent_is_relayed_by_any_member_shown_and_revoked(ann: Patient, tmp_path: Path) -> None:
    counter, bill = ann.counter, ann.counter.bill(4)
    file, shown = tmp_path / "consent.json", tmp_path / "shown.json"
    words = ("consent", bill, *READER, *FIELDS, "--until", ann.until, "--out", file)
    act = ann.ok(*words, "--json").json["act"]
    assert file.stat().st_mode & 0o077 == 0
    assert ann.standing(act) == "not entered"
    early = ann.present(bill, shown)
    assert (early.code, "cli.no_consent" in early.err) == (2, True)
    assert counter.act("hospital-01", "bills", "relay", file).json["outcomes"] == ["accepted"]
    assert counter.act("finance", "bills", "relay", file).code == 3  # once and no more
    assert ann.standing(act) == "holds"
    (reader,) = ann.ok("show", bill, "--json").json["readers"]
    assert (reader["reader"], reader["live"]) == ("finance", True)
    assert reader["fields"] == ["items/*", "payer/name"]
    assert ann.present(bill, shown).code == 0
    check = ("verify", shown, "--for", "finance", "--purpose", "audit", "--trust", counter.trust)
    assert done(*check).out.startswith("GOOD")
    again = ann.run(*words, "--json")
    assert (again.code, again.error["code"]) == (2, "cli.fileexists")
    assert len(ann.ok("acts", "--json").json["acts"]) == 1  # nothing was signed in vain
    ann.said("revoke", act)
    assert ann.standing(act) == "over"
    assert ann.present(bill, tmp_path / "late.json").code == 2
    assert ann.present(bill, tmp_path / "late.json", "--by", act).code == 0
    check = ("verify", tmp_path / "late.json", *check[2:])
    assert tally(*check).code == 3


def test_a_field_that_was_not_allowed_is_not_shown(ann: Patient, tmp_path: Path) -> None:
    bill, shown = ann.counter.bill(4), tmp_path / "shown.json"
    act = ann.consent(bill)
    more = ("--fields", "payer/id_number")
    assert ann.present(bill, shown, *more).code == 2  # no act covers it
    refused = ann.present(bill, shown, *more, "--by", act)
    assert (refused.code, "payer/id_number" in refused.err) == (1, True)
    assert ann.present(ann.counter.bill(5), shown, "--by", act).code == 2  # of another bill
    assert not shown.exists()


def test_a_mandate_covers_every_bill_and_a_basis_and_an_opening_show_it(
    ann: Patient, tmp_path: Path
) -> None:
    counter, shown = ann.counter, tmp_path / "shown.json"
    words = (*READER, "--fields", "items/*", "--until", ann.until, "--cap", "20.00")
    act = ann.said("mandate", *words)
    for number in (4, 5):
        path = tmp_path / f"{number}.json"
        assert ann.present(counter.bill(number), path).code == 0
        check = ("verify", path, "--for", "finance", "--purpose", "audit")
        assert done(*check, "--trust", counter.trust).out.startswith("GOOD")
    basis = tmp_path / "basis.json"
    assert ann.run("basis", act, "--out", basis).code == 2  # of which bill?
    ann.ok("basis", act, "--bill", counter.bill(4), "--out", basis)
    office = tally(
        *("present", "--bill", counter.bill(4), *READER, "--fields", "items/*", "--by", basis),
        *(*counter.office(), "--dir", counter.ledger, "--out", shown),
        *("--log-key", counter.key("log")),
    )
    assert office.code == 0, office.err
    opening = tmp_path / "opening.json"
    ann.ok("opening", counter.bill(4), "--out", opening)
    assert set(json.loads(opening.read_bytes())) == {"key", "nonce"}
    ann.said("revoke", act)
    assert ann.standing(act) == "over"


def test_a_reimburser_claims_by_mandate_and_opening(ann: Patient, tmp_path: Path) -> None:
    counter, opening = ann.counter, tmp_path / "opening.json"
    words = ("--to", "finance", "--purpose", "claim", "--fields", "total", "--until", ann.until)
    act = ann.said("mandate", *words)
    ann.ok("opening", counter.bill(4), "--out", opening)
    claims = ("--claims", tmp_path / "claims")
    done("claims", "init", tmp_path / "claims", "--dir", counter.ledger,
         "--key", counter.key("finance"))  # fmt: skip
    archive(counter)
    before = ann.ok("show", counter.bill(4), "--json").json
    answer = counter.act(
        *("finance", "claims", "lock", counter.bill(4), "--amount", "0.10", "--purpose", "claim"),
        *("--right", "mandate", "--right-id", act, "--opening", opening, *claims),
        *("--basis", "cash_account"),
    )
    assert answer.code == 0, answer.out + answer.err
    row = ann.ok("show", counter.bill(4), "--json").json
    assert row["locked"] == "0.10"
    assert row["left"] == before["left"] - 10


def test_bind_takes_a_bill_to_a_key_of_its_own_and_an_objection_stops_a_rebinding(
    ann: Patient,
) -> None:
    counter, bill = ann.counter, ann.counter.bill(4)
    nothing = ann.say("object", bill)
    assert (nothing.code, nothing.error["code"]) == (3, "bills.nothing_pending")
    act = ann.consent(bill)
    bound = ann.say("bind", bill)
    assert bound.json["outcomes"] == ["accepted"]
    assert ann.ok("show", bill, "--json").json["key"] == "bound"
    assert ann.standing(act) == "over"
    assert ann.standing(bound.json["act"]) == ""
    bob = Patient(counter, "bob")
    address = bob.address()
    rebind = ("bills", "rebind", bill, "--to", address, "--reason", "lost")
    assert counter.act("hospital-01", *rebind).code == 0
    assert counter.act("hospital-01", *rebind).json["outcomes"] == ["bills.rebind_waits"]
    waiting = ann.ok("show", bill, "--json").json
    assert (waiting["key"], waiting["new_binding_disputed"]) == ("bound", False)
    refused = ann.say("consent", bill, *READER, *FIELDS, "--until", ann.until)
    assert (refused.code, refused.json["outcomes"]) == (3, ["bills.rebind_waits"])
    assert ann.say("object", bill).json["outcomes"] == ["accepted"]
    assert ann.ok("show", bill, "--json").json["new_binding_disputed"]
    decide = ("bills", "arbitrate", bill, "--reason", "papers_seen", "--uphold")
    assert counter.act("finance", *decide, "both").code == 2
    assert counter.act("finance", *decide, "new").code == 0
    assert ann.ok("show", bill, "--json").json["key"] == "other"
    late = ann.say("consent", bill, *READER, *FIELDS, "--until", ann.until)
    assert (late.code, late.error["code"]) == (3, "cli.not_yours")
    mail = ("--mailbox", ann.mailbox)
    unknown = at_office(counter, "send-again", bill, *mail, "--json")
    assert (unknown.code, unknown.error["code"]) == (3, "cli.no_address")
    named = ("--draft", visits(counter, 20))
    assert at_office(counter, "register-address", address, *named).code == 0
    assert at_office(counter, "send-again", bill, *mail).code == 0
    assert bob.receive()["bills"] == [bill]


def test_a_helper_acts_on_bills_that_were_shared(ann: Patient) -> None:
    counter = ann.counter
    son = Patient(counter, "son")
    address = son.address("hospital-01")
    key = son.ok("about", "--json", ledger=False).json["helper_key"]
    act = ann.said("helper", key, "--until", ann.until)
    early = son.say("consent", counter.bill(4), *READER, *FIELDS, "--until", ann.until, "--as", act)
    assert (early.code, early.json["outcomes"]) == (3, ["bills.holder_key"])
    shared = ann.ok("share", act, "--to", address, "--mailbox", ann.mailbox, "--json").json
    assert shared["bills"] == [counter.bill(4), counter.bill(5)]
    assert son.receive()["shares"] == [act]
    given = son.consent(counter.bill(4), "--as", act)
    (reader,) = ann.ok("show", counter.bill(4), "--json").json["readers"]
    assert (reader["act"], reader["live"], reader["fields"]) == (given, True, None)
    assert son.standing(given) == "holds"
    son.said("revoke", given)
    assert son.standing(given) == "over"
    assert ann.run("share", given, "--to", address, "--mailbox", ann.mailbox).code == 2
    alone = ann.said("helper", key, "--until", ann.until, "--bill", counter.bill(5))
    assert ann.run("share", alone, "--to", address, "--mailbox", ann.mailbox).code == 0
    assert (ann.standing(act), ann.standing(alone)) == ("holds", "holds")
    ann.said("revoke", alone)
    assert ann.standing(alone) == "over"


def test_from_paper_to_a_wallet_by_a_code_and_four_digits(ann: Patient, tmp_path: Path) -> None:
    counter, bill, asked = ann.counter, ann.counter.bill(1), 0
    code = at_office(counter, "paper-code", bill, "--json").json["code"]
    assert at_office(counter, "paper-code", bill).out.strip() == code

    def hand_over(said: str, digits: str, *more: object) -> Answer:
        nonlocal asked
        asked += 1
        file = tmp_path / f"request-{asked}.json"
        words = ("--code", said, "--digits", digits, "--via", "hospital-01", "--out", file)
        ann.ok("claim-paper", bill, *words, ledger=False)
        mail = ("--mailbox", ann.mailbox, "--json")
        return at_office(counter, "hand-over", file, *mail, *more)

    right = digits_of(counter, 1)
    for left in (4, 3, 2, 1, 0):
        wrong = hand_over("AAAA-AAAA", right)
        assert (wrong.code, wrong.json["tries_left"]) == (3, left)
    closed = hand_over(code, right)
    assert (closed.code, closed.json["outcome"]) == (3, "closed")
    assert tally("bills", "reopen", bill, *counter.office()).out.strip().endswith("5 tries")
    handed = hand_over(code.lower(), "4321", "--phone", "13900004321")
    assert (handed.code, handed.json["outcome"]) == (0, "handed")
    assert ann.receive()["bills"] == [bill]
    assert ann.say("bind", bill).code == 0
    taken = hand_over(code, right)
    assert (taken.code, taken.json["outcome"]) == (3, "taken")
    assert at_office(counter, "paper-code", counter.bill(9)).code == 2


def test_addresses_are_registered_by_number_and_ended(ann: Patient) -> None:
    counter = ann.counter
    (draft,) = json.loads(counter.drafts(30).read_text(encoding="utf-8"))
    payer = draft["payer"]
    named = ("--payer-id", payer["id_number"], "--payer-id-type", payer["id_type"])
    address = Patient(counter, "bob").address()
    assert at_office(counter, "register-address", address, *named).code == 0
    issue(counter, counter.drafts(30))
    assert Patient(counter, "bob").receive()["bills"] == [counter.bill(6)]
    ended = tally("bills", "end-address", *named, *counter.office(), "--json")
    assert ended.json == {"ended": True}
    issue(counter, counter.drafts(31))
    assert Patient(counter, "bob").receive()["bills"] == []
    for bad in ((), (*named, "--draft", counter.drafts(30)), ("--payer-id", "")):
        assert at_office(counter, "register-address", address, *bad).code == 2
    odd = ("--payer-id", "1", "--payer-id-type", "nonsense")
    assert at_office(counter, "register-address", address, *odd).code == 2


def test_the_log_of_a_bill_is_put_together_out_of_ledger_and_vaults(
    ann: Patient, tmp_path: Path
) -> None:
    counter, bill = ann.counter, ann.counter.bill(4)
    ann.consent(bill)
    vault, key = counter.folder / "vault", counter.key("vault")
    told = ("--reader", "dr-wu", "--purpose", "care")
    done("vault", "show", vault, bill, "--key", key, "--dir", counter.ledger, *told)
    at = ("--dir", counter.ledger, "--json")
    found = done("wallet", "log", bill, "--vault", f"hospital-01={vault}={key}", *at).json["log"]
    assert {"bills.issue", "bills.consent"} < {each["what"] for each in found}
    assert [(each["where"], each["why"]) for each in found if each.get("who") == "dr-wu"] == [
        ("hospital-01", "care")
    ]
    reads = tmp_path / "reads.json"
    printed = done("vault", "reads", vault, bill, "--key", key, "--json").out
    reads.write_text(printed, encoding="utf-8")
    named = ("wallet", "log", bill, "--reads", f"hospital-01={reads}", *at)
    assert done(*named).json["log"] == found
    assert "dr-wu" in done(*named[:-1]).out
    other = tally("wallet", "log", counter.bill(5), "--reads", f"hospital-01={reads}", *at)
    assert (other.code, other.error["code"]) == (2, "cli.reads")
    bad = tally("wallet", "log", bill, "--vault", "nonsense", *at)
    assert (bad.code, bad.error["code"]) == (2, "cli.parts")


def test_the_seed_alone_is_the_wallet(ann: Patient, tmp_path: Path) -> None:
    counter = ann.counter
    restored = tmp_path / "restored"
    restored.mkdir()
    network = ann.ok("about", "--json", ledger=False).json["network"]
    assert tally("wallet", "init", restored, "--network", network, "--restore").code == 2
    shutil.copy(ann.folder / "seed.key", restored)
    told = done("wallet", "init", restored, "--network", network, "--restore", "--json").json
    again, first = tmp_path / "again.json", counter.folder / "ann-hospital-01.json"
    done("wallet", "address", "--via", "hospital-01", "--out", again, "--wallet", restored)
    assert told["network"] == network
    assert again.read_bytes() == first.read_bytes()
    bills = [counter.bill(4), counter.bill(5)]
    mail = ("--mailbox", ann.mailbox, "--json")
    assert at_office(counter, "send-again", *bills, *mail).json == {"sent": 2}
    found = done("wallet", "receive", "--from", ann.mailbox, "--wallet", restored,
                 "--dir", counter.ledger, "--json")  # fmt: skip
    assert found.json["bills"] == bills
    assert at_office(counter, "send-again", counter.bill(9), *mail).code == 2
    done("wallet", "address", "--via", "hospital-01", "--new", "--out", tmp_path / "new.json",
         "--wallet", restored)  # fmt: skip
    assert (tmp_path / "new.json").read_bytes() != first.read_bytes()


def test_a_wallet_is_locked_and_of_one_network(ann: Patient, tmp_path: Path) -> None:
    folder, right, wrong = tmp_path / "locked", tmp_path / "right", tmp_path / "wrong"
    right.write_text("correct horse", encoding="utf-8")
    wrong.write_text("battery", encoding="utf-8")
    init = ("wallet", "init", folder, "--network", "ab" * 32)
    done(*init, "--wallet-passphrase-file", right)
    assert tally(*init).code == 2  # there is one
    about = ("wallet", "about", "--wallet", folder, "--wallet-passphrase-file")
    assert done(*about, right).code == 0
    assert tally(*about, wrong).code == 1
    there = ("--dir", ann.counter.ledger, "--json")
    other = tally("wallet", "list", "--wallet", folder, "--wallet-passphrase-file", right, *there)
    assert (other.code, other.error["code"]) == (2, "cli.other_network")
    none = tally("wallet", "list", "--wallet", tmp_path, *there)
    assert (none.code, none.error["code"]) == (2, "cli.no_wallet")
    for bad in ((), ("--network", "ab"), ("--network", "ab" * 32, "--genesis", wrong)):
        assert tally("wallet", "init", tmp_path / "bad", *bad).code == 2
    assert not (tmp_path / "bad").exists()


def test_what_no_record_could_hold_is_refused_before_it_is_signed(ann: Patient) -> None:
    bill = ann.counter.bill(4)
    for to, purpose, fields, until, path in (
        ("Finance!", "audit", "items/*", ann.until, "org"),
        ("finance", "two words", "items/*", ann.until, "purpose"),
        ("finance", "audit", "items/*", "tomorrow", "until"),
        ("finance", "audit", "no such", ann.until, "paths/0"),
    ):
        words = ("--to", to, "--purpose", purpose, "--fields", fields, "--until", until)
        answer = ann.say("consent", bill, *words)
        assert answer.code == 2
        assert path in answer.error["path"]
    allowed = (*READER, *FIELDS, "--until", ann.until)
    stranger = ann.say("consent", ann.counter.bill(1), *allowed)
    assert (stranger.code, stranger.error["code"]) == (2, "cli.not_in_wallet")
    nobody = ann.run("consent", bill, *allowed, "--json")
    assert (nobody.code, nobody.error["code"]) == (2, "cli.no_relay")
    unknown = ann.say("revoke", "ab" * 32)
    assert (unknown.code, unknown.error["code"]) == (2, "cli.no_act")
    assert ann.ok("acts", "--json").json["acts"] == []
    past = ann.say("consent", bill, *READER, *FIELDS, "--until", "2020-01-01T00:00:00Z")
    assert (past.code, past.json["outcomes"]) == (3, ["kit.until_past"])
    assert ann.standing(past.json["act"]) == "not entered"
    bound = ann.said("bind", bill)
    nothing = ann.say("revoke", bound)
    assert (nothing.code, nothing.error["code"]) == (2, "cli.nothing_allowed")


def test_it_is_told_in_chinese_and_in_tables(ann: Patient) -> None:
    bill = ann.counter.bill(4)
    ann.consent(bill)
    assert "finance" in ann.ok("acts").out
    assert "audit" in ann.ok("show", bill).out
    refused = tally("--lang", "zh", "wallet", "show", ann.counter.bill(1), "--wallet", ann.folder,
                    "--dir", ann.counter.ledger)  # fmt: skip
    assert "钱包中没有该票据" in refused.err


def test_each_line_of_the_patients_guide_works(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(counter.folder)
    page = GUIDE.read_text(encoding="utf-8").replace("CODE", str(counter.code))
    lines = "".join(re.findall(r"^```sh\n(.*?)^```$", page, re.M | re.S)).splitlines()
    found: dict[str, str] = {"UNTIL": format_instant(Clock().now() + 86_400)}
    found["DIGITS"] = digits_of(counter, 1)
    said = ""
    for line in lines:
        filled = reduce(lambda text, each: text.replace(*each), found.items(), line)
        command, _, file = filled.partition(" > ")
        words = shlex.split(command)
        if words[0] == "export":
            for each in words[1:]:
                monkeypatch.setenv(*each.split("=", 1))
            continue
        if "present" in words:
            counter.keep()
        answer = done(*words[1:])
        said += answer.out
        if file:
            Path(file).write_text(answer.out, encoding="utf-8")
        if "paper-code" in words:
            found["PAPER"] = answer.out.strip()
        if words[1:3] == ["wallet", "acts"]:
            rows = done("wallet", "acts", "--json").json["acts"]
            found["ACT"] = next(row["act"] for row in rows if row["what"] == "consent")
    assert len(lines) == 28
    assert "GOOD: authentic, accepted and good" in said
