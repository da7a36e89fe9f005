"""The API of the ledger itself: transactions in; receipts, rows, blocks and what is public out.

Invariant: a transaction proves itself, and what is answered about it is durable. What is not public
is read by a right that was looked up first. See docs/spec/http.md.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

from starlette.responses import Response

from tallystick.contracts.kit.context import Key, slot_key
from tallystick.ledger.feed import FeedBlock, pack_frame, read_blocks
from tallystick.ledger.receipts import read_segment, state_document
from tallystick.ledger.view import View
from tallystick.protocol.batch import BatchReceipt
from tallystick.protocol.canonical import Raw, builtins, decode, encode
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.errors import Malformed, Rejected
from tallystick.protocol.genesis import Genesis
from tallystick.protocol.receipt import Receipt
from tallystick.protocol.row import Row, row_key
from tallystick.protocol.transaction import (
    TRANSACTION_BYTES_MAX,
    signing_bytes,
    split_transaction,
    transaction_id,
)
from tallystick.protocol.values import TxId
from tallystick.web.endpoint import BYTES, JSON, TEXT, Access, Ask, Endpoint, answer, raw
from tallystick.web.frames import Told
from tallystick.web.ledger_records import (
    ROWS_MAX,
    DryRun,
    FeedQuery,
    HeadAnswer,
    HealthAnswer,
    Held,
    NetworkAnswer,
    ProofQuery,
    ReceiptQuery,
    RowAnswer,
    RowsAnswer,
    RowsQuery,
    SignedTransaction,
    SlotsQuery,
    TransactionQuery,
    WaitQuery,
)
from tallystick.web.reasons import WebReason

FEED_BYTES_MAX = 16 * 1024 * 1024
PROOF_SECONDS = 2
"""How long a proof of a row may be waited for."""
NUMBERED = "bills.bill"
"""The kind of row that lies in the slots of pages."""
_NUMBER = re.compile(r"[1-9][0-9]{7}:[0-9]{10}")
NOTE_BYTES_MAX = 16 * 1024


# ------------------------------------------------------------------------------------ acts


async def submit(ask: Ask) -> Response:
    """Take a signed transaction and answer once it is durable; the same bytes: the old answer."""
    return answer(await take(ask.service, ask.body))


async def take(service: Any, data: bytes) -> Told:
    """Verify here, order there."""
    if service.read_only is not None:
        raise Rejected(WebReason.READ_ONLY, service.read_only)
    service.ledger.check(data)
    told: Told = await service.link.submit(data)
    return told


def dry_run(ask: Ask) -> Response:
    """Say what would become of each item now; nothing is kept.

    Why an item would be refused is said of bills that its sender may read.
    """
    why, service = dict[int, str](), ask.service
    outcomes = service.ledger.dry_run(ask.body, service.clock(), why)
    header, items = split_transaction(ask.body)[:2]
    with service.view() as view:
        for n, item in enumerate(decode(items, list[dict[str, Any]])):
            if outcomes[n] != ACCEPTED and not service.readers.rehearsed(view, header, item):
                outcomes[n] = WebReason.FORBIDDEN.value
                why[n] = f"item {n} names a bill that {header.sender} may not read, or none"
    return answer(DryRun(outcomes=outcomes, why={str(n): each for n, each in why.items()}))


async def cosign(ask: Ask) -> Response:
    """Take a keeper's co-signature."""
    if ask.service.read_only is not None:
        raise Rejected(WebReason.READ_ONLY, ask.service.read_only)
    await ask.service.link.cosigned(ask.body)
    return answer({})


# --------------------------------------------------------------------------------- public


async def network(ask: Ask) -> Response:
    """Which network this is, and how far it is."""
    ledger = ask.service.ledger
    with ledger.view() as view:
        head = view.head
    return answer(
        NetworkAnswer(
            name=ledger.genesis.name,
            network=ledger.network,
            origin=ledger.origin,
            log_keys=list(ledger.genesis.log_keys),
            block=head.block,
            size=head.size,
            at=head.at,
            takes_transactions=ask.service.read_only is None,
        )
    )


async def genesis(ask: Ask) -> Response:
    """The founding file, byte for byte."""
    return raw(ask.service.ledger.genesis_bytes)


async def health(ask: Ask) -> Response:
    """Whether this node does its work, and what it last said of itself; 503 once it has stopped."""
    figures = decode(ask.service.link.figures, dict[str, Any])
    if figures.get("stopped") or ask.service.link.gone.is_set():
        raise Rejected(WebReason.STOPPED)
    return answer(figures | {"state": "ok" if figures else "starting"})


# -------------------------------------------------------------------------------- receipts


async def head(ask: Ask) -> Response:
    """The ledger after its last block."""
    with ask.service.view() as view:
        h = view.head
    return answer(
        HeadAnswer(
            network=h.network, block=h.block, at=h.at, size=h.size, root=h.root, state=h.state
        )
    )


async def receipt(ask: Ask) -> Response:
    """The receipt of an entry; with `row`, its state as of the newest proven moment."""
    service, index = ask.service, ask.path["index"]
    with service.view() as view:
        check_entry(ask, view, index)
    if ask.query.row is not None:
        return await _receipt_with_row(ask, index, ask.query.row)
    _, known = await service.best(index, ask.query.wait)
    with service.view() as view:
        return raw(encode(view.receipt(index, known.note)))


async def _receipt_with_row(ask: Ask, index: int, text: str) -> Response:
    moment, known = await ask.service.proven(index, ask.query.wait)
    key = read_key(text)
    kind = kind_of(ask, text.partition("/")[0])
    with moment.lock:
        view = moment.view
        ask.service.readers.row(view, ask.caller, view.get(key, kind), text)
        return raw(encode(view.receipt(index, known.note, row=key)))


async def batch_receipt(ask: Ask) -> Response:
    """One receipt of all items of a transaction, for whoever has its bytes: its sender."""
    service, index = ask.service, ask.path["index"]
    with service.view() as view:
        check_transaction(ask, view, index)
        segment = entry_segment(view, index)
        last = segment.first + len(read_segment(segment)[1]) - 1
    _, known = await service.best(last, ask.query.wait)
    with service.view() as view:
        return raw(encode(view.batch_receipt(segment.first, known.note)))


def transaction_at(ask: Ask) -> Response:
    """The transaction that has an entry, as it was submitted."""
    with ask.service.view() as view:
        check_transaction(ask, view, ask.path["index"])
        return answer(_held(view, ask.path["index"]))


def find_transaction(ask: Ask) -> Response:
    """What became of a transaction, by the key that its sender chose; 404: it is not here."""
    query = ask.query
    with ask.service.view() as view:
        if ask.caller.org != query.sender:
            ask.service.readers.all(view, ask.caller)
        seen = view.seen(query.sender, bytes.fromhex(query.idempotency))
        if seen is None:
            raise Rejected(WebReason.NOT_FOUND, "no such transaction, or it is older than its key")
        check_transaction(ask, view, seen[1])
        held = _held(view, seen[1])
        count = len(read_segment(view.segment(seen[1]))[1])
    return answer(
        Told(
            tx_id=seen[0],
            first=held.first,
            count=count,
            block=held.block,
            at=held.at,
            repeated=True,
            refused=held.refused,
        )
    )


def _held(view: View, index: int) -> Held:
    segment = entry_segment(view, index)
    record = view.block(segment.block)
    return Held(
        first=segment.first,
        block=segment.block,
        at=record.at if record else 0,
        data=segment.data,
        refused=decode(segment.refused, dict[str, str]),
    )


def entry_segment(view: View, index: int) -> Any:
    """The transaction that has the entry at an index; 404 where there is none."""
    if not 0 <= index < view.head.size:
        raise Rejected(WebReason.NOT_FOUND, f"the log has {view.head.size} entries")
    return view.segment(index)


def check_entry(ask: Ask, view: View, index: int) -> None:
    """The caller may read this entry, or `Rejected`."""
    segment = entry_segment(view, index)
    parts, hashes, _ = read_segment(segment)
    n = index - segment.first
    if n >= len(hashes):
        raise Rejected(WebReason.NOT_FOUND, f"index {index} is a block's leaf, no entry")
    item = decode(bytes(parts.items[n]), dict[str, Any])
    ask.service.readers.entry(view, ask.caller, parts.header, item)


def check_transaction(ask: Ask, view: View, index: int) -> None:
    """The caller may read the whole transaction: its own, or everybody's."""
    parts = read_segment(entry_segment(view, index))[0]
    items = (decode(bytes(item), dict[str, Any]) for item in parts.items)
    ask.service.readers.transaction(view, ask.caller, parts.header, items)


def tx_id_at(view: View, index: int) -> TxId:
    """The id of the transaction that has an entry."""
    header = read_segment(entry_segment(view, index))[0].header
    return transaction_id(signing_bytes(header))


# ------------------------------------------------------------------------------------ rows


def read_key(text: str) -> Key:
    """A row's key: ``<kind>/<id>``, of a numbered thing ``<kind>/<code>:<number>``."""
    kind, _, row_id = text.partition("/")
    if not kind or not row_id:
        raise Malformed("a row's key is <kind>/<id>", path="row")
    if kind != NUMBERED:
        return row_key(kind, row_id)
    if _NUMBER.fullmatch(row_id) is None:
        raise Rejected(WebReason.NOT_FOUND, "it is <code>:<number>, of 8 and 10 digits", path="id")
    code, _, number = row_id.partition(":")
    return slot_key(int(code), int(number))


async def row(ask: Ask) -> Response:
    """One row of the state, or that there is none."""
    text = f"{ask.path['kind']}/{ask.path['id']}"
    key, service = read_key(text), ask.service
    if ask.query.proof:
        return await _proven_row(ask, key, text)
    with service.view() as view:
        found = view.get(key, kind_of(ask, ask.path["kind"]))
        service.readers.row(view, ask.caller, found, text)
    return answer(RowAnswer(row=None if found is None else builtins(found)))


def kind_of(ask: Ask, name: str) -> type[Row]:
    """The kind of row that has this name; 404 where there is none."""
    kind: type[Row] | None = ask.service.ledger.rules.kinds.get(name)
    if kind is None:
        raise Rejected(WebReason.NOT_FOUND, "there is no such kind of row", path="kind")
    return kind


async def _proven_row(ask: Ask, key: Key, text: str) -> Response:
    moment, known = await ask.service.proven(-1, PROOF_SECONDS)
    kind = kind_of(ask, ask.path["kind"])
    with moment.lock:
        view = moment.view
        try:
            ask.service.readers.row(view, ask.caller, view.get(key, kind), text)
        except Rejected as refusal:
            if refusal.reason is not WebReason.NOT_FOUND:
                raise  # to whom its absence may be said, it is proven
        proof = state_document(view.state_proof(key, text), known.note)
    return answer(RowAnswer(row=proof.state.row, proof=proof))


def rows(ask: Ask) -> Response:
    """Rows of a kind by id, those that the caller may read."""
    query = ask.query
    with ask.service.view() as view:
        each = view.scan(kind_of(ask, ask.path["kind"]), query.prefix, query.after)
        return answer(_some(ask, view, each, query.limit))


def slots(ask: Ask) -> Response:
    """What befell numbers of a code, those that the caller may read."""
    query = ask.query
    if not 10_000_000 <= ask.path["code"] <= 99_999_999:
        raise Rejected(WebReason.NOT_FOUND, "a code has 8 digits", path="code")
    return answer(_numbers(ask, query.first, query.last))


def _numbers(ask: Ask, first: int, last: int) -> RowsAnswer:
    """Looks only where the caller's may be, so that no time tells what lies elsewhere."""
    code, readers = ask.path["code"], ask.service.readers
    kind = ask.service.ledger.rules.kinds[NUMBERED]
    with ask.service.view() as view:
        spans = readers.spans(view, ask.caller, code, first, last)
        found = (each for span in spans for each in view.scan_slots(kind, code, *span))
        return _some(ask, view, found, ask.query.limit)


def _some(ask: Ask, view: View, found: Iterator[Row], limit: int | None) -> RowsAnswer:
    """As many as are asked for, of those that the caller may read.

    What it may not read decides neither where a page ends nor whether there is another: either
    would tell where such rows are. So all of them are looked at, until one more may be read.
    """
    rows, last = list[Raw](), ""
    for each in found:
        if len(rows) == (limit or ROWS_MAX) and each.kind == NUMBERED:
            return RowsAnswer(rows=rows, after=last)  # to look at a bill is to be noted as a reader
        if not _may_read(ask, view, each):
            continue
        if len(rows) == (limit or ROWS_MAX):
            return RowsAnswer(rows=rows, after=last)
        rows.append(Raw(encode(each)))
        last = each.id
    return RowsAnswer(rows=rows)


def _may_read(ask: Ask, view: View, found: Row) -> bool:
    try:
        ask.service.readers.row(view, ask.caller, found, f"{found.kind}/{found.id}")
    except Rejected:
        return False
    return True


# ------------------------------------------------------------------------------- the feed


def feed(ask: Ask) -> Response:
    """Whole blocks for keepers, as many as fit, up to a size of the log."""
    service, query = ask.service, ask.query
    with service.view() as view:
        service.readers.all(view, ask.caller)
    file, size = io.BytesIO(), 0
    with service.ledger.snapshot() as snapshot:
        for block in read_blocks(snapshot, query.after + 1):
            if block.size > query.size:
                break
            size += _put(file, block)
            if size > FEED_BYTES_MAX:
                break
    return raw(file.getvalue(), BYTES)


def _put(file: io.BytesIO, block: FeedBlock) -> int:
    return file.write(pack_frame(block))


_SUBMITTED: dict[str, Any] = {
    "body": JSON,
    "body_kind": SignedTransaction,
    "body_bytes_max": TRANSACTION_BYTES_MAX,
    "tag": "acts",
}
_REFUSED = {
    403: "its key, its sender or a read-only server does not let it be entered",
    409: "its idempotency key was used for other content",
    422: "its signature does not hold, or it can no longer be ordered",
}
ENDPOINTS = (
    Endpoint("POST", "/api/v1/transactions", submit, "Submit a signed transaction",
             Access.OWN, answer=Told, answers=_REFUSED, **_SUBMITTED),
    Endpoint("POST", "/api/v1/transactions/dry-run", dry_run, "Rehearse a signed transaction",
             Access.OWN, answer=DryRun, answers=_REFUSED, **_SUBMITTED),
    Endpoint("POST", "/api/v1/cosignatures", cosign, "Hand in a keeper's co-signature",
             Access.OWN, body=TEXT, body_bytes_max=NOTE_BYTES_MAX, answer=JSON, tag="keepers",
             answers={403: "this server takes nothing in",
                      422: "no line of a live keeper under a checkpoint of ours"}),
    Endpoint("GET", "/api/v1/network", network, "The network", Access.PUBLIC, answer=NetworkAnswer),
    Endpoint("GET", "/api/v1/genesis", genesis, "The founding file", Access.PUBLIC, answer=Genesis),
    Endpoint("GET", "/api/v1/health", health, "Whether it works", Access.PUBLIC,
             answer=HealthAnswer),
    Endpoint("GET", "/api/v1/head", head, "The ledger after its last block", answer=HeadAnswer),
    Endpoint("GET", "/api/v1/receipts/{index:int}", receipt, "The receipt of an entry",
             query=ReceiptQuery, answer=Receipt),
    Endpoint("GET", "/api/v1/transactions", find_transaction, "What became of a transaction",
             query=TransactionQuery, answer=Told, tag="acts",
             answers={404: "it is not here, or its key is forgotten"}),
    Endpoint("GET", "/api/v1/transactions/at/{index:int}", transaction_at,
             "A transaction as it lies on the ledger", answer=Held),
    Endpoint("GET", "/api/v1/transactions/at/{index:int}/receipt", batch_receipt,
             "The receipt of a whole transaction", query=WaitQuery, answer=BatchReceipt),
    Endpoint("GET", "/api/v1/rows/{kind}/{id:path}", row, "One row of the state",
             query=ProofQuery, answer=RowAnswer),
    Endpoint("GET", "/api/v1/rows/{kind}", rows, "Rows of a kind", query=RowsQuery,
             answer=RowsAnswer),
    Endpoint("GET", "/api/v1/slots/{code:int}", slots, "What befell numbers of a code",
             query=SlotsQuery, answer=RowsAnswer),
    Endpoint("GET", "/api/v1/feed/blocks", feed, "Whole blocks, for keepers", query=FeedQuery,
             answer=BYTES, tag="keepers"),
)  # fmt: skip
"""What every node serves."""
