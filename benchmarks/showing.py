"""Presentations: made under mandates out of bodies of outpatient bills, and verified by a stranger.

Invariant: each presentation is of another bill, with proofs of its own; nothing is made twice.
See docs/benchmarks.md.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import load, references
from benchmarks.figures import Figure, Figures
from tallystick.apps.bills.fields import make_fields
from tallystick.apps.bills.generate import make_draft, make_institution
from tallystick.apps.bills.holders import BillKey, bill_key
from tallystick.apps.bills.presentation import Presentations
from tallystick.apps.bills.presenting import Basis, Private, Proofs, Prover, present
from tallystick.contracts.bills.items.bills import Issue
from tallystick.contracts.bills.items.holders import Act, GiveMandate, SaidMandate
from tallystick.contracts.bills.records.bills import format_bill_id
from tallystick.contracts.kit.acts import act_id, act_message
from tallystick.keyring import signer_from_seed
from tallystick.ledger.ledger import Ledger
from tallystick.protocol.body import body_root
from tallystick.protocol.canonical import decode, encode, replace
from tallystick.protocol.checkpoint import cosign, format_checkpoint, format_note, sign_note
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import format_instant

BATCH = 500
PURPOSE = "claim"
READER = "insurer"
FIELDS = make_fields(bytes(16), ["items/*", "payment/sources"])
SHOW = ("items/*", "payment/sources", "total")
WINDOWS = 5


class Counter:
    """A ledger with one wallet's bills, and a mandate that covers them."""

    def __init__(self, folder: Path, bills: int) -> None:
        self.now = int(time.time())
        self.ledger, self._load = load.found(folder, self.now)
        wallet = signer_from_seed(secrets.token_bytes(32))
        self.bills: list[tuple[str, Private, BillKey]] = []
        for start in range(1, bills + 1, BATCH):
            self._issue(range(start, min(start + BATCH, bills + 1)), wallet.public_key)
        said = SaidMandate(
            nonce=secrets.token_bytes(16),
            reader=READER,
            purpose=PURPOSE,
            fields=FIELDS.digest,
            until=format_instant(self.now + 3_600),
        )
        message = act_message(self.ledger.network, "bills.mandate/1", said)
        act = Act(key=wallet.public_key, signature=wallet.sign(message))
        self._run(READER, "bills.mandate/1", [GiveMandate(nonce=bytes(16), said=said, act=act)])
        self.mandate = act_id(message)

    def _issue(self, numbers: range, mandate_key: bytes) -> None:
        institution = make_institution(load.hospital_name(0), "示范市第一医院")
        items: list[Item] = []
        for number in numbers:
            draft = make_draft(number, "outpatient", institution=institution, issued_at=self.now)
            named = {"network": self.ledger.network, "code": load.CODE, "number": number}
            body = replace(draft, **named, type=load.CODE // 100)
            held = Private(encode(body), secrets.token_bytes(32))
            root = body_root(decode(held.body, dict[str, Any]), held.secret)
            key = bill_key(bytes(32), root, mandate_key)
            sources, liability = body.payment.sources, body.payment.liability
            items.append(
                Issue(
                    nonce=secrets.token_bytes(16),
                    code=load.CODE,
                    level=3,
                    first=1,
                    number=number,
                    type_version=1,
                    issued_at=body.issued_at,
                    currency=body.currency,
                    total=body.total,
                    account=sources.account,
                    cash=sources.cash,
                    self_pay=liability.self_pay if liability else 0,
                    self_expense=liability.self_expense if liability else 0,
                    root=root,
                    holder=key.commitment,
                )
            )
            self.bills.append((format_bill_id(load.CODE, number), held, key))
        self._run(load.hospital_name(0), "bills.issue/1", items)

    def _run(self, sender: str, action: str, items: list[Item]) -> None:
        data = self._load.transaction(sender, sender, action, items, self.now)
        outcomes = self.ledger.execute(self.now, [self.ledger.check(data)]).outcomes
        self.ledger.commit()
        if {each for some in outcomes for each in some} != {ACCEPTED}:
            raise RuntimeError(f"an act of the load was refused: {outcomes}")


def presenting(folder: Path, figures: Figures, count: int) -> None:
    """`present`: sealing, choosing, the proof for all; `verify_presentation`: all steps of each."""
    counter = Counter(folder, count)
    proofs = _proven(counter, figures)
    made, rates, ratios = list[bytes](), list[float](), list[float]()
    for some in _windows(count):
        start = time.process_time()
        for (_, held, _), proof in zip(counter.bills[some], proofs[some], strict=True):
            made.append(present(held, proof, SHOW, audience=READER, purpose=PURPOSE))
        rates.append((some.stop - some.start) / (time.process_time() - start))
        ratios.append(rates[-1] / references.verifying())
    figures.add(Figure("present", median(rates), "files/CPU-s", median(ratios), "R3"))
    reader, now = Presentations(load.trust(counter.ledger)), int(time.time())
    rates, ratios = list[float](), list[float]()
    for some in _windows(count):
        start = time.process_time()
        for data in made[some]:
            reader.verify(data, audience=READER, purpose=PURPOSE, now=now)
        rates.append((some.stop - some.start) / (time.process_time() - start))
        ratios.append(rates[-1] / references.verifying())
    figures.add(
        Figure("verify_presentation", median(rates), "files/CPU-s", median(ratios), "R3"),
        Figure("presentation_bytes", sum(map(len, made)) / count, "bytes a file"),
    )
    counter.ledger.close()


def _proven(counter: Counter, figures: Figures) -> list[Proofs]:
    """The receipt and the state proofs of each bill, at one moment of the ledger."""
    start = time.process_time()
    with counter.ledger.view() as view:
        prover = Prover(view, note_of(counter.ledger))
        proofs = [
            prover.prove(
                bill,
                Basis(mandate=counter.mandate, fields=FIELDS, opening=key.opening),
                audience=READER,
            )
            for bill, _, key in counter.bills
        ]
    rate = len(proofs) / (time.process_time() - start)
    figures.add(Figure("present_proofs", rate, "bills/CPU-s", rate / references.verifying(), "R3"))
    return proofs


def note_of(ledger: Ledger) -> bytes:
    """The head's checkpoint, signed by the log and by the keeper."""
    text = format_checkpoint(ledger.checkpoint)
    log = sign_note(text, ledger.origin, load.signer("log"))
    keeper = cosign(text, "keeper/finance", load.signer("keeper"), int(time.time()))
    return format_note(text, [log, keeper]).encode()


def _windows(count: int) -> list[slice]:
    size = max(count // WINDOWS, 1)
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
