"""A reconciliation from end to end: bills out of the vault and the ledger, the result signed and
kept, its acts tried, and done when somebody says so.

1. the bills of the day are found    2. what the ledger says of each is read    3. line by line they
are compared    4. each act that could be done is tried, and changes nothing    5. the result is
signed and kept    6. on demand, the acts of a kept result are done, those alone whose trial
succeeded, each under a ref of its own, so that none is done twice

Invariant: nothing is done that a kept result does not name. See docs/spec/reconciliation.md.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from tallystick.apps.bills.acts import BillId as Numbered
from tallystick.apps.bills.days import Days
from tallystick.apps.bills.reconcile import (
    CONTEXT,
    FORMAT,
    LINES_MAX,
    Act,
    Applied,
    Bill,
    Difference,
    Done,
    Here,
    Line,
    Result,
    Scope,
    Signed,
    compare,
)
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.records import bills as records
from tallystick.contracts.bills.records.bills import format_bill_id, parse_bill_id
from tallystick.contracts.bills.views.bills import find_bill
from tallystick.contracts.kit.context import slot_key
from tallystick.durable import read_file, write_file
from tallystick.ledger.view import Reading
from tallystick.protocol.canonical import check_plain, decode, encode, narrow, replace
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.errors import Damaged, Malformed, VerificationFailed
from tallystick.protocol.keys import Signer, verify_signature
from tallystick.protocol.values import format_instant
from tallystick.vault import Standing, Vault

FOLDER = "reconciled"
RESULT_BYTES_MAX = 256 * 1024 * 1024
PROVEN_MAX = 500
"""Bills whose rows are read one by one, each proven; of more the ledger's lists are believed."""
GAP_MAX = 200
PREPARED_MAX = 1_000_000

Refs = Callable[[str], Sequence[str]]
"""Under which refs of the caller's a bill is known, beside its business codes."""
Find = Callable[[str], str | None]
"""The bill that was made for a ref."""


class Reconciled(NamedTuple):
    """A result and its differences."""

    result: Result
    differences: list[Difference]


class At(NamedTuple):
    """Where bills are read."""

    folder: Path
    vault: Vault
    view: Reading
    refs: Refs = lambda bill: ()
    find: Find = lambda ref: None


def gather(at: At, scope: Scope, lines: Sequence[Line]) -> tuple[list[Bill], bool]:
    """The bills of a scope, and those elsewhere that a line names; and whether each row is proven.

    A body that was erased is not compared: nobody can say any more of which day it was.
    """
    with Days(at.folder, at.vault, at.view.genesis.utc_offset_seconds) as days:
        days.refresh()
        wanted = dict.fromkeys(days.bills(scope.day, scope.place, scope.shift))
        wanted |= dict.fromkeys(
            (one.code, one.number) for one in at.vault.prepared(limit=PREPARED_MAX)
        )
        wanted |= dict.fromkeys(_named(at, lines))
        held = [(one, body) for one in wanted if (body := _body(at, *one)) is not None]
        rows = _rows(at.view, [one for one, _ in held])
        made = [_bill(at, one, body, rows.get(one), days) for one, body in held]
        return [each for each in made if each is not None], len(held) <= PROVEN_MAX


def _named(at: At, lines: Iterable[Line]) -> Iterator[Numbered]:
    for line in lines:
        if line.bill is not None:
            yield parse_bill_id(line.bill)
        elif line.ref:
            bill = at.find(line.ref)
            if bill is not None:
                yield parse_bill_id(bill)


def _body(at: At, code: int, number: int) -> Body | None:
    try:
        return decode(at.vault.get(code, number)[0], Body)
    except KeyError:
        return None


def _rows(view: Reading, wanted: Sequence[Numbered]) -> dict[Numbered, records.Bill]:
    found: dict[Numbered, records.Bill] = {}
    if len(wanted) <= PROVEN_MAX:
        view.prefetch([slot_key(*each) for each in wanted], records.Bill)
        for each in wanted:
            row = find_bill(view, format_bill_id(*each))
            if row is not None:
                found[each] = row
        return found
    for code, first, last in _runs(sorted(wanted)):
        for row in view.scan_slots(records.Bill, code, first, last):
            found[parse_bill_id(row.id)] = row
    return found


def _runs(wanted: Sequence[Numbered]) -> Iterator[tuple[int, int, int]]:
    """Ranges that hold all of them and little else."""
    for code, some in groupby(wanted, lambda each: each[0]):
        numbers = [number for _, number in some]
        first = last = numbers[0]
        for number in numbers:
            if number - last > GAP_MAX:
                yield code, first, last
                first = number
            last = number
        yield code, first, last


def _bill(at: At, one: Numbered, body: Body, row: records.Bill | None, days: Days) -> Bill | None:
    standing = at.vault.find(*one)
    if standing is None or body.issuer == "":
        return None
    bill = format_bill_id(*one)
    state = _state(standing, row)
    paper = row.paper.id if row is not None and row.paper is not None else None
    return Bill(
        bill=bill,
        refs=list(dict.fromkeys([*at.refs(bill), *body.business_codes])),
        total=body.total,
        state=state,
        red=body.kind == "red",
        reverses=body.relates.reversal_of if body.relates else None,
        paper=paper,
        place=body.place_code,
        shift=body.cashier_shift,
        day=days.day_of(body),
    )


def _state(standing: Standing, row: records.Bill | None) -> Here:
    if standing.state == "refused":
        return "refused"
    if row is None or row.root is None:
        return "waiting"
    if row.state == "reversed":
        return "reversed"
    return "partly_reversed" if row.reversed_by else "issued"


# ------------------------------------------------------------------------------------ results


def reconcile(
    at: At,
    scope: Scope,
    lines: Sequence[Line],
    *,
    org: str,
    now: int,
    by: str = "",
    attempt: Callable[[Difference, Act], Act] = lambda difference, act: act,
) -> Reconciled:
    """Compare, and try what could be done: `attempt` gives an act with what would become of it."""
    if len(lines) > LINES_MAX:
        raise Malformed(f"{len(lines)} lines, more than {LINES_MAX}", path="lines")
    bills, proven = gather(at, scope, lines)
    found = compare(scope, lines, bills)
    differences = [
        each if each.act is None else replace(each, act=attempt(each, each.act))
        for each in found.differences
    ]
    result = Result(
        format=FORMAT,
        network=at.view.network,
        org=org,
        scope=scope,
        at=format_instant(now),
        by=by,
        list_digest=sha256(encode(list(lines))).digest(),
        proven=proven,
        there=found.there,
        here=found.here,
        equal=found.equal,
        outside=found.outside,
        netted=found.netted,
        classes=found.classes,
        differences=len(differences),
        differences_digest=sha256(_written(differences)).digest(),
    )
    return Reconciled(result, differences)


def keep(folder: Path, found: Reconciled, signer: Signer) -> Path:
    """Sign a result and keep it with its differences, one a line."""
    result = found.result
    signed = Signed(
        result=result,
        digest=result.digest,
        key=signer.public_key,
        signature=signer.sign(CONTEXT + encode(result)),
    )
    kept = folder / FOLDER
    kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = kept / f"{result.scope.day}-{result.digest.hex()[:16]}.jsonl"
    write_file(path, encode(signed) + b"\n" + _written(found.differences), mode=0o600)
    return path


def _written(differences: Iterable[Difference]) -> bytes:
    return b"".join(encode(each) + b"\n" for each in differences)


def read_result(data: bytes) -> Reconciled:
    """A kept result; `VerificationFailed` unless it is whole and its signature holds."""
    head, _, rest = data.partition(b"\n")
    signed = decode(head, Signed)
    if signed.digest != signed.result.digest:
        raise VerificationFailed("the digest is of another result", path="digest")
    verify_signature(signed.key, CONTEXT + encode(signed.result), signed.signature)
    if sha256(rest).digest() != signed.result.differences_digest:
        raise VerificationFailed("the differences are not those of the result", path="differences")
    differences = [decode(each, Difference) for each in rest.split(b"\n")[:-1]]
    return Reconciled(signed.result, differences)


def find_result(folder: Path, digest: bytes) -> Reconciled | None:
    """The kept result with this digest."""
    for path in (folder / FOLDER).glob(f"*-{digest.hex()[:16]}.jsonl"):
        data = read_file(path, RESULT_BYTES_MAX)
        try:
            found = read_result(data)
        except (Malformed, VerificationFailed) as error:
            raise Damaged(f"{path}: {error}") from error
        if found.result.digest == digest:
            return found
    return None


def newest(folder: Path) -> Result | None:
    """The result that was kept last."""
    files = sorted((folder / FOLDER).glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    return read_result(read_file(files[-1], RESULT_BYTES_MAX)).result if files else None


def ref_of(result: Result, difference: Difference) -> str:
    """The ref under which an act of a plan is done: the same plan does it once."""
    return f"reconciled-{result.digest.hex()[:32]}-{difference.n}"


def apply(
    folder: Path, plan: Reconciled, do: Callable[[Difference, Act, str], Done], *, now: int
) -> Applied:
    """Do what a plan names and what its trial allowed; keep what became of it."""
    result = plan.result
    done = [
        do(each, each.act, ref_of(result, each))
        for each in plan.differences
        if each.act is not None and each.act.outcome == ACCEPTED
    ]
    applied = Applied(plan=result.digest, at=format_instant(now), acts=done)
    path = folder / FOLDER / f"applied-{result.scope.day}-{result.digest.hex()[:16]}.json"
    write_file(path, encode(applied), mode=0o600)
    return applied


# --------------------------------------------------------------------------------------- lists


def read_lines(text: str, name: str) -> list[Line]:
    """The lines of a table with commas (``*.csv``), or of JSON, one line a bill or a list."""
    if name.endswith(".csv"):
        stated: Iterable[Any] = _table(text)
    elif text.lstrip().startswith("["):
        stated = _json(text, "list")
    else:
        stated = (_json(each, n) for n, each in enumerate(text.splitlines(), 1) if each.strip())
    found = []
    for n, each in enumerate(stated):
        try:
            check_plain(each)
            found.append(narrow(each, Line))
        except Malformed as error:
            raise Malformed(error.detail, path=f"{n}/{error.path}".rstrip("/")) from None
    return found


def _json(text: str, where: object) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"line {where}: not JSON: {str(error)[:100]}") from None


def _table(text: str) -> Iterator[dict[str, Any]]:
    rows = csv.DictReader(text.splitlines())
    for n, row in enumerate(rows):
        made: dict[str, Any] = {}
        for name, value in row.items():
            if not isinstance(name, str) or value is None or isinstance(value, list):
                raise Malformed("more or fewer fields than names", path=str(n))
            if value == "":
                continue
            if name == "total":
                if not (value.isascii() and value.isdigit()):
                    raise Malformed("whole minor units (fen), as 1230", path=f"{n}/total")
                made[name] = int(value)
            elif name == "red":
                made[name] = value.lower() in ("1", "true", "yes", "red")
            else:
                made[name] = value
        yield made
