"""Documents for the three verifiers, and what the one in Python makes of each.

Invariant: the expectation comes out of the verifier in Python as it is, never out of a list.
See docs/spec/verifier.md.
"""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import Any

from browser import Chromium, need
from playwright.sync_api import Browser
from vectors import generate

import tallystick.web.verifier
from tallystick.apps.bills.presentation import Shown, Unfit, verify_presentation
from tallystick.apps.bills.slip import verify_slip
from tallystick.protocol.checkpoint import parse_checkpoint, parse_note
from tallystick.protocol.equivocation import policy_keys, verify_equivocation
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.trust import (
    TrustPolicy,
    read_trust,
    verify_keepers,
    verify_log_signature,
    verify_origin,
)
from tallystick.verify import (
    FailedStep,
    Verdict,
    Verified,
    verdict,
    verify_receipt,
    verify_state,
    verify_status,
)
from tallystick.web.verifier import bundle

HERE = Path(__file__).parent / "web"
MODULES = Path(tallystick.web.verifier.__file__).parent
VECTORS = Path(generate.__file__).parent
OUTCOMES = HERE / "verifier_outcomes.js"
KINDS = ("receipt", "status", "state", "note", "equivocation", "presentation", "slip")
"""What the page reads. A batch receipt is for programs that have the whole transaction."""
ASKED = ("status", "now", "about", "audience", "purpose")

Job = dict[str, Any]


@cache
def trust(path: str) -> TrustPolicy:
    return read_trust((VECTORS / path).read_bytes())


def cases() -> list[dict[str, Any]]:
    """The vectors that the page must read, each with its bytes in `data`."""
    listed = json.loads((VECTORS / "index.json").read_bytes())
    return [
        case | {"data": (VECTORS / case["file"]).read_bytes()}
        for case in listed
        if case["kind"] in KINDS
    ]


def job_of(documents: list[dict[str, Any]]) -> Job:
    """The job of `verifier_outcomes.js` for these documents."""
    policies = sorted({case["policy"] for case in documents})
    sent = []
    for case in documents:
        one = {name: case[name] for name in ("kind", *ASKED) if name in case}
        one |= {"data": base64(case["data"]), "policy": policies.index(case["policy"])}
        if "checkpoint" in case:
            one["checkpoint"] = base64((VECTORS / case["checkpoint"]).read_bytes())
        sent.append(one)
    read = [base64((VECTORS / path).read_bytes()) for path in policies]
    return {"documents": sent, "policies": read, "texts": [], "instants": [], "keys": []}


def in_python(case: dict[str, Any]) -> dict[str, Any]:
    """What the verifier in Python makes of one document, in the words of the job's answer."""
    told: dict[str, Any] = {"step": None, "path": "", "steps": [], "as_of": None, "orgs": []}
    told |= {"kind": None, "warnings": [], "detail": ""}
    try:
        return told | _held(case)
    except Unfit as unfit:
        judged, shown = unfit.verdict, unfit.shown
        told |= _shown(shown) | {"detail": unfit.detail}
        return told | {
            "verdict": judged.name,
            "exit": judged.exit_code,
            "steps": told["steps"][:-1],
        }
    except (Malformed, VerificationFailed) as error:
        judged, step = verdict(error), getattr(error, "step", None)
        told |= {"verdict": judged.name, "exit": judged.exit_code, "detail": error.detail}
        return told | {"step": step, "path": error.path}


def _held(case: dict[str, Any]) -> dict[str, Any]:
    data, policy, kind = case["data"], trust(case["policy"]), case["kind"]
    if kind == "note":
        return _note(data, policy)
    if kind == "equivocation":
        proven = verify_equivocation(data, policy_keys(policy))
        return {"verdict": "PROVEN", "exit": 0, "kind": proven.kind}
    if kind == "presentation":
        named = {name: case[name] for name in ("audience", "purpose", "now")}
        return _shown(verify_presentation(data, policy, **named)) | {"verdict": "GOOD", "exit": 0}
    if kind == "slip":
        slip = verify_slip(data, policy, now=case["now"])
        detail = slip.against[0].detail if slip.against else ""
        return _verified(slip.verified, slip.verdict) | {"detail": detail}
    asked: dict[str, Any] = {"now": case.get("now"), "about": case.get("about")}
    if "checkpoint" in case:
        asked["checkpoint"] = (VECTORS / case["checkpoint"]).read_bytes()
    if kind == "state":
        found = verify_state(data, policy, **asked)
    elif kind == "status":
        found = verify_status(data, policy, **asked)
    else:
        found = verify_receipt(data, policy, status=case.get("status", False), **asked)
    return _verified(found, found.verdict)


def _verified(found: Verified, judged: Verdict) -> dict[str, Any]:
    steps = [list(step) for step in found.steps]
    told = {"verdict": judged.name, "exit": judged.exit_code, "steps": steps}
    return told | {"as_of": found.as_of, "orgs": list(found.orgs)}


def _shown(shown: Shown) -> dict[str, Any]:
    steps = [list(step) for step in shown.steps]
    told = {"steps": steps, "as_of": shown.as_of, "orgs": list(shown.orgs)}
    return told | {"warnings": list(shown.warnings)}


def _note(data: bytes, policy: TrustPolicy) -> dict[str, Any]:
    """A checkpoint by itself: steps 8 to 10, for which `tally verify` has no verdict."""
    note = parse_note(data)
    checkpoint = parse_checkpoint(note.text)
    names = {8: "checkpoint", 9: "log signature", 10: "policy"}
    step = 8
    try:
        verify_origin(policy, note)
        step = 9
        verify_log_signature(policy, note)
        step = 10
        vouched = verify_keepers(policy, note)
    except VerificationFailed as error:
        raise FailedStep(step, names[step], error.detail) from None
    found = (
        f"{checkpoint.origin}, size {checkpoint.size}, root {checkpoint.root.hex()}",
        "by a log key of the policy",
        ", ".join(vouched.keepers) or "no keeper is asked for",
    )
    steps = [[number, names[number], text] for number, text in zip(names, found, strict=True)]
    told = {"verdict": "VOUCHED", "exit": 0, "steps": steps}
    return told | {"as_of": vouched.as_of, "orgs": list(vouched.orgs)}


def in_node(expression: Path, job: Job, folder: Path) -> Any:
    """What an expression makes of a job in Node, in one process."""
    file = folder / "job.json"
    file.write_text(json.dumps(job), encoding="utf-8")
    made = subprocess.run(
        [need("node"), HERE / "verifier_node.mjs", MODULES / "library.mjs", expression, file],
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert made.returncode == 0, made.stderr.decode()
    return json.loads(made.stdout)


def in_chromium(chromium: Chromium, expression: Path, job: Job, folder: Path) -> Any:
    """The same in a page from a disk without a network, which must ask for nothing but itself."""
    file = folder / "verify.html"
    file.write_text(bundle(), encoding="utf-8")

    def work(browser: Browser) -> Any:
        context = browser.new_context(offline=True)
        page = context.new_page()
        asked, wrong = list[str](), list[str]()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(file.as_uri())
        page.wait_for_selector("#ask:not([hidden])")
        source = expression.read_text(encoding="utf-8")
        answer = page.evaluate(f"(job) => ({source})(globalThis.tallystick, job)", job)
        context.close()
        assert (asked, wrong) == ([file.as_uri()], [])
        return answer

    return chromium.run(work)


def base64(data: bytes) -> str:
    return b64encode(data).decode()
