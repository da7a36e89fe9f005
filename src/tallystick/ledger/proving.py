"""Proofs at the speed of a service: statuses, receipts and state proofs of one moment, as bytes.

Documents are put together out of parts that are canonical already: rows and items as they are
stored, paths as text. What is read is small, whatever the size of a transaction, and each part is
checked against the head before it is given. See docs/spec/status.md, docs/spec/storage.md.

Invariant: the bytes are those of the records' encoding, and they verify, or `Damaged` is raised.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable
from hashlib import sha256

from tallystick.contracts.kit.context import NUMBERS_PER_CODE, Key
from tallystick.ledger.kept import (
    SIBLINGS,
    Kept,
    Page,
    Signed,
    Steps,
    Transacted,
    four_steps,
    is_step,
    step,
    steps_over,
)
from tallystick.ledger.log_paths import LogPaths
from tallystick.ledger.receipts import (
    block_leaf,
    check_head,
    check_signed,
    prove_batch,
    read_segment,
)
from tallystick.ledger.records import unpack_outcomes
from tallystick.ledger.sqlite import naming_the_file
from tallystick.ledger.staged import group_key
from tallystick.ledger.view import View
from tallystick.protocol import merkle, page, statemap
from tallystick.protocol.canonical import Record, decoder, encode
from tallystick.protocol.checkpoint import parse_checkpoint, parse_note
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.errors import Damaged, Malformed
from tallystick.protocol.multiproof import levels_over, path_over
from tallystick.protocol.values import format_instant

PAGES_OPEN_MAX = 16_384
"""Pages whose place in the map was proven at this moment, about a kilobyte each."""

_SLOT_AND_GROUP = (
    "SELECT (SELECT data FROM slots WHERE key = ?), (SELECT data FROM page_groups WHERE key = ?)"
)


class _Envelope(Record, forbid_unknown_fields=False):
    """What a proof must know of a row."""

    kind: str
    entry: int | None = None


_read_envelope = decoder(_Envelope).decode


class Prover:
    """Proves what stands at the head of a view, under a note of exactly that size.

    For one thread at a time. `kept` is what the prover of the moment before has left (`.kept`):
    most of a ledger does not change from one moment to the next.
    """

    def __init__(self, view: View, note: bytes, kept: Kept | None = None) -> None:
        """`LookupError` if the note is of another size, or if there is no block yet."""
        self.kept = kept or Kept()
        self.note = note
        self._view = view
        self._store = view.store
        self._rows = view.rows
        self._head = view.head
        checkpoint = parse_checkpoint(parse_note(note).text)
        if checkpoint.size != self._head.size or not self._head.block:
            raise LookupError(f"a note of size {checkpoint.size} at {self._head.size}")
        if checkpoint.root != self._head.root:
            raise Damaged(f"{self._store.path} has not the log that the note is of")
        self._pages: dict[tuple[int, int], tuple[bytes, Page | None]] = {}
        with naming_the_file(self._store.path):
            check_head(self._store, self._head)
            self._log = LogPaths(self._store, self._head, self.kept)
            leaf = self._block_leaf()
        self._checkpoint = b'{"checkpoint":' + encode(note.decode())
        self._state = b'{"block_leaf":' + leaf + b',"key":'

    def status(
        self,
        code: int,
        number: int,
        kind: str,
        look: Callable[[bytes | None], None] = lambda row: None,
    ) -> bytes:
        """The status of a number; `kind` is the kind of row that is missing if there is none.

        `look` is shown the row's bytes, checked, and raises if the asker may not have them.
        """
        try:
            state, entry, row = self._state_of_number(code, number, kind)
            look(row)
            made = b"" if entry is None else b',"entry":' + self._entry_proof(entry)
        except Damaged as error:
            raise self._named(error) from error
        return b"".join(
            (self._checkpoint, made, b',"format":"tallystick/status/v1","state":', state, b"}")
        )

    def state(self, key: Key, text: str) -> bytes:
        """The state proof of a row, or of its absence; `text` is its ``<kind>/<id>``."""
        with naming_the_file(self._store.path):
            state = self._state_of(key, text)
        return b"".join(
            (self._checkpoint, b',"format":"tallystick/state-proof/v1","state":', state, b"}")
        )

    def receipt(self, index: int, row: Key | None = None) -> bytes:
        """The receipt of an entry; with the state of `row` if given."""
        with naming_the_file(self._store.path):
            made = self._transacted(index)
            signed = self._signed(made)
            n = index - made.first
            entry, path = self._entry(made, index)
            if b2a_base64(signed.item_hashes[n], newline=False) not in entry:
                raise Damaged(f"entry {index} has another item than its transaction")
            state = b"" if row is None else b',"state":' + self._state_of(row, None)
        item_path = [step(each) for each in path_over(signed.levels, n, len(signed.items))]
        return b"".join(
            (
                *(self._checkpoint, b',"entry":', entry),
                *(b',"format":"tallystick/receipt/v1","header":', signed.header),
                *(b',"index":%d,"item":' % index, signed.items[n]),
                *(b',"item_path":[', b"".join(item_path)[:-1]),
                *(b'],"log_path":[', path[:-1]),
                *(b'],"signature":"', signed.signature, b'"', state, b"}"),
            )
        )

    def batch_receipt(self, index: int) -> bytes:
        """The batch receipt of the transaction that has this entry."""
        with naming_the_file(self._store.path):
            return encode(prove_batch(self._store, index, self.note))

    def _block_leaf(self) -> bytes:
        """The last leaf of the log and its path, as members of a state proof."""
        head = self._head
        leaf = encode(block_leaf(head.network, self._store.record(head.block)))
        nodes = merkle.path_nodes(head.size - 1, head.size)
        path = [self._log.nodes.node(*each) for each in nodes]
        root = merkle.root_from_path(merkle.leaf_hash(leaf), head.size - 1, head.size, path)
        if root != head.root:
            raise Damaged(f"block {head.block} is not what the log commits to")
        return leaf + b',"block_path":' + encode(path)

    # ------------------------------------------------------------------------------ the log

    def _entry_proof(self, index: int) -> bytes:
        leaf, path = self._entry(self._transacted(index), index)
        return b"".join((b'{"index":%d,"leaf":' % index, leaf, b',"path":[', path[:-1], b"]}"))

    def _entry(self, made: Transacted, index: int) -> tuple[bytes, bytes]:
        """An entry's text and the steps to the root."""
        leaf, item, path = self._log.path(index)
        n = index - made.first
        outcome = made.refused.get(n, ACCEPTED) if made.refused else ACCEPTED
        entry = b'%b%b","kind":"entry","n":%d,"outcome":"%b%b' % (
            made.head,
            b2a_base64(item, newline=False),
            n,
            outcome.encode(),
            made.tail,
        )
        if sha256(b"\x00" + entry).digest() != leaf:
            raise Damaged(f"entry {index} is not what the log commits to")
        return entry, path

    def _transacted(self, index: int) -> Transacted:
        found = self.kept.transacted(index)
        if found is not None and index < self._head.size:
            return found
        if not 0 <= index < self._head.size:
            raise LookupError(f"entry {index} is not under a checkpoint of {self._head.size}")
        place = self._store.place(index)
        record = None if place is None else self._store.record(place.block)
        if place is None or record is None or index >= record.size:
            raise Damaged(f"the transaction of entry {index} is missing")
        end = place.first + place.items
        if index >= end:
            if index != record.size - 1:
                raise Damaged(f"the transaction of entry {index} is missing")
            raise LookupError(f"index {index} is a block's leaf, no entry")
        try:
            outcomes = unpack_outcomes(place.refused, place.items)
        except Malformed as error:
            raise Damaged(f"the outcomes of entry {place.first}: {error}") from error
        made = Transacted(
            first=place.first,
            end=end,
            head=b'{"at":"%b","block":%d,"item":"'
            % (
                format_instant(record.at).encode(),
                record.block,
            ),
            tail=b'","tx":"%b"}' % place.tx.hex().encode(),
            refused={n: each for n, each in enumerate(outcomes) if each != ACCEPTED},
        )
        return self.kept.put_transacted(made)

    def _signed(self, made: Transacted) -> Signed:
        """The transaction itself, checked when it is read."""
        found = self.kept.signed.parts.get(made.first)
        if found is not None:
            return found
        segment = self._store.segment(made.first)
        if segment is None or segment.first != made.first:
            raise Damaged(f"the transaction of entry {made.first} is missing")
        parts, hashes, _ = read_segment(segment, self._store.path)
        levels = levels_over(merkle.leaf_hashes(hashes), 0, len(hashes), [])
        check_signed(self._store, segment, parts, hashes, levels[-1][1][0])
        signed = Signed(
            header=encode(parts.header),
            signature=b2a_base64(parts.signature, newline=False),
            items=[bytes(item) for item in parts.items],
            item_hashes=hashes,
            levels=levels,
        )
        return self.kept.signed.put(made.first, signed, len(segment.data) + 300 * len(hashes))

    # ---------------------------------------------------------------------------- the state

    def _state_of(self, key: Key, text: str | None) -> bytes:
        if isinstance(key, int):
            code, number = divmod(key, NUMBERS_PER_CODE)
            kind = None if text is None else text.partition("/")[0]
            return self._state_of_number(code, number, kind)[0]
        row, key_hash = self._rows.row(key), statemap.key_hash(key)
        proof = encode(statemap.prove(self._rows.map_group, key_hash))
        member = b"" if row is None else b',"row":' + row
        return b"".join((self._state, encode(key), b',"map":', proof, member, b"}"))

    def _state_of_number(
        self, code: int, number: int, kind: str | None
    ) -> tuple[bytes, int | None, bytes | None]:
        """The state proof of a number, the entry that made its row, and the row."""
        at, slot = number >> page.HEIGHT, number & page.SLOTS - 1
        proof, found = self._pages.get((code, at)) or self._open(code, at)
        if found is None:
            row, path = None, b""
        else:
            row, path = self._slot(found, code, at, slot)
        if row is not None:
            envelope = _read_envelope(row)
            kind, entry, member = envelope.kind, envelope.entry, b',"row":' + row
        elif kind is None:
            raise LookupError(f"number {number} of code {code} has no row")
        else:
            entry, member = None, b""
        state = b'%b"%b/%d:%010d","map":%b,"page":{"code":%d,"number":%d,"path":[%b]}%b}' % (
            self._state, kind.encode(), code, number, proof, code, number, path, member,
        )  # fmt: skip
        return state, entry, row

    def _slot(self, found: Page, code: int, at: int, slot: int) -> tuple[bytes | None, bytes]:
        """The row in a slot, and the steps from the slot to the page's root, as a path."""
        group, place = slot >> 4, slot & 15
        store = self._store
        row, data = store.two(
            _SLOT_AND_GROUP,
            code * NUMBERS_PER_CODE + (at << page.HEIGHT) + slot,
            group_key(code, at, group),
        )
        if data is None:
            data = page.EMPTY_GROUP
        if len(data) != page.GROUP_BYTES:
            raise Damaged(f"a group of page {at} of code {code} has {len(data)} bytes")
        held = page.EMPTY_SLOT if row is None else page.slot_hash(row)
        if data[place * 32 : place * 32 + 32] != held:
            raise Damaged(
                f"number {(at << page.HEIGHT) + slot} of code {code}: row and hash differ"
            )
        levels, child, upper = page.group_levels(data), group & 15, group >> 4
        middle = (found.groups[upper] or self._open_group(found, code, at, upper)).text
        if not is_step(levels[4], middle, child):
            raise Damaged(f"group {group} of page {at} of code {code} does not lead to its root")
        low, top = four_steps(levels, place), found.top.text
        a, b, c, d = SIBLINGS[child]
        e, f, g, h = SIBLINGS[upper]
        path = low + middle[a] + middle[b] + middle[c] + middle[d] + top[e] + top[f] + top[g]
        return row, path + top[h][:-1]

    def _open(self, code: int, at: int) -> tuple[bytes, Page | None]:
        """The proof of a page in the map, and its upper levels; None where there is no page."""
        key_hash = statemap.key_hash(page.page_key(code, at))
        held = statemap.find(self._rows.map_group, key_hash)
        proof = encode(statemap.prove(self._rows.map_group, key_hash))
        found = None
        if held is not None:
            found = self.kept.pages.parts.get(held)
            if found is None:
                top = self._group(code, at, page.TOP_GROUP, page.EMPTY_GROUPS[2])
                if page.page_hash(top.root) != held:
                    raise Damaged(f"page {at} of code {code} is not what the state commits to")
                found = Page(top, [None] * 16)
                self.kept.pages.put(held, found, len(top.text))
        if len(self._pages) >= PAGES_OPEN_MAX:
            self._pages.clear()
        self._pages[code, at] = proof, found
        return proof, found

    def _open_group(self, found: Page, code: int, at: int, upper: int) -> Steps:
        """Sixteen groups of a page."""
        steps = self._group(code, at, page.SLOTS // 16 + upper, page.EMPTY_GROUPS[1])
        if not is_step(steps.root, found.top.text, upper):
            raise Damaged(f"page {at} of code {code} contradicts itself")
        self.kept.pages.grow(len(steps.text))
        found.groups[upper] = steps
        return steps

    def _group(self, code: int, at: int, group: int, empty: bytes) -> Steps:
        data = self._store.page_group(group_key(code, at, group)) or empty
        if len(data) != page.GROUP_BYTES:
            raise Damaged(f"a group of page {at} of code {code} has {len(data)} bytes")
        return steps_over(data)

    def _named(self, error: Damaged) -> Damaged:
        path = self._store.path
        return error if path.name in str(error) else Damaged(f"{path}: {error}")
