"""The examples run as they stand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tallystick.cli.founding import make_policy
from tallystick.protocol.canonical import encode
from tallystick.protocol.genesis import read_genesis

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
def served(folder: Path) -> Iterator[str]:
    """What `first_bill.py` has made, served as its operator would: the address."""
    command = [sys.executable, "-m", "tallystick.cli", "serve", str(folder / "ledger")]
    options = ["--log-key", str(folder / "log.json"), "--listen", "127.0.0.1:0"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def write_trust(folder: Path) -> Path:
    genesis, network = read_genesis((folder / "ledger/genesis.json").read_bytes())
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
    with served(province) as url:
        done = run("hospital_adapter.py", url, trust, key, hospital, "12")
        assert done.returncode == 0, done.stderr
        assert "is authentic, accepted and good" in done.stdout
        assert "8 of 12 bills" in done.stdout  # ten numbers, of which two were gone
        assert done.stdout.count("refused: bills.number_not_allocated") == 4
    (receipt,) = hospital.glob("receipt-*.json")
    assert run("verify_offline.py", receipt, trust).returncode == 0
