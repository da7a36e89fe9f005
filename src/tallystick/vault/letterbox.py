"""A letterbox: what others post for some receivers waits in folders, until each takes its own out.

Nothing is opened here, and no key is here that could: the head of a letter says to which key it is
sealed, and that is a member's who receives here, or of a wallet's box that was opened. A wallet's
box has an owner, the key that asks for its letters; each box has one of its own, so that nobody
can tell whose boxes are one person's.

Invariant: what `take` returned from is on the disk, whole, in the box of its receiver; what it
refused has left nothing. See docs/spec/delivery.md.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tallystick.contracts.kit.reasons import ReasonText
from tallystick.durable import read_file, sync_folder, write_file, write_new
from tallystick.protocol.errors import Busy, Malformed, Reason, Rejected
from tallystick.protocol.values import tagged_hash
from tallystick.vault import mail
from tallystick.vault.delivery import DELIVERY_BYTES_MAX, read_head

WALLETS = "wallets"
"""Below a letterbox: one folder a wallet's address, named by its id."""
OWNER = ".owner"
"""In a wallet's box: the key that asks for its letters, in hex."""
FULL_SECONDS = 60
"""When to ask again at a box that is full."""
LISTED_MAX = 1_000
KEY_BYTES = 32

_ADDRESS_CONTEXT = b"tallystick/address-id/v1\n"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EMLINK)
_ID_CHARS = frozenset("0123456789abcdef")


class LetterReason(Reason):
    """Why a letterbox takes no letter, or gives none out."""

    UNKNOWN_RECEIVER = "letters.unknown_receiver"
    OTHER_NETWORK = "letters.other_network"
    BOX_TAKEN = "letters.box_taken"
    NO_BOX = "letters.no_box"
    NO_LETTER = "letters.no_letter"
    NO_ROUTE = "letters.no_route"


TEXTS: dict[Reason, ReasonText] = {
    LetterReason.UNKNOWN_RECEIVER: ReasonText(
        "此信箱不收投给该密钥的信件",
        "nobody who receives here has the key that this is sealed to",
        "核对投递地址；收件方可能已更换密钥，请按账本上的新密钥重新封装",
        "check where you deliver to; the receiver may have a new key: seal anew to the ledger's",
    ),
    LetterReason.OTHER_NETWORK: ReasonText(
        "信件属于另一个网络",
        "the letter is of another network",
        "核对投递地址",
        "check where you deliver to",
    ),
    LetterReason.BOX_TAKEN: ReasonText(
        "该地址的信箱已由另一把密钥开通",
        "the box of this address was opened by another key",
        "换一个新地址，并重新登记",
        "make a new address and register that",
    ),
    LetterReason.NO_BOX: ReasonText(
        "没有这个信箱，或它不属于此密钥",
        "there is no such box, or it is not this key's",
        "先开通该地址的信箱，并用开通时的密钥签名",
        "open the box of the address first, and sign with the key that opened it",
    ),
    LetterReason.NO_LETTER: ReasonText(
        "信箱里没有这封信",
        "there is no such letter in the box",
        "重新列出信件；可能已经取走",
        "list the letters anew; it may have been taken out",
    ),
    LetterReason.NO_ROUTE: ReasonText(
        "没有说明该收件方的信件投往何处",
        "nobody has said where letters to this receiver go",
        "用 --route 单位=地址 指明",
        "say it with --route ORG=URL",
    ),
}


class Room(NamedTuple):
    """How much waits in one box at most."""

    files: int
    bytes: int


MEMBERS_ROOM = Room(files=20_000, bytes=4 * 1024**3)
WALLETS_ROOM = Room(files=1_000, bytes=64 * 1024**2)
BOXES_MAX = 200_000


class Waiting(NamedTuple):
    """A letter in a wallet's box."""

    name: str
    bytes: int


def address_id(delivery_key: bytes) -> str:
    """Names a wallet's box, and tells nothing else."""
    return tagged_hash(_ADDRESS_CONTEXT, delivery_key)[:16].hex()


@dataclass(frozen=True, slots=True)
class LetterBox:
    """The letterbox in `folder`. Any number of processes may work with it at a time."""

    folder: Path
    network: bytes
    receivers: Callable[[], Collection[bytes]]
    """Delivery keys of the members who receive here, those that were exchanged lately too."""
    members_room: Room = MEMBERS_ROOM
    wallets_room: Room = WALLETS_ROOM
    boxes_max: int = BOXES_MAX

    # ------------------------------------------------------------------------------ posting

    def take(self, data: bytes) -> None:
        """Put a file of deliveries into the boxes of their receivers, durably; again: no change.

        1. whole deliveries with heads in their one spelling    2. of this network    3. each to a
        key that receives here    4. there is room in every box. `Busy`: there is none, or no disk.
        """
        messages = _whole(data)  # 1
        boxes: dict[Path, list[bytes]] = {}
        keys = self.receivers()
        for n, message in enumerate(messages):
            boxes.setdefault(self._box_of(message, n, keys), []).append(message)  # 2, 3
        for box, letters in boxes.items():  # 4
            self._check_room(box, letters)
        try:
            for box, letters in boxes.items():
                box.mkdir(mode=0o700, parents=True, exist_ok=True)
                mail.post_messages(box, letters)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise Busy(FULL_SECONDS) from error
            raise

    def _box_of(self, message: bytes, n: int, keys: Collection[bytes]) -> Path:
        head = read_head(message)
        if head.network != self.network:
            raise Rejected(LetterReason.OTHER_NETWORK, path=f"{n}/network")
        if head.to in keys:
            return self.folder
        box = self._wallet(address_id(head.to))
        if not box.is_dir():
            raise Rejected(LetterReason.UNKNOWN_RECEIVER, path=f"{n}/to")
        return box

    def _check_room(self, box: Path, letters: Sequence[bytes]) -> None:
        room = self.members_room if box == self.folder else self.wallets_room
        waiting = _letters(box)
        new = sum(len(each) for each in letters)
        if len(waiting) >= room.files or sum(each.bytes for each in waiting) + new > room.bytes:
            raise Busy(FULL_SECONDS)

    # ------------------------------------------------------------------------ wallets' boxes

    def open_box(self, delivery_key: bytes, owner: bytes) -> str:
        """Open the box of a wallet's address for whoever signs by `owner`; its id.

        Knowing the delivery key, which wallet and office alone do, is what it takes; the first
        counts. `Busy`: there are as many boxes as there may be.
        """
        named = address_id(delivery_key)
        box = self._wallet(named)
        known = self._owner(named)
        if known is not None and known != owner:
            raise Rejected(LetterReason.BOX_TAKEN, path="owner")
        if known is None:
            self._make_room_for(box)
            try:
                write_new(box / OWNER, owner.hex().encode())
            except FileExistsError:
                return self.open_box(delivery_key, owner)  # another was as quick
        return named

    def is_open(self, named: str) -> bool:
        """Whether somebody has opened this box."""
        return self._owner(named) is not None

    def _make_room_for(self, box: Path) -> None:
        wallets = box.parent
        wallets.mkdir(mode=0o700, parents=True, exist_ok=True)
        if box.is_dir():
            return
        if sum(1 for _ in wallets.iterdir()) >= self.boxes_max:
            raise Busy(FULL_SECONDS)
        box.mkdir(mode=0o700, exist_ok=True)
        sync_folder(wallets)

    def waiting(self, named: str, owner: bytes, *, limit: int = LISTED_MAX) -> list[Waiting]:
        """What waits in a box of `owner`'s, by name."""
        return _letters(self._owned(named, owner))[:limit]

    def letter(self, named: str, name: str, owner: bytes) -> bytes:
        """One file of deliveries out of a box of `owner`'s."""
        path = self._letter(named, name, owner)
        try:
            return read_file(path, mail.FILE_BYTES_MAX)
        except FileNotFoundError:
            raise Rejected(LetterReason.NO_LETTER, path="name") from None

    def taken(self, named: str, name: str, owner: bytes) -> None:
        """Its owner has it, durably: it leaves the box. Again: no change."""
        path = self._letter(named, name, owner)
        path.unlink(missing_ok=True)
        sync_folder(path.parent)

    def _letter(self, named: str, name: str, owner: bytes) -> Path:
        digits, dot, rest = name.partition(".")
        if len(digits) != 64 or not _ID_CHARS.issuperset(digits) or dot + rest != mail.SEALED:
            raise Rejected(LetterReason.NO_LETTER, path="name")
        return self._owned(named, owner) / name

    def _owned(self, named: str, owner: bytes) -> Path:
        if self._owner(named) != owner:
            raise Rejected(LetterReason.NO_BOX, path="address")
        return self._wallet(named)

    def _owner(self, named: str) -> bytes | None:
        try:
            said = read_file(self._wallet(named) / OWNER, 2 * KEY_BYTES)
            return bytes.fromhex(said.decode())
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _wallet(self, named: str) -> Path:
        """The folder of a box; what is no id is nobody's, and no path."""
        if len(named) != 32 or not _ID_CHARS.issuperset(named):
            raise Rejected(LetterReason.NO_BOX, path="address")
        return self.folder / WALLETS / named


def keep(box: Path, name: str, data: bytes) -> None:
    """Put a file that was fetched elsewhere into a box of one's own, durably."""
    box.mkdir(mode=0o700, parents=True, exist_ok=True)
    if mail.name_of(data) != name:
        raise Malformed("the letter is not the one that its name says", path="name")
    if not (box / name).exists():
        write_file(box / name, data, mode=0o600)


def _whole(data: bytes) -> list[bytes]:
    if not data or len(data) > mail.FILE_BYTES_MAX:
        raise Malformed(f"a file of deliveries has 1 to {mail.FILE_BYTES_MAX} bytes")
    messages = mail.unpack(data)
    if b"".join(b"%d\n%b" % (len(each), each) for each in messages) != data:
        raise Malformed("not whole deliveries, each after its length", path=str(len(messages) - 1))
    if any(len(each) > DELIVERY_BYTES_MAX for each in messages):
        raise Malformed(f"a delivery has {DELIVERY_BYTES_MAX} bytes at most")
    return messages


def _letters(box: Path) -> list[Waiting]:
    if not box.is_dir():
        return []
    found = []
    with os.scandir(box) as entries:
        for each in entries:
            if each.name.endswith(mail.SEALED) and not each.name.startswith("."):
                try:
                    found.append(Waiting(each.name, each.stat(follow_symlinks=False).st_size))
                except FileNotFoundError:  # its reader has taken it meanwhile
                    continue
    return sorted(found)
