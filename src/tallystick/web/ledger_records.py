"""What the API of the ledger reads and answers: its records.

Invariant: each is closed, and described in the API document as it stands here.
See docs/spec/http.md.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from tallystick.protocol.canonical import Meta, Raw, Record
from tallystick.protocol.receipt import StateDocument
from tallystick.protocol.transaction import ITEMS_MAX, Header
from tallystick.protocol.values import Count, Digest, OrgId, Signature

ROWS_MAX = 1_000


class NetworkAnswer(Record):
    """What a stranger may know of a network."""

    name: str
    network: Digest
    origin: str
    """First line of each checkpoint."""
    log_keys: list[bytes]
    block: Count
    size: Count
    """Entries and block leaves of the log now."""
    at: Count
    """Unix seconds of the last block."""
    takes_transactions: bool = False


class HeadAnswer(Record):
    """The ledger after its last block."""

    network: Digest
    block: Count
    at: Count
    size: Count
    root: Digest
    state: Digest


class DryRun(Record):
    """What would become of each item now."""

    outcomes: list[str]
    why: dict[str, str] = {}


class Held(Record):
    """A transaction as it lies on the ledger."""

    first: Count
    block: Count
    at: Count
    data: bytes
    refused: dict[str, str] = {}


class RowAnswer(Record):
    """A row, or that there is none; `proof` where it was asked for."""

    row: dict[str, Any] | None = None
    proof: StateDocument | None = None


class RowsAnswer(Record):
    """Rows by id; `after` goes on behind the last of them."""

    rows: list[Raw] = []
    after: str | None = None


class KeeperHealth(Record):
    """How far a keeper has signed."""

    org: OrgId
    size: Count
    at: Count
    """Unix seconds; 0: it never signed."""
    behind: Count
    """Entries of the newest checkpoint that it has not signed."""
    required: bool
    """This server's policy asks for its organisation."""
    silent_seconds: Count = 0


class HealthAnswer(Record):
    """How a node is, and what it last said of itself: nothing while it is ``starting``."""

    state: Literal["ok", "starting"]
    role: str = ""
    """``operator`` or ``keeper``."""
    stopped: bool = False
    block: Count = 0
    size: Count = 0
    at: Count = 0
    """Unix seconds of the last block."""
    queued: Count = 0
    """Transactions that wait for their block."""
    queued_bytes: Count = 0
    wal_bytes: Count = 0
    published: Count = 0
    """Size of the newest checkpoint."""
    keepers: dict[str, KeeperHealth] = {}


class SignedTransaction(Record):
    """What is submitted: docs/spec/transaction.md."""

    header: Header
    items: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=ITEMS_MAX)]
    signature: Signature


Wait = Annotated[int, Meta(ge=0, le=30)]
Flag = Annotated[int, Meta(ge=0, le=1)]


class WaitQuery(Record):
    """How long to wait for a note that meets the node's policy."""

    wait: Wait = 0
    """Seconds."""


class ReceiptQuery(WaitQuery):
    """Which receipt."""

    row: Annotated[str, Meta(max_length=200, pattern=r"\A[^/]+/.+\Z")] | None = None
    """``<kind>/<id>`` of a row whose state is to be proven with it."""


class TransactionQuery(Record):
    """Which transaction: what its sender chose."""

    sender: OrgId
    idempotency: Annotated[str, Meta(min_length=32, max_length=32, pattern=r"\A[0-9a-f]{32}\Z")]
    """Of the header, in hex."""


class ProofQuery(Record):
    """Whether to prove it."""

    proof: Flag = 0


class RowsQuery(Record):
    """Which rows."""

    prefix: Annotated[str, Meta(max_length=200)] = ""
    after: Annotated[str, Meta(max_length=200)] = ""
    limit: Annotated[int, Meta(ge=1, le=ROWS_MAX)] | None = None


class SlotsQuery(Record):
    """Which numbers of a code."""

    first: Annotated[int, Meta(ge=1, le=9_999_999_999)]
    last: Annotated[int, Meta(ge=1, le=9_999_999_999)]
    limit: Annotated[int, Meta(ge=1, le=ROWS_MAX)] | None = None


class FeedQuery(Record):
    """Which blocks."""

    after: Count
    """The last block that the asker has."""
    size: Count
    """No block beyond this size of the log: that of a checkpoint."""
