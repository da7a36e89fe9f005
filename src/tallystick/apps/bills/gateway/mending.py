"""After a stop, however sudden: which refs have a bill, and which are free.

1. a ref that was only taken has none    2. what lies in ``pending/`` was signed and will be handed
in    3. a body that the vault knows as recorded, under the mark that was noted, is the ref's
bill    4. a body that is prepared and not pending was never signed; of one that could have come
back out of a backup the ledger is asked first

Invariant: a ref is freed only where its transaction was never signed, or the ledger took it not.
See docs/guides/gateway.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from tallystick.apps.bills.acts import bills_of
from tallystick.apps.bills.gateway.desk import GatewayOffice, items_of, mark
from tallystick.apps.bills.gateway.refs import Final, Refs, Row
from tallystick.apps.bills.office import NEVER_SENT, PENDING
from tallystick.client.outbox import SUFFIX, Kept, Outbox
from tallystick.contracts.bills.records.bills import format_bill_id, parse_bill_id
from tallystick.vault import Standing, Vault

PREPARED_MAX = 1_000_000


class Mending:
    """Of one folder; for the writer's thread."""

    def __init__(
        self,
        folder: Path,
        refs: Refs,
        vault: Vault,
        network: bytes,
        is_offline: Callable[[int, int], bool],
    ) -> None:
        """`is_offline`: whether a code and number are of a reserve of this house."""
        self._outbox = Outbox(folder / PENDING)
        self._refs = refs
        self._vault = vault
        self._network = network
        self._is_offline = is_offline
        self.complete = False
        """The ledger has said its part."""
        self.unsure: set[str] = set()
        """Refs of which only the ledger can say whether they have a bill."""
        self.burnt: set[str] = set()
        """Bills that were refused after somebody was told of their numbers."""

    def here(self) -> None:
        """What can be said without the ledger."""
        self._refs.free([row.ref for row in self._refs.in_state("taken")])
        self._refs.tell_all()
        pending = self._pending()
        for row in self._refs.in_state("sent"):
            if row.bill not in pending:
                self._settle(row)
        for one in self._vault.prepared(limit=PREPARED_MAX):
            if not self._is_offline(one.code, one.number):
                continue
            if format_bill_id(one.code, one.number) not in pending:  # nobody else makes these
                self._vault.mark_refused([(one.code, one.number, NEVER_SENT)])
        for row in self._refs.in_state("refused"):
            self.burn(row)

    def there(self, office: GatewayOffice) -> GatewayOffice:
        """What only the ledger can say; the same office."""
        pending = self._pending()
        for one in self._vault.prepared(limit=PREPARED_MAX):
            if format_bill_id(one.code, one.number) not in pending:
                office.look((one.code, one.number))
        self.unsure.clear()
        for row in self._refs.in_state("sent"):
            if row.bill not in pending:
                self._settle(row)
        office.refresh()
        self.complete = True
        return office

    def burn(self, row: Row) -> None:
        """Its numbers were told to somebody, and are no other bill's."""
        self.burnt.update(bill for bill in (row.bill, row.red) if bill)

    def lying(self, flying: Collection[str]) -> Iterator[Kept]:
        """What was signed and is not on its way."""
        names = {path.name.removesuffix(SUFFIX) for path in self._outbox.folder.glob("[!.]*.tx")}
        if names <= set(flying):
            return
        for kept in self._outbox.kept():
            if kept.tx_id not in flying:
                yield kept

    def _pending(self) -> set[str]:
        """The bills of all that was signed and has no answer yet."""
        return {
            format_bill_id(*bill)
            for kept in self._outbox.kept()
            for item in items_of(kept, self._network)
            for bill in bills_of(item)
        }

    def _settle(self, row: Row) -> None:
        bill = parse_bill_id(row.bill or "")
        standing = self._vault.find(*bill)
        if standing is None or not self._is_its(row, standing):
            self._refs.free([row.ref])
        elif standing.state == "recorded":
            final = Final(row.ref, standing.tx_id or "", standing.entry or 0, "issuing")
            self._refs.finish([final])
        elif standing.state == "refused" and standing.reason != NEVER_SENT:
            self.burn(self._refs.refuse(row.ref, standing.reason or "") or row)
        elif standing.state == "prepared" and not row.offline:
            self.unsure.add(row.ref)
        else:
            self._refs.free([row.ref])

    def _is_its(self, row: Row, standing: Standing) -> bool:
        """Whether the body under the number is the one that was noted, and no later one."""
        if standing.state == "erased":
            return True
        return mark(*self._vault.get(standing.code, standing.number)) == row.mark
