"""Private bodies: kept encrypted, delivered sealed, opened against their records.

`Vault` is a member's own store, `Archive` the supervisor's. Both are handed the content check of
what they keep. See docs/spec/vault.md.

Invariant: what lies in a vault's files says nothing without the vault's key.
"""

from __future__ import annotations

from tallystick.vault.archive import Archive, Expected, Finding, Outcome, Watermark
from tallystick.vault.delivery import Head, Letter, open_delivery, seal_delivery
from tallystick.vault.post import Message, Owed, Sent
from tallystick.vault.store import BusinessKey, Opened, Prepared, Recorded, Standing, Vault

__all__ = [
    "Archive",
    "BusinessKey",
    "Expected",
    "Finding",
    "Head",
    "Letter",
    "Message",
    "Opened",
    "Outcome",
    "Owed",
    "Prepared",
    "Recorded",
    "Sent",
    "Standing",
    "Vault",
    "Watermark",
    "open_delivery",
    "seal_delivery",
]
