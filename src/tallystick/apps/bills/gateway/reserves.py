"""The offline reserves of a gateway: kits that are renewed while the ledger answers.

Invariant: a kit on the disk is whole; what it says is judged anew by the ledger at the hand-in.
See docs/guides/offline.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tallystick.apps.bills.addresses import Addresses
from tallystick.apps.bills.gateway.config import Reserve
from tallystick.apps.bills.gateway.desk import GatewayReserve, Note
from tallystick.apps.bills.reserve import KIT_BYTES_MAX, Kit, make_kit, read_kit, waiting
from tallystick.contracts.kit.context import Reader
from tallystick.durable import read_file, write_file
from tallystick.protocol.canonical import encode
from tallystick.protocol.errors import Damaged, Malformed
from tallystick.protocol.keys import Signer
from tallystick.vault import Vault

FOLDER = "kits"


class Reserves:
    """Those that the configuration names, by code."""

    def __init__(
        self,
        folder: Path,
        vault: Vault,
        wanted: Mapping[int, tuple[Reserve, Signer]],
        *,
        holder_key: bytes,
        clock: Callable[[], int],
        note: Note,
        addresses: Addresses | None = None,
    ) -> None:
        """`wanted`: each with the key that issues out of it."""
        self._folder = folder
        self._kits = folder / FOLDER
        self._kits.mkdir(mode=0o700, exist_ok=True)
        self._vault = vault
        self._wanted = wanted
        self._holder_key = holder_key
        self._clock = clock
        self._note = note
        self._addresses = addresses
        self._open: dict[int, GatewayReserve] = {}
        self.left: dict[int, int] = {}
        """Numbers that are left of each, as of the last renewal and what was used since."""
        self.failed: dict[int, str] = {}
        """Why a kit could not be renewed."""
        for code in wanted:
            self._count(code)

    def renew(self, view: Reader, network: bytes, code: int) -> None:
        """Take along what the ledger says of a reserve now."""
        wanted, signer = self._wanted[code]
        place = wanted.code, wanted.level, wanted.first
        kit = make_kit(view, network, signer.public_key, place)
        write_file(self._path(code), encode(kit), mode=0o600)
        self._count(code)

    @property
    def codes(self) -> list[int]:
        """Of all that are named."""
        return list(self._wanted)

    def has(self, code: int, number: int) -> bool:
        """Whether a number is of one of these."""
        kit = self._kit(code)
        return kit is not None and kit.reserve.first <= number <= kit.reserve.last

    def office(self, code: int) -> GatewayReserve | None:
        """Whoever issues out of the reserve of a code; None: there is no kit. For one thread."""
        if code not in self._open:
            kit = self._kit(code)
            if kit is None:
                return None
            made = GatewayReserve(
                *(self._folder, self._vault, kit),
                signer=self._wanted[code][1],
                holder_key=self._holder_key,
                clock=self._clock,
                addresses=self._addresses,
            )
            made.note = self._note
            self._open[code] = made
        return self._open[code]

    def used(self, code: int) -> None:
        """A number was used."""
        self.left[code] = max(self.left.get(code, 0) - 1, 0)

    def close(self) -> None:
        """The ledger is back: next time begin with a new kit."""
        self._open.clear()

    def _kit(self, code: int) -> Kit | None:
        if code not in self._wanted or not self._path(code).exists():
            return None
        try:
            return read_kit(read_file(self._path(code), KIT_BYTES_MAX))
        except Malformed as error:
            raise Damaged(f"{self._path(code)}: {error}") from error

    def _count(self, code: int) -> None:
        kit = self._kit(code)
        if kit is None:
            self.left[code] = 0
            return
        free = sum(each.last - each.first + 1 for each in kit.free)
        inside = [n for c, n in waiting(self._folder) if c == code]
        used = sum(any(each.first <= n <= each.last for each in kit.free) for n in inside)
        self.left[code] = free - used

    def _path(self, code: int) -> Path:
        return self._kits / f"{code}.json"
