"""Private bodies: kept encrypted, delivered sealed, opened against their records.

`Vault` is a member's own store, `Archive` the supervisor's. Both are handed the content check of
what they keep. See docs/spec/vault.md.

Invariant: what lies in a vault's files says nothing without the vault's key.
"""

from __future__ import annotations

from tallystick.vault.archive import Archive, Expected, Finding, Outcome, Watermark
from tallystick.vault.delivery import Head, Letter, open_delivery, read_head, seal_delivery
from tallystick.vault.erasure import BodyErased, Erased
from tallystick.vault.kept import BusinessKey, Kept, copy_pair, kind_of
from tallystick.vault.post import Message, Owed, Sent
from tallystick.vault.reads import Read
from tallystick.vault.store import Opened, Prepared, Recorded, Standing, Vault

__all__ = [
    "Archive",
    "BodyErased",
    "BusinessKey",
    "Erased",
    "Expected",
    "Finding",
    "Head",
    "Kept",
    "Letter",
    "Message",
    "Opened",
    "Outcome",
    "Owed",
    "Prepared",
    "Read",
    "Recorded",
    "Sent",
    "Standing",
    "Vault",
    "Watermark",
    "copy_pair",
    "kind_of",
    "open_delivery",
    "read_head",
    "seal_delivery",
]
