"""Letters over HTTP: posted by whoever has some, collected by the wallets that they are for.

Who posts is not asked: a letter is sealed to its receiver and proves itself against the ledger. Who
collects signs by the key that opened the box; no ledger knows that key, and it is no other box's.

Invariant: 204 to a post means that the letters are on the receiver's disk; a letter leaves its box
only when its wallet says that it has it. See docs/spec/delivery.md.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, cast

from starlette.applications import Starlette
from starlette.responses import Response

from tallystick.contracts.members.views import find_delivery
from tallystick.ledger.view import View
from tallystick.protocol.canonical import Record
from tallystick.protocol.errors import Busy, Reason
from tallystick.protocol.values import Count, PublicKey, parse_instant
from tallystick.vault.letterbox import TEXTS, LetterBox, LetterReason, address_id
from tallystick.vault.mail import FILE_BYTES_MAX
from tallystick.web.app import make_app
from tallystick.web.endpoint import BYTES, Access, Ask, Endpoint, answer, nothing, raw
from tallystick.web.exchange import exchange_of
from tallystick.web.gate import client_of
from tallystick.web.problems import Problems
from tallystick.web.requests import RequestVerifier

if TYPE_CHECKING:
    from starlette.requests import Request

    from tallystick.web.service import Service

SignerOf = Callable[["Request", bytes], bytes]
"""The Ed25519 key that has signed a request with this body, whosoever it is; `Rejected` when none
has. It is asked where no ledger can say whose key that is."""

KEYS_SECONDS = 5.0
"""How old what is known of the members' delivery keys may be."""
OPENED_EACH_MAX = 200
"""Boxes that one client's network may open in an hour at one worker: they are for good, and all of
them together are bounded."""
CLIENTS_MAX = 10_000
"""Whose boxes are counted; while there are more, nobody opens any."""
HOUR_SECONDS = 3_600
POST = "/api/v1/deliveries"
BOX = "/api/v1/boxes/{address}"
LETTER = "/api/v1/boxes/{address}/{name}"


class OpenBox(Record):
    """The box of a wallet's address, for whoever signs this."""

    delivery_key: PublicKey
    """X25519; the box's name comes out of it, and letters are sealed to it."""


class OpenedBox(Record):
    """The box's name."""

    address: str


class WaitingLetter(Record):
    """A file of deliveries."""

    name: str
    bytes: Count


class Letters(Record):
    """What waits in a box, by name; no more than a thousand at once."""

    letters: list[WaitingLetter] = []


_OWNERS = {401: "not signed by the key of the box"}
STATUSES: dict[Reason, int] = {LetterReason.NO_BOX: 404, LetterReason.NO_LETTER: 404}
"""For `Problems`, with `vault.letterbox.TEXTS`."""


def signer_by(verifier: RequestVerifier) -> SignerOf:
    """Who signed, by the one form of signatures (docs/spec/requests.md).

    What was signed may come again within its minute: to list, to fetch and to let go of what is
    gone change nothing, and what is fetched is sealed.
    """

    def signer_of(request: Request, body: bytes) -> bytes:
        scope = request.scope
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        signed = verifier.verify(request.method, path, query, scope["headers"])
        signed.check_body(body)
        return signed.key

    return signer_of


def receiving_keys(
    view: Callable[[], AbstractContextManager[View]], receivers: Collection[str]
) -> Callable[[], Collection[bytes]]:
    """The delivery keys of these members now, and those before that are still opened."""
    known: tuple[float, frozenset[bytes]] = (float("-inf"), frozenset())

    def keys() -> Collection[bytes]:
        nonlocal known
        if time.monotonic() < known[0] + KEYS_SECONDS:
            return known[1]
        found = set()
        with view() as reader:
            for org in receivers:
                row = find_delivery(reader, org)
                if row is None:
                    continue
                found.add(row.key)
                before = row.previous
                if before is not None and reader.head.at < parse_instant(before.until):
                    found.add(before.key)
        known = (time.monotonic(), frozenset(found))
        return known[1]

    return keys


def letterbox_app(box: LetterBox, signer_of: SignerOf | None, *, version: str) -> Starlette:
    """A letterbox alone, for whoever has no node at hand."""
    problems = Problems(TEXTS, STATUSES)
    alone = cast("Service", None)  # no entry of a letterbox asks a ledger
    return make_app(alone, letter_endpoints(box, signer_of), problems, version=version)


def letter_endpoints(box: LetterBox, signer_of: SignerOf | None) -> list[Endpoint]:
    """What a letterbox offers; without `signer_of` it has no boxes of wallets."""
    desk = _Desk(box, signer_of or _nobody)
    post = Endpoint(
        *("POST", POST, desk.post_letters, "Post letters: a file of sealed deliveries"),
        access=Access.OWN,
        body=BYTES,
        body_bytes_max=FILE_BYTES_MAX,
        answers={
            204: "the receivers have them durably; the same file again changes nothing",
            422: "letters of another network, or to nobody who receives here",
        },
        tag="letters",
    )
    if signer_of is None:
        return [post]
    return [
        post,
        Endpoint(
            *("POST", "/api/v1/boxes", desk.open_box, "Open the box of a wallet's address"),
            access=Access.OWN,
            body=OpenBox,
            answer=OpenedBox,
            answers=_OWNERS | {409: "the box is another key's"},
            tag="letters",
        ),
        Endpoint(
            *("GET", BOX, desk.list_letters, "What waits in a box of the key that signs"),
            access=Access.OWN,
            answer=Letters,
            answers=_OWNERS,
            tag="letters",
        ),
        Endpoint(
            *("GET", LETTER, desk.get_letter, "One file of deliveries out of it"),
            access=Access.OWN,
            answer=BYTES,
            answers=_OWNERS,
            tag="letters",
        ),
        Endpoint(
            *("DELETE", LETTER, desk.delete_letter, "The wallet has it durably"),
            access=Access.OWN,
            answers=_OWNERS | {204: "it is out of the box; again changes nothing"},
            tag="letters",
        ),
    ]


class _Desk:
    """Each of these runs in a thread: the disk may be slow."""

    def __init__(self, box: LetterBox, signer_of: SignerOf) -> None:
        self._box = box
        self._signer_of = signer_of
        self._opened: Counter[str] = Counter()
        self._hour = 0
        self._lock = threading.Lock()

    def post_letters(self, ask: Ask) -> Response:
        self._box.take(ask.body)
        return nothing()

    def open_box(self, ask: Ask) -> Response:
        opening: OpenBox = ask.record
        owner = self._signer_of(ask.request, ask.body)
        if not self._box.is_open(address_id(opening.delivery_key)):
            self._count(client_of(exchange_of(ask.request.scope).client))
        return answer(OpenedBox(address=self._box.open_box(opening.delivery_key, owner)))

    def _count(self, client: str) -> None:
        """One box more of a client's, or `Busy`: any key is good for one, so keys cost nothing."""
        hour = int(time.monotonic()) // HOUR_SECONDS
        with self._lock:
            if hour != self._hour:
                self._hour, self._opened = hour, Counter()
            new = client not in self._opened
            if self._opened[client] >= OPENED_EACH_MAX or (new and len(self._opened) > CLIENTS_MAX):
                raise Busy(HOUR_SECONDS)
            self._opened[client] += 1

    def list_letters(self, ask: Ask) -> Response:
        owner = self._signer_of(ask.request, ask.body)
        waiting = self._box.waiting(ask.path["address"], owner)
        return answer(Letters(letters=[WaitingLetter(name=n, bytes=size) for n, size in waiting]))

    def get_letter(self, ask: Ask) -> Response:
        owner = self._signer_of(ask.request, ask.body)
        return raw(self._box.letter(ask.path["address"], ask.path["name"], owner), BYTES)

    def delete_letter(self, ask: Ask) -> Response:
        owner = self._signer_of(ask.request, ask.body)
        self._box.taken(ask.path["address"], ask.path["name"], owner)
        return nothing()


def _nobody(request: Request, body: bytes) -> bytes:
    raise PermissionError("no wallet is served here")
