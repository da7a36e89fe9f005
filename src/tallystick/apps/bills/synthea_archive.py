"""Finance's archive, run by the import: no bill is claimed before its body is checked and stored.

In the ledger's folder: ``archive/`` (bodies) and ``mailbox/`` (what issuers deliver). Bills of an
earlier run, whose bodies nobody delivered, are named as missing first and delivered then.

Invariant: what is called archived here was checked like any other body. See docs/spec/archive.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tallystick.apps.bills.accepted import KeptLedger
from tallystick.apps.bills.archive_office import ArchiveOffice, Round
from tallystick.apps.bills.checks import business_keys_of, check_content
from tallystick.apps.bills.drafting import Recipient
from tallystick.apps.bills.synthea_ledger import FINANCE, ImportLedger, KeyFolder
from tallystick.contracts.bills.records.bills import BillId
from tallystick.contracts.bills.views.bills import find_bill, is_acknowledged
from tallystick.vault import Archive

ARCHIVE, MAILBOX = "archive", "mailbox"
ANSWER_SECONDS_MAX = 120
ROUNDS_MAX = 8
"""Missing, named, delivered, checked, no more named: with some to spare."""


class ImportArchive:
    """The archive of whoever keeps the ledger in `folder`."""

    def __init__(self, folder: Path, keys: KeyFolder, *, finance: str = FINANCE) -> None:
        self.mailbox = folder / MAILBOX
        self.recipient = Recipient(finance, keys.delivery_key(finance).public_key)
        self._folder = folder / ARCHIVE
        self._keys = keys
        self._finance = finance

    def acknowledge(self, ledger: ImportLedger, bills: Iterable[BillId]) -> int:
        """Have the bodies of these bills archived; how many of them are still not."""
        missing = _missing(ledger, bills)
        for _ in range(ROUNDS_MAX):
            if not missing:
                break
            done = self._round(ledger)
            if not done.archived and not done.proposed:
                break
            missing = _missing(ledger, [bill for some in missing.values() for bill in some])
            for org in missing:
                with ledger.open_office(org) as office:
                    office.deliver_again()
        return sum(map(len, missing.values()))

    def _round(self, ledger: ImportLedger) -> Round:
        kept = KeptLedger(ledger.folder)
        delivery = self._keys.delivery_key(self._finance)
        with Archive.open(
            self._folder,
            self._keys.vault_key(self._finance).secret,
            delivery_keys={delivery.public_key: delivery.private_key},
            fetch_record=kept.record,
            check=check_content,
            business=business_keys_of,
        ) as archive:
            office = ArchiveOffice(
                archive,
                kept,
                org=self._finance,
                signer=self._keys.held(self._finance),
                box=self.mailbox,
                submit=lambda data: ledger.node.submit(data).result(ANSWER_SECONDS_MAX),
                clock=ledger.node.clock.now,
                patience_seconds=0,
            )
            return office.run_once()


def _missing(ledger: ImportLedger, bills: Iterable[BillId]) -> dict[str, list[BillId]]:
    """Bills that may not be called issued yet, by issuer."""
    missing: dict[str, list[BillId]] = {}
    with ledger.node.view() as view:
        for bill in bills:
            row = find_bill(view, bill)
            if row is not None and not is_acknowledged(view, row):
                missing.setdefault(row.issuer, []).append(bill)
    return missing
