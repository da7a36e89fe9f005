"""Verify a receipt offline, with nothing but the receipt and a trust policy of one's own.

``python examples/verify_offline.py RECEIPT TRUST``: prints the verdict and each step.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.trust import read_trust
from tallystick.verify import verdict, verify_receipt


def main(receipt: Path, trust: Path) -> int:
    """The exit code: 0 authentic and accepted, 1 false, 2 unreadable, 3 not to be acted on."""
    policy = read_trust(trust.read_bytes())
    try:
        found = verify_receipt(receipt.read_bytes(), policy, status=True)
    except Malformed as error:
        print(f"UNREADABLE: {error}")
        return 2
    except VerificationFailed as error:
        print(f"FALSE: {error}")
        return 1
    print(f"{found.verdict.name}: {found.verdict.text}")
    for step in found.steps:
        print(f"{step.number:>3} {step.what:<14} {step.finding}")
    return verdict(found).exit_code


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("python examples/verify_offline.py RECEIPT TRUST")
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2])))
