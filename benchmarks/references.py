"""What a figure is compared with: the machine's own limits, in the same process and minute.

R1 SHA-256 of 4 KB, R2 decoding bodies of bills with msgspec, R3 verifying signatures with the
library that we use, R4 appending to a file with an fdatasync a batch. All but R4 are operations per
CPU-second of one core, so that other load on the machine cancels.

Invariant: a reference does the bare thing and nothing of ours. See docs/benchmarks.md.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from statistics import median

import msgspec
from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair

REPETITIONS = 7
BODIES = 1_000


class _Line(msgspec.Struct, gc=False):
    line: int
    code: str
    name: str
    quantity: str
    unit: str
    amount: int


class _Bill(msgspec.Struct, gc=False):
    """Twenty fields and six items, about 940 bytes of JSON."""

    code: str
    number: str
    kind: str
    type: str
    issued_at: str
    issuer: str
    payer: str
    payer_id: str
    business_code: str
    clerk: str
    currency: str
    total: int
    fund: int
    other: int
    account: int
    cash: int
    self_pay: int
    self_expense: int
    remark: str
    items: list[_Line]


def cpu_rate(work: Callable[[], int], repetitions: int = REPETITIONS) -> float:
    """Operations per CPU-second: the median of some repetitions; `work` says how many it did."""
    rates = []
    for _ in range(repetitions):
        start = time.process_time()
        done = work()
        rates.append(done / (time.process_time() - start))
    return median(rates)


def hashing() -> float:
    """R1."""
    data = bytes(4_096)

    def work() -> int:
        for _ in range(20_000):
            sha256(data).digest()
        return 20_000

    return cpu_rate(work)


def decoding() -> float:
    """R2 by itself."""
    bills = [_body(n) for n in range(BODIES)]
    data = msgspec.json.encode(bills)
    decode = msgspec.json.Decoder(list[_Bill]).decode

    def work() -> int:
        for _ in range(20):
            decode(data)
        return 20 * BODIES

    return cpu_rate(work)


class Decoding:
    """R2 between the steps of a case: one list of 1,000 bodies at a time.

    So it meets the caches as the case has left them, as the case meets them; by itself, over and
    over the same list, it is up to a half faster.
    """

    def __init__(self) -> None:
        self._data = msgspec.json.encode([_body(n) for n in range(BODIES)])
        self._decode = msgspec.json.Decoder(list[_Bill]).decode
        self._seconds, self._bodies = 0.0, 0

    def take(self) -> None:
        """Decode one list."""
        start = time.process_time()
        self._decode(self._data)
        self._seconds += time.process_time() - start
        self._bodies += BODIES

    def rate(self) -> float:
        """Bodies per CPU-second since the last time it was asked."""
        rate = self._bodies / self._seconds
        self._seconds, self._bodies = 0.0, 0
        return rate


def verifying() -> float:
    """R3."""
    public, secret = crypto_sign_seed_keypair(bytes(32))
    signed = crypto_sign(bytes(400), secret)

    def work() -> int:
        for _ in range(2_000):
            crypto_sign_open(signed, public)
        return 2_000

    return cpu_rate(work, 5)


def appending(folder: Path, data: bytes, batches: int = 50) -> float:
    """R4: batches of 1,000 records a second, wall time, each followed by fdatasync."""
    path = folder / "reference-append"
    with path.open("wb", buffering=0) as file:
        start = time.perf_counter()
        for _ in range(batches):
            file.write(data)
            os.fdatasync(file.fileno())
        took = time.perf_counter() - start
    path.unlink()
    return batches * 1_000 / took


def _body(n: int) -> _Bill:
    lines = [_Line(at, "03", "检查费 examination", "1.00", "项", 71_728) for at in range(6)]
    return _Bill(
        code="33060126",
        number=f"{n:010d}",
        kind="blue",
        type="330601",
        issued_at="2026-01-12T01:31:07Z",
        issuer="hospital-01",
        payer="林知夏 Ada Quill",
        payer_id=f"9900{n:014d}",
        business_code=f"HIS-{n:010d}",
        clerk="w3",
        currency="CNY",
        total=99_354,
        fund=19_604,
        other=0,
        account=79_750,
        cash=0,
        self_pay=79_750,
        self_expense=0,
        remark="",
        items=lines,
    )
