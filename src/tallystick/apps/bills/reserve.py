"""Bills out of an offline reserve, made while nothing of the ledger can be reached.

While connected, an office takes a *kit*: the reserve's row, its free numbers, the rules of its
type. Cut off, it makes bills out of that: the body lies in the vault, the signed transaction, of
one bill, in ``pending/``, where it is valid for as long as the reserve allows. The next time that
the office opens over a desk it hands them in (`Office.resolve`) and learns what became of each.

Invariant: a number of the kit is used once: what the vault has under it is never made again.
See docs/guides/offline.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from tallystick.apps.bills.acts import Act, BillId, Issued
from tallystick.apps.bills.addresses import Addresses, Holders
from tallystick.apps.bills.drafting import Drafting
from tallystick.apps.bills.numbers import Numbers, Place, Supply
from tallystick.apps.bills.office import MALFORMED, PENDING
from tallystick.apps.bills.sending import drop, new_nonce
from tallystick.client.outbox import SUFFIX
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.items.bills import Issue
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import Allotment, BillType, TypePointer
from tallystick.contracts.bills.views.bills import account, find_allotment, find_type
from tallystick.contracts.kit.context import Key, Reader
from tallystick.contracts.kit.grants import codes_cover, pattern_allows
from tallystick.contracts.kit.intervals import Interval
from tallystick.contracts.kit.keys import BlockScope, find_key
from tallystick.contracts.kit.reasons import KitReason, LedgerReason
from tallystick.durable import read_file
from tallystick.ledger.receipts import SignedParts
from tallystick.protocol.canonical import Meta, Record, decode, parse
from tallystick.protocol.errors import Malformed, Rejected
from tallystick.protocol.keys import Signer
from tallystick.protocol.row import Row, row_key
from tallystick.protocol.transaction import TRANSACTION_BYTES_MAX, check_item, sign_transaction
from tallystick.protocol.values import (
    DAY_SECONDS,
    Digest,
    PublicKey,
    format_instant,
    parse_instant,
)
from tallystick.vault import Vault

R = TypeVar("R", bound=Row)

KIT_BYTES_MAX = 1024 * 1024
ACTION = "bills.issue_offline/1"
SIGNED = "office.signed"
"""What is said of a bill that is made and not yet on the ledger."""


class Kit(Record):
    """What an office takes along. Nothing of it is secret, and the ledger judges anew."""

    format: Literal["tallystick/offline-kit/v1"]
    network: Digest
    key: PublicKey
    """Which key signs: the ledger would learn too late that another was taken."""
    reserve: Allotment
    free: Annotated[list[Interval], Meta(max_length=10_000)]
    types: Annotated[list[BillType], Meta(min_length=1, max_length=32)]
    """The newest version first."""


def make_kit(view: Reader, network: bytes, key: bytes, place: Place) -> Kit:
    """What can be used of a reserve now, by this key. Refuses what is none."""
    row = find_allotment(view, *place)
    if row is None:
        raise Rejected(BillsReason.NUMBER_NOT_ALLOCATED, "there is no such range", path="first")
    if not row.offline_days:
        raise Rejected(BillsReason.OFFLINE_ONLY, f"{row.id} is no offline reserve", path="first")
    _check_key(view, key, row)
    types, version = list[BillType](), None
    while (kind := find_type(view, row.code // 100, version)) is not None and len(types) < 32:
        types.append(kind)
        version = kind.type_version - 1
    free = [each for each in account(view, row).ranges if each.fate == "remaining"]
    return Kit(
        format="tallystick/offline-kit/v1",
        network=network,
        key=key,
        reserve=row,
        free=free,
        types=types,
    )


def _check_key(view: Reader, key: bytes, reserve: Allotment) -> None:
    """The key may issue out of the reserve, as the ledger is now."""
    row = find_key(view, key)
    if row is None or not row.good or row.role != "operating":
        raise Rejected(LedgerReason.KEY_UNKNOWN, "no live operating key", path="key")
    if row.org != reserve.holder:
        raise Rejected(LedgerReason.KEY_NOT_SENDERS, f"the key is {row.org}'s", path="key")
    if not any(pattern_allows(each, ACTION.partition("/")[0]) for each in row.actions):
        raise Rejected(LedgerReason.KEY_ACTION, f"it signs {', '.join(row.actions)}", path="key")
    place = BlockScope(code=reserve.code, level=reserve.level, first=reserve.first)
    if row.block not in (None, place) or (row.codes and not codes_cover(row.codes, reserve.code)):
        raise Rejected(KitReason.KEY_SCOPE, "the key is for other numbers", path="key")


def read_kit(data: bytes) -> Kit:
    """Read a kit's one encoding; `Malformed` otherwise."""
    if len(data) > KIT_BYTES_MAX:
        raise Malformed(f"a kit of {len(data)} bytes")
    return decode(data, Kit)


class _Carried:
    """The rows of a kit, as a `Reader`: types are all that making a bill asks for."""

    def __init__(self, kit: Kit) -> None:
        newest = kit.types[0]
        pointer = TypePointer(
            kind=TypePointer.KIND,
            id=str(newest.type),
            state="defined",
            good=True,
            newest=newest.type_version,
        )
        rows: list[Row] = [pointer, *kit.types]
        self._rows: dict[Key, Row] = {row_key(row.kind, row.id): row for row in rows}

    def get(self, key: Key, kind: type[R]) -> R | None:
        row = self._rows.get(key)
        return row if isinstance(row, kind) else None

    def scan(self, kind: type[R], prefix: str) -> Iterator[R]:
        start = row_key(kind.KIND, prefix)
        for key, row in sorted(self._rows.items(), key=str):
            if str(key).startswith(start) and isinstance(row, kind):
                yield row

    def scan_slots(self, kind: type[R], code: int, first: int, last: int) -> Iterator[R]:
        return iter(())


class OfflineOffice:
    """One issuer's side while it is cut off. For one thread; nobody else has the vault open."""

    def __init__(
        self,
        folder: Path,
        vault: Vault,
        kit: Kit,
        *,
        signer: Signer,
        holder_key: bytes,
        clock: Callable[[], int],
        addresses: Addresses | None = None,
    ) -> None:
        """`folder` is the office's: its ``pending/`` is handed in when it opens again."""
        self._pending = folder / PENDING
        self._pending.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._vault = vault
        self._kit = kit
        self._signer = signer
        self._clock = clock
        self._rows = _Carried(kit)
        row = kit.reserve
        holders = Holders(kit.network, holder_key, addresses)
        if signer.public_key != kit.key:
            raise Rejected(LedgerReason.KEY_UNKNOWN, "the kit is for another key", path="key")
        self._drafting = Drafting(vault, row.holder, kit.network, holders, None)
        self._drafting.use(Numbers.of(Supply(row, self._unused(kit), ())))

    def issue(self, drafts: Iterable[Body]) -> list[Issued]:
        """A signed bill out of each draft: each fails alone.

        The outcome of one that was made is `SIGNED`: signed, not yet on the ledger.
        """
        return [self._issue(position, draft) for position, draft in enumerate(drafts)]

    def _issue(self, position: int, draft: Body) -> Issued:
        try:
            self._check_time(draft)
            act = self._drafting.new_blue(self._rows, position, draft)
        except (Malformed, Rejected) as error:
            return _refused(error)
        try:
            check_item(act.item)
            self._vault.put_many(list(act.prepared()))
        except (Malformed, Rejected) as error:
            self._drafting.give_back(act.item)
            return _refused(error)
        return self._sign(act)

    def _check_time(self, draft: Body) -> None:
        """The ledger will ask too, when the bill is in somebody's hand already."""
        now, at = self._clock(), parse_instant(draft.issued_at)
        until, rules = self._kit.reserve.until, self._kit.types[0].rules
        if until is not None and now >= parse_instant(until):
            raise Rejected(BillsReason.BLOCK_CLOSED, f"closed at {until}", path="code")
        if at > now + rules.issue_future_seconds_max:
            raise Rejected(BillsReason.TIME_FUTURE, "ahead of this clock", path="issued_at")
        if at < now - rules.issue_past_seconds_max:
            raise Rejected(BillsReason.TIME_TOO_OLD, "too long ago", path="issued_at")

    def _sign(self, act: Act) -> Issued:
        """The body is in the vault: from here on the number is used, whatever happens."""
        days = self._kit.reserve.offline_days
        data = sign_transaction(
            self._signer,
            network=self._kit.network,
            sender=self._kit.reserve.holder,
            action=ACTION,
            items=[act.item],
            idempotency=new_nonce(),
            valid_until=format_instant(self._clock() + days * DAY_SECONDS),
        )
        _, tx_id = drop(self._pending, data)
        (sealed,) = act.bodies
        return Issued(SIGNED, sealed.bill.code, sealed.bill.number, None, tx_id)

    def _unused(self, kit: Kit) -> list[Interval]:
        """The kit's free numbers without those that the vault knows: kits grow old.

        One that was refused is left too: somebody may hold a bill with it. Finance has it void.
        """
        code, found = kit.reserve.code, list[Interval]()
        for each in kit.free:
            start = each.first
            for number in range(each.first, each.last + 1):
                if self._vault.find(code, number) is None:
                    continue
                if start < number:
                    found.append(Interval(first=start, last=number - 1, fate="remaining"))
                start = number + 1
            if start <= each.last:
                found.append(Interval(first=start, last=each.last, fate="remaining"))
        return found


def _refused(error: Malformed | Rejected) -> Issued:
    reason = error.reason.value if isinstance(error, Rejected) else MALFORMED
    return Issued(reason, path=error.path, detail=error.detail)


def waiting(folder: Path) -> list[BillId]:
    """The offline bills of an office that are not handed in yet, by code and number."""
    found = []
    for path in sorted((folder / PENDING).glob(f"[!.]*{SUFFIX}")):
        parts = parse(read_file(path, TRANSACTION_BYTES_MAX), SignedParts)
        if parts.header.action == ACTION:
            items = [decode(bytes(item), Issue) for item in parts.items]
            found += [(item.code, item.number) for item in items]
    return sorted(found)
