"""The vectors of `modules/`, and proofs of equivocation, by the verifier in JavaScript.

Invariant: a proof has the very bytes of the one that Python makes. See docs/spec/verifier.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import verifying
from browser import Chromium
from vectors.proofs import Forked
from vectors.world import build
from verifying import VECTORS

from tallystick.protocol.canonical import encode
from tallystick.protocol.equivocation import (
    policy_keys,
    prove_equivocation,
    prove_two_leaves,
    verify_equivocation,
)
from tallystick.protocol.receipt import Receipt

EXPRESSION = verifying.HERE / "verifier_modules.js"
POLICY = VECTORS / "policies" / "trust.json"
NAMES = ("merkle", "page", "map", "checkpoint", "presentation", "body")


@pytest.fixture(scope="module")
def forked() -> Forked:
    return Forked(build())


def receipts(forked: Forked) -> tuple[Receipt, Receipt]:
    """Of one index, in two histories."""
    one, two = forked.one, forked.longer
    index = forked.index
    return (
        one.receipt(index, forked.note(one).decode()),
        two.receipt(index, forked.note(two).decode()),
    )


@pytest.fixture(scope="module")
def job(forked: Forked) -> Any:
    one, two, longer = (forked.note(chain) for chain in (forked.one, forked.two, forked.longer))
    pairs = [(one, two), (encode(receipts(forked)[0]), encode(receipts(forked)[1]))]
    pairs += [(one, longer), (one, one)]
    policy = verifying.base64(POLICY.read_bytes())
    return {
        "modules": {
            name: json.loads((VECTORS / "modules" / f"{name}.json").read_bytes()) for name in NAMES
        },
        "equivocations": [
            {
                "first": verifying.base64(first),
                "second": verifying.base64(second),
                "policy": policy,
            }
            for first, second in pairs
        ],
    }


def check(answer: Any, forked: Forked) -> None:
    keys = policy_keys(verifying.trust("policies/trust.json"))
    roots = prove_equivocation(forked.note(forked.one), forked.note(forked.two), keys)
    leaves = prove_two_leaves(*receipts(forked), keys)
    assert verify_equivocation(leaves, keys).kind == "two_leaves"
    assert answer["wrong"] == []
    assert answer["proofs"] == [
        verifying.base64(roots),
        verifying.base64(leaves),
        "NotDecidable",
        "one size and one root: no contradiction",
    ]


def test_node(job: Any, forked: Forked, tmp_path: Path) -> None:
    check(verifying.in_node(EXPRESSION, job, tmp_path), forked)


def test_chromium(chromium: Chromium, job: Any, forked: Forked, tmp_path: Path) -> None:
    check(verifying.in_chromium(chromium, EXPRESSION, job, tmp_path), forked)


def test_a_wrong_vector_is_seen(job: Any, tmp_path: Path) -> None:
    changed = json.loads(json.dumps(job))
    changed["modules"]["merkle"]["roots"][-1] = "00" * 32
    changed["modules"]["page"]["steps"][0]["root"] = "00" * 32
    changed["modules"]["map"]["steps"][0]["root"] = "00" * 32
    changed["modules"]["body"][0]["root"] = "00" * 32
    wrong = verifying.in_node(EXPRESSION, changed, tmp_path)["wrong"]
    assert {each.split()[0] for each in wrong} >= {"inclusion", "page", "map", "the"}
