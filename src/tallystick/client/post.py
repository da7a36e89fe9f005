"""Letters over HTTP, from the sender's and the wallet's side: posted, collected, said to be there.

Invariant: what `post_letters` returned from is on its receiver's disk; a letter is let go of only
after `keep` returned. See docs/spec/delivery.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tallystick.client.failures import failure
from tallystick.client.sync import Client
from tallystick.client.wire import Call, reading
from tallystick.protocol.canonical import DOCUMENT_BYTES_MAX, Record, encode
from tallystick.protocol.values import Count, PublicKey

DELIVERIES = "/api/v1/deliveries"
BOXES = "/api/v1/boxes"
OCTETS = "application/octet-stream"
LETTER_BYTES_MAX = 2 * (DOCUMENT_BYTES_MAX + 8 * 1024)
"""Of one file of deliveries."""
POST_SECONDS = 60.0
LISTS_MAX = 1_000
"""Of a thousand letters each; a box holds fewer."""


class _Open(Record):
    delivery_key: PublicKey


class _Opened(Record):
    address: str


class _Waiting(Record):
    name: str
    bytes: Count


class _Listed(Record):
    letters: list[_Waiting] = []


@dataclass(frozen=True, slots=True)
class _Done(Call[None]):
    """Its answer has no body."""

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Nothing, or the failure that it tells of."""
        if status != 204:
            raise failure(status, headers, body)


def _nothing(body: bytes) -> None:
    """What there is to read in no body."""


def post(data: bytes) -> Call[None]:
    """Post a file of deliveries; the same file again changes nothing."""
    return _Done("POST", DELIVERIES, _nothing, body=data, content_type=OCTETS)


def post_letters(client: Client, data: bytes, *, seconds: float = POST_SECONDS) -> None:
    """Post once, within so many seconds: who keeps an outbox tries again by its own clock."""
    client.once(post(data), seconds)


def open_box(client: Client, delivery_key: bytes) -> str:
    """Open the box of an address for the key that signs; its name. Again: no change."""
    body = encode(_Open(delivery_key=delivery_key))
    call = Call("POST", BOXES, reading(_Opened), body=body, signed=True)
    return client.run(call).address


def collect_letters(client: Client, address: str, keep: Callable[[str, bytes], None]) -> int:
    """Fetch all that waits in a box; each is kept, durably, before it leaves the box. How many."""
    count = 0
    listing = Call(
        *("GET", f"{BOXES}/{address}", reading(_Listed)),
        signed=True,
        answer_bytes_max=DOCUMENT_BYTES_MAX,
    )
    for _ in range(LISTS_MAX):
        waiting = client.run(listing).letters
        for each in waiting:
            path = f"{BOXES}/{address}/{each.name}"
            fetching = Call("GET", path, bytes, signed=True, answer_bytes_max=LETTER_BYTES_MAX)
            keep(each.name, client.run(fetching))
            client.run(_Done("DELETE", path, _nothing, signed=True))
            count += 1
        if not waiting:
            break
    return count
