"""What a vault owes, on its way: into letter boxes of this machine, or over HTTP to others'.

Each receiver has a route, a folder or the address of a letterbox; wallets share one. What goes the
same way goes together, in files that are posted whole.

Invariant: a letter is off the outbox only once it is durable where its receiver looks, and no
receiver waits for another that is away. See docs/spec/delivery.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from dataclasses import replace as changed
from functools import cache
from pathlib import Path
from typing import Self

from tallystick.apps.bills.addresses import RECEIVER
from tallystick.apps.bills.sharing import READER, Sharing
from tallystick.client.post import post_letters
from tallystick.client.sync import Client
from tallystick.client.transport import Trusted
from tallystick.contracts.members.views import find_delivery
from tallystick.ledger.view import Reading
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Rejected, VerificationFailed
from tallystick.vault import Letter, Message, Sent, Vault, mail, read_head, seal_delivery
from tallystick.vault.archive import PURPOSE
from tallystick.vault.letterbox import WALLETS, LetterReason
from tallystick.vault.post import OVERDUE_SECONDS, Figures

ALL_WALLETS = "wallets"
"""In routes and figures: a wallet's name would join a person's bills."""
_SCHEMES = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class Routes:
    """Where each receiver's letters go: a folder of this machine, or a letterbox's address."""

    others: Path | Trusted | None = None
    """Whoever is not named: the archive, and wallets; those below it where it is a folder."""
    named: Mapping[str, Path | Trusted] = field(default_factory=dict)
    """By organisation; `ALL_WALLETS` for wallets."""

    def of(self, receiver: str) -> Path | Trusted:
        """The route of one receiver; `Rejected`: it has none."""
        name = _group(receiver)
        others = self.others
        if receiver.startswith(READER) and isinstance(others, Path):
            others = None  # that folder is the archive's, or whoever's it is: not this reader's
        route = self.named.get(name, others)
        if route is None:
            raise Rejected(LetterReason.NO_ROUTE, name)
        return route


KeyOf = Callable[[str], bytes | None]
"""The delivery key that the ledger names for an organisation; None: it has none there."""


def key_of(view: Callable[[], AbstractContextManager[Reading]]) -> KeyOf:
    """Asks the ledger once for each organisation, and holds no snapshot while letters travel."""

    @cache
    def find(org: str) -> bytes | None:
        with view() as seen:
            row = find_delivery(seen, org)
        return None if row is None else row.key

    return find


class Resealing:
    """Letters to a key that its owner has exchanged since are sealed anew: the old one is gone."""

    def __init__(self, vault: Vault, key_of: KeyOf) -> None:
        self._vault = vault
        self._key_of = key_of

    def __call__(self, message: Message) -> Message:
        """The same letter, as it is to be sent now."""
        if message.receiver.startswith(RECEIVER):  # an address keeps its key for ever
            return message
        head, key = read_head(message.data), self._key_of(message.receiver)
        if key in (None, head.to) or head.purpose != PURPOSE:
            return message
        try:
            body, secret = self._vault.get(message.code, message.number)
        except KeyError as error:  # in this very moment
            raise VerificationFailed(str(error)) from error
        letter = Letter(message.code, message.number, body, secret)
        return changed(message, data=seal_delivery(replace(head, to=key), letter))


class Writing:
    """Gives each letter the form in which it is to be sent now."""

    def __init__(self, vault: Vault, key_of: KeyOf, sharing: Sharing | None = None) -> None:
        self._reseal = Resealing(vault, key_of)
        self._sharing = sharing

    def __call__(self, message: Message) -> Message:
        """The same letter, sealed."""
        if not message.receiver.startswith(READER):
            return self._reseal(message)
        if self._sharing is None:
            raise Rejected(LetterReason.NO_ROUTE, "nobody is here who looks at consents")
        return self._sharing.letter(message)


class Postman:
    """Delivers by routes; keeps its connections. Use as a context."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._open = ExitStack()
        self._clients: dict[str, Client] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def way(self, receiver: str) -> str:
        """What goes together: one letterbox, or one folder."""
        try:
            route = self._routes.of(receiver)
        except Rejected:
            return _group(receiver)
        return str(route) if isinstance(route, Path) else route.url

    def deliver(self, messages: Sequence[Message]) -> None:
        """All of one way; durable there when this returns."""
        route = self._routes.of(messages[0].receiver)
        if isinstance(route, Path):
            _post_here(route, messages)
            return
        client = self._clients.get(route.url)
        if client is None:
            client = self._clients[route.url] = self._open.enter_context(Client(route))
        for data in mail.packed([each.data for each in messages]):
            post_letters(client, data)


def deliver_owed(
    vault: Vault,
    to: Routes | Path,
    *,
    at: int,
    limit: int = 1_000,
    key_of: KeyOf = lambda org: None,
    sharing: Sharing | None = None,
) -> Sent:
    """Hand over what a vault owes and is due, sealed to the keys that `key_of` names now.

    Without `sharing` nothing goes to reimbursers: it is owed on.
    """
    with Postman(Routes(to) if isinstance(to, Path) else to) as postman:
        return vault.outbox.send_together(
            postman.deliver,
            at=at,
            limit=limit,
            route=postman.way,
            write=Writing(vault, key_of, sharing),
        )


def owed_figures(vault: Vault, *, now: int, overdue_seconds: int = OVERDUE_SECONDS) -> Figures:
    """What is owed to whom, and for how long; wallets count together."""
    return vault.outbox.figures(now=now, overdue_seconds=overdue_seconds, group=_group)


def parse_route(text: str, make: Callable[[str], Trusted] = Trusted) -> Path | Trusted:
    """A folder, or the address of a letterbox; `ValueError`: an address that is none."""
    return make(text) if text.startswith(_SCHEMES) else Path(text)


def _post_here(folder: Path, messages: Sequence[Message]) -> None:
    boxes: dict[Path, list[bytes]] = {}
    for message in messages:
        boxes.setdefault(_box_of(folder, message.receiver), []).append(message.data)
    for box, letters in boxes.items():
        box.mkdir(mode=0o700, parents=True, exist_ok=True)
        mail.post_messages(box, letters)


def _box_of(folder: Path, receiver: str) -> Path:
    """A member's own, or a wallet's, which its address's id names."""
    if receiver.startswith(RECEIVER):
        return folder / WALLETS / receiver.removeprefix(RECEIVER)
    return folder


def _group(receiver: str) -> str:
    return ALL_WALLETS if receiver.startswith(RECEIVER) else receiver.removeprefix(READER)
