"""The offline verifier: receipts, statuses, state proofs, batch receipts, under a trust policy.

`verifier` has the steps and what they prove, `verdicts` whether to act on it. See
docs/spec/receipt.md.

Invariant: it needs the protocol and nothing else: no ledger, no network, no clock.
"""

from tallystick.verify.steps import FailedStep, Step
from tallystick.verify.verdicts import CLOCK_AHEAD_SECONDS_MAX, State, Verdict, worst
from tallystick.verify.verifier import (
    Verified,
    VerifiedBatch,
    Verifier,
    verdict,
    verify_batch,
    verify_receipt,
    verify_state,
    verify_status,
)

__all__ = [
    "CLOCK_AHEAD_SECONDS_MAX",
    "FailedStep",
    "State",
    "Step",
    "Verdict",
    "Verified",
    "VerifiedBatch",
    "Verifier",
    "verdict",
    "verify_batch",
    "verify_receipt",
    "verify_state",
    "verify_status",
    "worst",
]
