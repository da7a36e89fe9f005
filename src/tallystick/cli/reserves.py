"""`tally bills offline-kit`, `issue-offline`, `hand-in`: bills while the ledger cannot be reached.

Invariant: whoever receives an offline bill reads that it is signed, and not yet on the ledger.
See docs/guides/offline.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli import options, out
from tallystick.cli.acting import How, acting
from tallystick.cli.failures import REFUSED
from tallystick.cli.issuing import Draft

if TYPE_CHECKING:
    from tallystick.apps.bills.acts import Issued
    from tallystick.apps.bills.reserve import OfflineOffice

SIGNED_ZH = "已签名，尚未入账"
SIGNED_EN = "signed, not yet on the ledger"
SHOWN_MAX = 50

Key = Annotated[Path, typer.Option("--key", "-k", envvar="TALLY_KEY", help="Key that signs.")]
KitFile = Annotated[Path, typer.Option("--kit", help="What `offline-kit` wrote.")]


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    app.command("offline-kit")(offline_kit)
    app.command("issue-offline")(issue_offline)
    app.command("hand-in")(acting(hand_in))


def offline_kit(
    code: options.Code,
    level: options.Level,
    first: options.First,
    key: Key,
    output: Annotated[Path, typer.Option("--output", "-o", help="Write to this new file.")],
    folder: options.LedgerDir = Path(),
) -> None:
    """Take along what an office needs when it is cut off. Of an offline reserve; nothing secret."""
    from tallystick.apps.bills.reserve import make_kit
    from tallystick.cli.founding import write_new
    from tallystick.cli.reading import reading
    from tallystick.keyring import read_public
    from tallystick.protocol.canonical import encode

    with reading(folder) as view:
        kit = make_kit(view, view.network, read_public(key).public, (code, level, first))
    write_new(output, encode(kit))
    left = sum(each.last - each.first + 1 for each in kit.free)
    out.say(f"{output}: {left:,} numbers of {kit.reserve.id}, {kit.reserve.offline_days} days")


def issue_offline(
    file: Draft,
    kit: KitFile,
    key: Key,
    vault: options.VaultDir,
    vault_key: options.VaultKeyFile,
    passphrase_file: options.Passphrase = None,
    vault_passphrase_file: options.VaultPassphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Sign bills with no ledger at hand. Hand them in later, within the reserve's days."""
    from tallystick.apps.bills.acts import Issued
    from tallystick.apps.bills.office import MALFORMED
    from tallystick.cli.drafts import open_drafts
    from tallystick.protocol.errors import Malformed

    done: list[Issued] = []
    with (
        _office(kit, key, passphrase_file, vault, vault_key, vault_passphrase_file) as office,
        open_drafts(file) as drafts,
    ):
        for draft in drafts.each:
            if isinstance(draft, Malformed):
                done.append(Issued(MALFORMED, path=draft.path, detail=draft.detail))
            else:
                done += office.issue([draft])
    _print(done, as_json)


@contextmanager
def _office(
    kit: Path,
    key: Path,
    passphrase: Path | None,
    vault: Path,
    vault_key: Path,
    vault_passphrase: Path | None,
) -> Iterator[OfflineOffice]:
    from tallystick.apps.bills.holders import derive_holder_key
    from tallystick.apps.bills.reserve import KIT_BYTES_MAX, OfflineOffice, read_kit
    from tallystick.cli.inputs import in_file, load_signer, load_vault, read_file
    from tallystick.cli.offices import alone, known_addresses
    from tallystick.engines.clock import Clock
    from tallystick.vault import Vault

    with in_file(kit):
        carried = read_kit(read_file(kit, KIT_BYTES_MAX))
    loaded = load_vault(vault_key, vault_passphrase)
    signer = load_signer(key, passphrase)
    with (
        alone(vault),
        known_addresses(vault, loaded) as addresses,
        Vault.open(vault, loaded.secret) as opened,
    ):
        yield OfflineOffice(
            *(vault, opened, carried),
            signer=signer,
            holder_key=derive_holder_key(loaded.secret),
            clock=Clock().now,
            addresses=addresses,
        )


def _print(done: list[Issued], as_json: bool) -> None:
    from tallystick.apps.bills.reserve import SIGNED
    from tallystick.cli.reasons import both, explain

    refused = [one for one in done if one.outcome != SIGNED]
    if as_json:
        out.json({"bills": [_row(one) for one in done], "refused": len(refused)})
    else:
        style = "bold yellow" if refused else "bold green"
        out.say(f"{len(done) - len(refused):,} of {len(done):,} {SIGNED_EN} {SIGNED_ZH}", style)
        out.table(
            "bills",
            ("bill", "outcome", "field", "found"),
            [
                (
                    row["bill"] or "",
                    SIGNED_EN if row["outcome"] == SIGNED else both(row["outcome"]),
                    *(row["path"], row["detail"]),
                )
                for row in map(_row, done[:SHOWN_MAX])
            ],
        )
        for code in dict.fromkeys(one.outcome for one in refused):
            out.say(f"  {code}: {explain(code, out.language())}")
    if refused:
        raise typer.Exit(REFUSED)


def _row(one: Issued) -> dict[str, Any]:
    from tallystick.contracts.bills.records.bills import format_bill_id

    bill = format_bill_id(one.code, one.number) if one.number else None
    shown = {"bill": bill, "outcome": one.outcome, "tx_id": one.tx_id}
    return shown | {"path": one.path, "detail": one.detail}


def hand_in(
    how: How,
    vault: options.VaultDir,
    vault_key: options.VaultKeyFile,
    vault_passphrase_file: options.VaultPassphrase = None,
) -> None:
    """Hand offline bills in, once the ledger can be reached. Twice does no harm."""
    from tallystick.apps.bills.acts import WORDS
    from tallystick.apps.bills.reserve import waiting
    from tallystick.cli.offices import Where, open_office
    from tallystick.contracts.bills.records.bills import format_bill_id

    bills = waiting(vault)
    with open_office(how, Where(vault, vault_key, vault_passphrase_file)) as office:
        found = [(format_bill_id(*bill), office.status(*bill)) for bill in bills]
    refused = sum(status.word not in ("issued", "issuing") for _, status in found)
    if how.as_json:
        rows = [
            {"bill": bill, "said": each.word, "entry": each.entry, "reason": each.reason}
            for bill, each in found
        ]
        out.json({"bills": rows, "refused": refused})
    else:
        out.say(f"{len(found) - refused:,} of {len(found):,} offline bills are on the ledger")
        out.table(
            "bills",
            ("bill", "said", "entry#", "reason"),
            [
                (bill, " ".join(WORDS[each.word]), each.entry, each.reason or "")
                for bill, each in found[:SHOWN_MAX]
            ],
        )
    if refused:
        raise typer.Exit(REFUSED)
