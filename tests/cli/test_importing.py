"""A Synthea import and finance's archive by command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from counter import Counter, done, tally
from synthea_sample import Sample


@pytest.fixture
def export(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    folder.mkdir()
    Sample().write(folder)
    return folder


def test_an_export_is_rehearsed_imported_and_not_imported_twice(
    export: Path, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    common = ("bills", "import", "synthea", export, "--dir", ledger, "--json")
    rehearsed = done(*common, "--dry-run").json
    assert rehearsed["reconciled"] is True and not ledger.exists()
    imported = done(*common).json
    assert imported["issued"] == rehearsed["issued"] > 0
    assert imported["totals"]["difference"] == 0
    again = done(*common).json
    assert (again["issued"], again["imported_before"]) == (0, imported["issued"])
    shown = done(*common[:-1]).out
    assert "reconciled: source = imported + credits + refused" in shown
    size = done("status", ledger, "--json").json["size"]
    assert size >= imported["issued"]


def test_a_damaged_export_imports_nothing_and_says_where(export: Path, tmp_path: Path) -> None:
    file = export / "claims_transactions.csv"
    file.write_bytes(file.read_bytes()[:-10])
    ledger = tmp_path / "ledger"
    answer = tally("bills", "import", "synthea", export, "--dir", ledger, "--json")
    assert answer.code == 2
    assert "claims_transactions.csv" in answer.error["detail"] + answer.error["path"]
    assert not (ledger / "ledger.db").exists() or (
        done("status", ledger, "--json").json["size"] == 0
    )
    gone = tally("bills", "import", "synthea", tmp_path / "gone", "--dir", ledger, "--json")
    assert (gone.code, gone.error["code"]) == (2, "cli.filenotfound")


def test_insurers_reimburse_and_the_report_says_what_became_of_it(
    export: Path, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    run = ("bills", "import", "synthea", export, "--dir", ledger, "--json")
    report = ("bills", "report", "synthea", "--dir", ledger)
    planned = done(*run, "--dry-run").json
    assert planned["reimbursed"] is None
    assert planned["claims_planned"]["settle:patient_share"] == 3
    missing = (export / "payer_transitions.csv").rename(tmp_path / "aside.csv")
    without = done(*run).json
    assert (without["claims_planned"], without["reimbursed"]) == (None, None)
    nothing = tally(*report, "--json")
    assert (nothing.code, nothing.error["code"]) == (2, "cli.no_claims")
    missing.rename(export / "payer_transitions.csv")
    said = done(*run).json["reimbursed"]
    assert (said["reconciled"], said["total"]["settled"]) == (True, 27_160)
    assert said["answers"]["rejected:not_covered"] == 1
    assert done(*report, "--json").json == said
    shown = done(*report).out
    assert "reconciled: source = settled + transferred + copay + credits + refused" in shown
    assert "271.60" in shown
    assert done(*run, "--dry-run").json["issued"] == 0


def test_a_report_that_does_not_reconcile_is_a_failure(export: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    done("bills", "import", "synthea", export, "--dir", ledger, "--json")
    source = ledger / "synthea" / "source.jsonl"
    source.write_bytes(source.read_bytes().replace(b'"borne":6000', b'"borne":6001', 1))
    answer = tally("bills", "report", "synthea", "--dir", ledger)
    assert answer.code == 1
    assert "NOT reconciled" in answer.out
    assert "1 of 2 patients" in answer.out.replace("\n", " ")
    assert done("status", ledger, "--json").json["size"] > 0


def test_bodies_are_delivered_and_archived_in_another_folder(counter: Counter) -> None:
    for name, kind in (("archive", "vault"), ("delivery", "delivery")):
        done("keygen", counter.key(name), "--name", name, "--kind", kind)
    mail = counter.folder / "mail"
    send = ("--deliver-to", f"finance={counter.key('delivery')}")
    issue = ("bills", "issue", counter.drafts(4, 5), *counter.office(), *send, "--mailbox", mail)
    answer = counter.act("hospital-01", *issue)
    assert answer.code == 0, answer.err
    archive = (
        *("--dir", counter.folder / "archive", "--archive-key", counter.key("archive")),
        "--json",
    )
    run = (
        *("bills", "archive", "run", "--ledger", counter.ledger, "--mailbox", mail),
        *("--org", "finance", "--key", counter.key("finance"), "--patience", 0, "--once"),
        *("--delivery-key", counter.key("delivery"), *archive),
    )
    first = done(*run).json
    assert (first["archived"], first["wrong"], first["proposed"]) == (2, 0, 1)
    node = ("node", counter.ledger, "--log-key", counter.key("log"), "--seconds", 0.6)
    done(*node)
    second = done(*run).json  # it waited long enough for what it lacks: now that is named
    assert (second["archived"], second["proposed"]) == (0, 1)
    done(*node)
    assert done("bills", "archive", "findings", *archive).json == {"findings": []}
    deliver = ("bills", "deliver", mail, *counter.office(), *send, "--again")
    again = counter.act("hospital-01", *deliver).json
    assert again == {"delivered": 3, "owed_anew": 3}  # those that were issued before
    assert done(*run).json["archived"] == 3


def test_an_archive_reads_its_keepers_ledger_and_hands_its_acts_to_the_node(
    counter: Counter,
) -> None:
    for name, kind in (("archive", "vault"), ("delivery", "delivery")):
        done("keygen", counter.key(name), "--name", name, "--kind", kind)
    kept = counter.folder / "kept-by-finance"
    run = (
        *("bills", "archive", "run", "--ledger", kept, "--mailbox", counter.folder / "mail"),
        *("--org", "finance", "--key", counter.key("finance"), "--patience", 0, "--once"),
        *("--delivery-key", counter.key("delivery"), "--dir", counter.folder / "archive"),
        *("--archive-key", counter.key("archive"), "--json"),
    )
    nothing = tally(*run, "--box", counter.ledger)
    assert (nothing.code, nothing.error["code"]) == (2, "cli.no_ledger")
    done(
        *("keep", "--from", counter.ledger / "feed", "--dir", kept, "--once"),
        *("--key", counter.key("keeper"), "--json"),
    )
    boxless = tally(*run)
    assert (boxless.code, boxless.error["code"]) == (2, "cli.no_box")
    found = done(*run, "--box", counter.ledger).json
    assert (found["records"], found["archived"]) == (3, 0)
    acts = list((counter.ledger / "box").glob("*.tx"))
    assert len(acts) == found["proposed"] == 1, "the bodies that it lacks are named"


def test_deliver_to_is_an_organisation_and_its_key(counter: Counter) -> None:
    issue = ("bills", "issue", counter.drafts(6), *counter.office(), "--deliver-to", "finance")
    answer = counter.act("hospital-01", *issue)
    assert (answer.code, json.loads(answer.err)["error"]["code"]) == (2, "cli.deliver_to")
