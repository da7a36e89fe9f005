"""An issuer's office over a desk, as the commands and the demo open it.

Invariant: whatever was under way when an office last stopped is settled before it acts again.
See docs/guides/office.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tallystick.apps.bills.addresses import FOLDER, Addresses
from tallystick.apps.bills.drafting import Recipient
from tallystick.apps.bills.holders import derive_holder_key
from tallystick.apps.bills.trying import TryingOffice
from tallystick.cli.acting import How, desk_of, owner_of
from tallystick.cli.desk import Desk
from tallystick.cli.failures import fail
from tallystick.cli.inputs import load_signer, load_vault, parse_key
from tallystick.contracts.members.views import find_delivery
from tallystick.durable import take_lock
from tallystick.keyring import KeySigner, VaultKey
from tallystick.vault import Vault


@dataclass(frozen=True, slots=True)
class Where:
    """Where an office keeps bodies, and to whom it delivers them."""

    vault: Path
    vault_key: Path
    vault_passphrase_file: Path | None = None
    deliver_to: str | None = None
    """``ORG`` or ``ORG=KEY``: the archive's organisation, and its delivery key (file or hex)."""
    mailbox: Path | None = None


@contextmanager
def office_over(
    desk: Desk,
    folder: Path,
    *,
    signer: KeySigner,
    vault_key: VaultKey,
    archive: Recipient | None = None,
    addresses: Addresses | None = None,
) -> Iterator[TryingOffice]:
    """The office of whose key it is, its vault in `folder`; what was under way is settled first.

    `Locked`: another process has it open. Each would take what the other has under way for lost.
    """
    with desk.view() as view:
        org = owner_of(view, signer.public_key)
    with alone(folder), Vault.open(folder, vault_key.secret) as vault:
        office = TryingOffice(
            folder,
            vault,
            org=org,
            network=desk.network,
            signer=signer,
            holder_key=derive_holder_key(vault_key.secret),
            submit=desk.submit,
            view=desk.view,
            clock=desk.now,
            archive=archive,
            addresses=addresses,
        )
        office.resolve()
        yield office


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else works with the vault in `folder` meanwhile; `Locked`: somebody does."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = take_lock(folder)
    try:
        yield
    finally:
        os.close(handle)


@contextmanager
def known_addresses(folder: Path, vault_key: VaultKey) -> Iterator[Addresses | None]:
    """What patients have registered beside the vault in `folder`; None: nobody ever did."""
    if not (folder / FOLDER).is_dir():
        yield None
        return
    with Addresses.open(folder / FOLDER, vault_key.secret) as addresses:
        yield addresses


@contextmanager
def open_office(how: How, where: Where) -> Iterator[TryingOffice]:
    """The office that the options of a command name."""
    if how.key is None:
        fail("cli.no_key", "缺少签名密钥", "which key signs this? name its file with --key")
    signer = load_signer(how.key, how.passphrase_file)
    vault_key = load_vault(where.vault_key, where.vault_passphrase_file)
    with (
        desk_of(how) as desk,
        known_addresses(where.vault, vault_key) as addresses,
        office_over(
            *(desk, where.vault),
            signer=signer,
            vault_key=vault_key,
            archive=_recipient(desk, where.deliver_to),
            addresses=addresses,
        ) as office,
    ):
        yield office
        if where.mailbox is not None:
            where.mailbox.mkdir(parents=True, exist_ok=True)
            while office.deliver(where.mailbox).delivered:
                pass


def _recipient(desk: Desk, text: str | None) -> Recipient | None:
    """``finance``, whose key is on the ledger, or ``finance=<key file or hex>``; or None."""
    if text is None:
        return None
    org, equals, key = text.partition("=")
    if equals:
        return Recipient(org, parse_key(key))
    with desk.view() as view:
        row = find_delivery(view, org)
    if row is None:
        fail(
            *("cli.deliver_to", "账本上没有该单位的投递密钥"),
            "the ledger names no delivery key of that organisation",
            todo=(
                "写作 单位=密钥，或请该单位登记（tally members delivery rotate）",
                "write ORG=KEY, or have it entered: tally members delivery rotate",
            ),
            detail=text,
        )
    return Recipient(org, row.key)
