"""The API's calls without a network: what to send, and how to read what comes back.

Each function makes a small frozen object; `sync.Client` and `aio.AsyncClient` send it. Who has
another transport sends it there: `method`, `path`, `query`, `body`, then `read`.

Invariant: what `read` returns has the form that the API describes, and is believed by nobody yet:
proofs are verified by whoever asked for them. See docs/spec/http.md.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeAlias, TypeVar
from urllib.parse import quote

from tallystick.client.failures import PROBLEM_BYTES_MAX, WrongAnswer, failure
from tallystick.protocol.batch import BATCH_BYTES_MAX
from tallystick.protocol.canonical import DOCUMENT_BYTES_MAX, Raw, Record, decode, parse
from tallystick.protocol.checkpoint import NOTE_BYTES_MAX
from tallystick.protocol.committed import Committed
from tallystick.protocol.entry import ACCEPTED, Outcome
from tallystick.protocol.errors import Malformed
from tallystick.protocol.receipt import RECEIPT_BYTES_MAX
from tallystick.protocol.tiles import TILE_WIDTH, TileId
from tallystick.protocol.transaction import ITEMS_MAX
from tallystick.protocol.values import Count, Digest, TxId

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

WAIT_SECONDS_MAX = 30
"""Longest that a server holds an answer back until enough keepers have signed."""
ROWS_MAX = 1_000
"""Most rows of one answer."""
ROWS_BYTES_MAX = DOCUMENT_BYTES_MAX
HEALTH_BYTES_MAX = 64 * 1024
FRAMES_BYTES_MAX = 16 * 1024 * 1024
JSON, NOTE = "application/json", "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """One request, and the type of its answer. All of these may be sent again at any time."""

    method: str
    path: str
    """With what is not plain in it escaped."""
    decode: Callable[[bytes], T_co]
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    """Beside those that every call has."""
    body: bytes = field(default=b"", repr=False)
    content_type: str = JSON
    signed: bool = False
    """Whether an operating key, a keeper's, a bill's or a pass must stand for it."""
    wait_seconds: int = 0
    """How long the server may hold the answer back."""
    answer_bytes_max: int = RECEIPT_BYTES_MAX

    @property
    def bytes_max(self) -> int:
        """No answer is read further than this."""
        return max(self.answer_bytes_max, PROBLEM_BYTES_MAX)

    @property
    def enters(self) -> bool:
        """Whether it may have changed the ledger though no answer came."""
        return self.method == "POST" and self.path.endswith("/transactions")

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> T_co:
        """The answer, or the failure that it tells of. `headers`: lower-case names."""
        if status not in {200, 204}:
            raise failure(status, headers, body)
        try:
            return self.decode(body)
        except Malformed as error:
            raise WrongAnswer(f"{self.path}: {error}", path=error.path) from error


Steps: TypeAlias = Generator[Call[Any], Any, T]
"""A procedure of several calls: yields each, is sent its answer. `Client.follow` runs it."""


class Entered(Record):
    """What became of a submitted transaction."""

    tx_id: TxId
    first: Count
    block: Count
    at: Count
    count: Count
    repeated: bool = False
    refused: dict[str, Outcome] = {}
    why: dict[str, str] = {}

    @property
    def committed(self) -> Committed:
        """The same, as an engine at hand says it."""
        if not 1 <= self.count <= ITEMS_MAX:
            raise Malformed(f"{self.count} items", path="count")
        outcomes = outcomes_of(self.refused, self.count)
        why = {_item(n, self.count): text for n, text in self.why.items()}
        return Committed(
            *(self.tx_id, self.first, outcomes, self.block, self.at, self.repeated, why)
        )


class HeadSaid(Record):
    """The ledger after its last block, as the server says."""

    network: Digest
    block: Count
    at: Count
    size: Count
    root: Digest
    state: Digest


class Held(Record):
    """A transaction as it lies on the ledger."""

    first: Count
    block: Count
    at: Count
    data: bytes
    refused: dict[str, Outcome] = {}


class RowSaid(Record):
    """A row, or that there is none; `proof` where it was asked for."""

    row: dict[str, Any] | None = None
    proof: dict[str, Any] | None = None


class RowsSaid(Record):
    """Rows by id; `after` goes on behind the last of them."""

    rows: list[Raw] = []
    after: str | None = None


class DryRun(Record):
    """What would become of each item now."""

    outcomes: list[Outcome]
    why: dict[str, str] = {}


# ------------------------------------------------------------------------------- public


def checkpoint() -> Call[bytes]:
    """The newest note, with the co-signatures that there are."""
    return Call("GET", "/checkpoint", bytes, answer_bytes_max=NOTE_BYTES_MAX)


def tile(which: TileId) -> Call[bytes]:
    """Hashes of the log, as C2SP lays them out."""
    return Call("GET", "/" + which.path, bytes, answer_bytes_max=TILE_WIDTH * 32)


def genesis() -> Call[bytes]:
    """The founding file; its hash is the network's id."""
    return Call("GET", "/api/v1/genesis", bytes, answer_bytes_max=DOCUMENT_BYTES_MAX)


def health() -> Call[dict[str, Any]]:
    """Whether a node or a keeper does its work, and how far it is; as it says."""
    return Call(
        "GET",
        "/api/v1/health",
        lambda body: parse(body, dict[str, Any]),
        answer_bytes_max=HEALTH_BYTES_MAX,
    )


# ---------------------------------------------------------------------------- entering


def submit(data: bytes) -> Call[Committed]:
    """Enter a signed transaction. The same bytes again give the old answer."""
    return Call(
        "POST", "/api/v1/transactions", _committed, body=data, answer_bytes_max=DOCUMENT_BYTES_MAX
    )


def dry_run(data: bytes) -> Call[DryRun]:
    """What would become of it now; leaves no trace."""
    return Call(
        "POST",
        "/api/v1/transactions/dry-run",
        reading(DryRun),
        body=data,
        answer_bytes_max=DOCUMENT_BYTES_MAX,
    )


def find_transaction(sender: str, idempotency: bytes) -> Call[Committed]:
    """What became of a transaction, by what its sender chose; `Missing` when it is not there."""
    query = _given(sender=sender, idempotency=idempotency.hex())
    return _get("/api/v1/transactions", _committed, query, bytes_max=DOCUMENT_BYTES_MAX)


# ------------------------------------------------------------------------------ proofs


def receipt(index: int, *, row: str | None = None, wait_seconds: int = 0) -> Call[bytes]:
    """The receipt of an entry; `row` (``<kind>/<id>``): with that row's state."""
    query = _given(row=row, wait=wait_seconds or None)
    return _get(f"/api/v1/receipts/{index}", bytes, query, wait_seconds=wait_seconds)


def batch_receipt(first: int, *, wait_seconds: int = 0) -> Call[bytes]:
    """The receipt of a whole transaction, by the index of its first entry."""
    return _get(
        f"/api/v1/transactions/at/{first}/receipt",
        bytes,
        _given(wait=wait_seconds or None),
        bytes_max=BATCH_BYTES_MAX,
        wait_seconds=wait_seconds,
    )


def bill_receipt(
    code: int, number: int, *, status: bool = False, wait_seconds: int = 0
) -> Call[bytes]:
    """The receipt of the entry that made a bill; `status`: with its state now."""
    query = _given(status=1 if status else None, wait=wait_seconds or None)
    path = f"/api/v1/bills/{code}/{number}/receipt"
    return _get(path, bytes, query, wait_seconds=wait_seconds)


# ------------------------------------------------------------------------------- reading


def head() -> Call[HeadSaid]:
    """The ledger after its last block."""
    return _get("/api/v1/head", reading(HeadSaid))


def row(kind: str, row_id: str, *, proof: bool = False) -> Call[RowSaid]:
    """One row of the state; with `proof`, as of the newest moment that can be proven."""
    path = f"/api/v1/rows/{_quoted(kind)}/{_quoted(row_id)}"
    return _get(path, reading(RowSaid), _given(proof=1 if proof else None))


def rows(kind: str, prefix: str = "", after: str = "") -> Call[RowsSaid]:
    """Rows of a kind by id, those that the caller may read; as many as one answer holds."""
    query = _given(prefix=prefix or None, after=after or None)
    path = f"/api/v1/rows/{_quoted(kind)}"
    return _get(path, reading(RowsSaid), query, bytes_max=ROWS_BYTES_MAX)


def slots(code: int, first: int, last: int) -> Call[RowsSaid]:
    """What befell numbers of a code, those that the caller may read."""
    query = _given(first=first, last=last)
    return _get(f"/api/v1/slots/{code}", reading(RowsSaid), query, bytes_max=ROWS_BYTES_MAX)


def transaction_at(index: int) -> Call[Held]:
    """The transaction that has an entry, as it was submitted."""
    path = f"/api/v1/transactions/at/{index}"
    return _get(path, reading(Held), bytes_max=DOCUMENT_BYTES_MAX)


def feed(after: int, size: int) -> Call[bytes]:
    """Whole blocks behind block `after`, up to a size of the log: for keepers."""
    query = _given(after=after, size=size)
    return _get("/api/v1/feed/blocks", bytes, query, bytes_max=2 * FRAMES_BYTES_MAX)


def cosignature(note: bytes) -> Call[bytes]:
    """Hand in a keeper's line under a checkpoint: it proves itself."""
    return Call("POST", "/api/v1/cosignatures", bytes, body=note, content_type=NOTE)


def showing(call: Call[T], header: str, value: str) -> Call[T]:
    """The same call with one more header."""
    return replace(call, headers=(*call.headers, (header, value)))


# --------------------------------------------------------------------------- internals


def reading(kind: type[T]) -> Callable[[bytes], T]:
    """Reads a body's one encoding."""
    return lambda body: decode(body, kind)


def outcomes_of(refused: Mapping[str, str], count: int) -> Sequence[str]:
    """Outcomes of all items out of those that were refused."""
    outcomes = [ACCEPTED] * count
    for n, reason in refused.items():
        outcomes[_item(n, count)] = reason
    return outcomes


def _item(n: str, count: int) -> int:
    if not (n.isascii() and n.isdigit() and len(n) <= len(str(count)) and int(n) < count):
        raise Malformed(f"item {n[:20]!r} of {count}")
    return int(n)


def _committed(body: bytes) -> Committed:
    return decode(body, Entered).committed


def _get(
    path: str,
    read: Callable[[bytes], T],
    query: tuple[tuple[str, str], ...] = (),
    *,
    bytes_max: int = RECEIPT_BYTES_MAX,
    wait_seconds: int = 0,
) -> Call[T]:
    return Call(
        "GET",
        path,
        read,
        query,
        signed=True,
        wait_seconds=wait_seconds,
        answer_bytes_max=bytes_max,
    )


def _given(**values: str | int | None) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in values.items() if value is not None)


def _quoted(text: str) -> str:
    return quote(text, safe="/:")
