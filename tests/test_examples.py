"""The examples run as they stand."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from acts import founder
from offices import HOSPITAL, signer
from served import RealCity, serving
from synthea_sample import Sample

from tallystick.apps.bills.address import read_address
from tallystick.apps.bills.hospital import Hospital
from tallystick.apps.bills.synthea import import_synthea
from tallystick.apps.bills.synthea_claims import write_kept
from tallystick.apps.bills.synthea_ledger import KEYS, KeyFolder, found_for_import
from tallystick.apps.bills.synthea_reimburse import hand_over, ledger_for_claims
from tallystick.cli.founding import make_policy
from tallystick.contracts.bills.views.claims import list_claims
from tallystick.engines.clock import Clock
from tallystick.keyring import generate
from tallystick.node import Node
from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.genesis import FoundingKey, read_genesis

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(name: str, *arguments: Path | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_first_bill_is_issued_and_verified_offline(tmp_path: Path) -> None:
    issued = run("first_bill.py", tmp_path / "province")
    assert issued.returncode == 0, issued.stderr
    assert "is accepted, entry 6" in issued.stdout
    trust, receipt = write_trust(tmp_path / "province"), tmp_path / "province" / "receipt.json"
    verified = run("verify_offline.py", receipt, trust)
    assert verified.returncode == 0
    assert verified.stdout.startswith("GOOD: authentic, accepted and good\n  1 item hash")
    changed = json.loads(receipt.read_bytes())
    changed["item"]["total"] += 1
    receipt.write_bytes(encode(changed))
    refuted = run("verify_offline.py", receipt, trust)
    assert refuted.returncode == 1 and "step 2" in refuted.stdout


@contextmanager
def served(ledger: Path, log_key: Path) -> Iterator[str]:
    """A ledger, served as its operator would: the address."""
    command = [sys.executable, "-m", "tallystick.cli", "serve", str(ledger)]
    options = ["--log-key", str(log_key), "--listen", "127.0.0.1:0"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def write_trust(folder: Path, ledger: str = "ledger") -> Path:
    genesis, network = read_genesis((folder / ledger / "genesis.json").read_bytes())
    policy = make_policy(
        genesis, network, threshold=0, required=[], status_max_age_seconds=3600, names={}
    )
    trust = folder / "trust.json"
    trust.write_bytes(encode(policy))
    return trust


def test_a_hospital_issues_over_the_wire(tmp_path: Path) -> None:
    province, hospital = tmp_path / "province", tmp_path / "hospital"
    assert run("first_bill.py", province).returncode == 0
    trust, key = write_trust(province), province / "hospital-01.json"
    with served(province / "ledger", province / "log.json") as url:
        done = run("hospital_adapter.py", url, trust, key, hospital, "12")
        assert done.returncode == 0, done.stderr
        assert "is authentic, accepted and good" in done.stdout
        assert "8 of 12 bills" in done.stdout  # ten numbers, of which two were gone
        assert done.stdout.count("refused: bills.number_not_allocated") == 4
    (receipt,) = hospital.glob("receipt-*.json")
    assert run("verify_offline.py", receipt, trust).returncode == 0


def test_the_guide_of_the_sdk_does_what_it_says(tmp_path: Path) -> None:
    page = (EXAMPLES.parent / "docs" / "guides" / "sdk.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    province = tmp_path / "province"
    assert run("first_bill.py", province).returncode == 0
    write_trust(province).rename(tmp_path / "trust.json")
    (province / "hospital-01.json").rename(tmp_path / "hospital-01.json")
    with served(province / "ledger", province / "log.json") as url:
        command = [sys.executable, "-c", f"url = {url!r}\n{block}"]
        subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    assert run("verify_offline.py", tmp_path / "receipt.json", tmp_path / "trust.json").stdout


def test_insurers_engines_claim_over_the_wire(tmp_path: Path) -> None:
    """The whole Synthea sample, each insurer by its own process, as often as ranks ask for."""
    ledger, keys = tmp_path / "ledger", KeyFolder(tmp_path / "ledger" / KEYS)
    export = Sample().write(tmp_path / "export")
    with found_for_import(ledger, keys, Node.found, at=Clock().now()) as node:
        books = ledger_for_claims(node, ledger, keys)
        report = import_synthea(export, books)
        cases = hand_over(export, books, report.reconciliation.refusals)
    write_trust(tmp_path)
    write_kept(tmp_path / "cases.jsonl", cases)
    insurers = list(dict.fromkeys(case.ask.reimburser for case in cases))
    with served(ledger, ledger / KEYS / "log.json") as url:
        for _ in insurers[1:]:  # who is second in a plan waits for the first
            for org in insurers:
                engine(url, org, tmp_path)
        said = [engine(url, org, tmp_path) for org in insurers]
    assert not any("bills." in each for each in said), said
    answers = Counter(case.ask.answer for case in cases)
    with Node.open(ledger, keys.held("log")) as node, node.view() as view:
        settled = [claim for claim in list_claims(view) if claim.state != "rejected"]
        assert len(settled) == answers["settle"] > 1
        paid = sum(claim.amounts["settled"] for claim in settled)
        assert paid == sum(case.ask.amount for case in cases if case.ask.answer == "settle")


def engine(url: str, org: str, folder: Path) -> str:
    key = folder / "ledger" / KEYS / f"{org}.json"
    done = run(
        "insurer_engine.py",
        url,
        folder / "trust.json",
        key,
        folder / org,
        folder / "cases.jsonl",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_citys_wallet_gets_its_bills_and_asks_as_their_holder(tmp_path: Path) -> None:
    city_key = generate(tmp_path / "city.json", name="city")
    app = replace(
        founder("city-app", "bills.read"),
        keys=[FoundingKey(key=city_key.public_key, actions=["*"])],
    )
    with RealCity(tmp_path / "city", more=[app]) as city, serving(city) as server:
        policy = write_trust(tmp_path / "city", "node")

        def wallet() -> str:
            asked = server.url, policy, tmp_path / "city.json", tmp_path / "wallet", HOSPITAL
            done = run("city_wallet.py", *asked)
            assert done.returncode == 0, done.stderr
            return done.stdout

        assert "0 new bills" in wallet()
        address = read_address((tmp_path / "wallet" / "address.json").read_bytes())
        with Hospital.open(
            tmp_path / "hospital", server.url, policy, signer(f"{HOSPITAL}/key")
        ) as hospital:
            draft = city.draft(1)
            hospital.with_office(lambda office: office.register(draft.payer, address))
            (bill,) = hospital.issue([draft])
            assert hospital.deliver(tmp_path / "wallet" / "mailbox").delivered == 1
        said = wallet()
        number = f"{bill.code}:{bill.number:010d}"
        assert "1 new bills, 0 letters wait" in said
        assert f"{number} of {HOSPITAL}: authentic, accepted and good" in said
