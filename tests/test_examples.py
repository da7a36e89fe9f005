"""The examples run as they stand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tallystick.cli.founding import make_policy
from tallystick.protocol.canonical import encode
from tallystick.protocol.genesis import read_genesis

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(name: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
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
    genesis, network = read_genesis((tmp_path / "province/ledger/genesis.json").read_bytes())
    policy = make_policy(
        genesis, network, threshold=0, required=[], status_max_age_seconds=3600, names={}
    )
    trust, receipt = tmp_path / "trust.json", tmp_path / "province" / "receipt.json"
    trust.write_bytes(encode(policy))
    verified = run("verify_offline.py", receipt, trust)
    assert verified.returncode == 0
    assert verified.stdout.startswith("GOOD: authentic, accepted and good\n  1 item hash")
    changed = json.loads(receipt.read_bytes())
    changed["item"]["total"] += 1
    receipt.write_bytes(encode(changed))
    refuted = run("verify_offline.py", receipt, trust)
    assert refuted.returncode == 1 and "step 2" in refuted.stdout
