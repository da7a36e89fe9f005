"""Write the vectors: ``python tests/vectors/generate.py``. The same bytes on every machine.

Documents lie in folders by kind, ``receipts``, ``states`` and so on, each in ``pass`` or ``fail``;
`index.json` says how each is looked at and what must come of it. See docs/spec/README.md.
"""

from __future__ import annotations

import json
import re
import sys
from itertools import chain
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from vectors import attacks, batches, cases, modules, presentations, proofs, state_attacks, statuses  # noqa: E402  # found above
from vectors.cases import Case  # noqa: E402  # as above
from vectors.world import build  # noqa: E402  # as above

from tallystick.protocol.canonical import encode  # noqa: E402  # as above

FOLDERS = {
    "receipt": "receipts",
    "state": "states",
    "batch": "batches",
    "status": "statuses",
    "note": "notes",
    "equivocation": "equivocations",
    "presentation": "presentations",
    "slip": "slips",
}


def files() -> dict[str, bytes]:
    """Every file of the vectors, by its path."""
    world = build()
    made = {f"policies/{name}.json": encode(p) for name, p in cases.policies().items()}
    made |= {f"at-hand/{name}.txt": note.encode() for name, note in cases.notes(world).items()}
    made |= {f"transactions/{name}.json": tx for name, tx in batches.transactions(world).items()}
    for name, value in modules.modules(world).items():
        made[f"modules/{name}.json"] = _pretty(value)
    shown = presentations.Shown()
    index, counts = [], dict.fromkeys(((f, p) for f in FOLDERS for p in (True, False)), 0)
    all_cases = chain(
        cases.passing(world),
        attacks.failing(world),
        state_attacks.failing_below(world),
        batches.passing(world),
        batches.failing(world),
        statuses.passing(world),
        statuses.failing(world),
        proofs.notes(world),
        proofs.equivocations(world),
        presentations.presentations(shown),
        presentations.slips(shown),
    )
    for case in all_cases:
        counts[case.kind, case.passes] += 1
        path = _path(case, counts[case.kind, case.passes])
        made[path] = case.data
        index.append(_described(case, path))
    made["index.json"] = _pretty(index)
    return made


def _path(case: Case, number: int) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", case.name.lower()).strip("-")
    suffix = "txt" if case.kind == "note" else "json"
    return f"{FOLDERS[case.kind]}/{'pass' if case.passes else 'fail'}/{number:03d}-{name}.{suffix}"


def _described(case: Case, path: str) -> dict[str, Any]:
    looked_at: dict[str, Any] = {"policy": f"policies/{case.policy}.json"}
    if case.status:
        looked_at["status"] = True
    if case.now is not None:
        looked_at["now"] = case.now
    if case.about is not None:
        looked_at["about"] = case.about
    if case.audience is not None and case.purpose is not None:
        looked_at |= {"audience": case.audience, "purpose": case.purpose}
    if case.transaction is not None:
        looked_at["transaction"] = f"transactions/{case.transaction}.json"
    if case.checkpoint is not None:
        looked_at["checkpoint"] = f"at-hand/{case.checkpoint}.txt"
    expected: dict[str, Any] = {"expect": case.expect}
    if case.step is not None:
        expected["step"] = case.step
    return {"file": path, "kind": case.kind, **looked_at, **expected, "why": case.why}


def _pretty(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=True) + "\n").encode()


def committed() -> dict[str, bytes]:
    """The files that are there."""
    found = [
        path for path in HERE.rglob("*") if path.is_file() and path.suffix in (".json", ".txt")
    ]
    return {path.relative_to(HERE).as_posix(): path.read_bytes() for path in found}


def main() -> None:
    made = files()
    for name in committed().keys() - made.keys():
        (HERE / name).unlink()
    for name, data in made.items():
        path = HERE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    print(f"{len(made)} files, {sum(map(len, made.values()))} bytes")


if __name__ == "__main__":
    main()
