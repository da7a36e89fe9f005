"""One line of JSON a request, without personal data; another for each fault, without its words.

A line has the route's template and not the address, so no number of a bill; the organisation that
asked or the kind of its key; the network that the client is in and not the client.

Invariant: nothing that a client wrote stands in a line, but what is a code or a member's name.
See docs/guides/operations.md.
"""

from __future__ import annotations

import asyncio
import ipaddress
import sys
import traceback
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TextIO

from tallystick.protocol.canonical import encode
from tallystick.protocol.values import format_instant
from tallystick.web.exchange import Exchange

_FRAMES_MAX = 12
_FLUSH_SECONDS = 1.0
_HELD_MAX = 2_000
_CALLER_CHARS_MAX = 64
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_IPV4_BITS, _IPV6_BITS = 24, 48

Value = str | int | bool | list[str]


class Log:
    """Lines are handed over about once a second, faults at once; a full disk loses lines alone."""

    def __init__(self, clock: Callable[[], int], stream: TextIO = sys.stderr) -> None:
        self._clock = clock
        self._stream = stream
        self._held: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self.lost = 0
        """Lines that could not be written."""

    def request(self, exchange: Exchange) -> None:
        """When an exchange is over."""
        line: dict[str, Value] = {
            "event": "request",
            "id": exchange.request_id,
            "method": method_of(exchange),
            "route": exchange.route,
            "status": exchange.status,
            "ms": round(exchange.seconds * 1000),
            "in": exchange.bytes_in,
            "out": exchange.bytes_out,
            "net": network_of(exchange.client),
        }
        if exchange.caller:
            line["caller"] = exchange.caller[:_CALLER_CHARS_MAX]
        if exchange.reason:
            line["reason"] = exchange.reason
        self._add(line)

    def fault(self, exchange: Exchange, error: BaseException) -> None:
        """A bug, or a file that is damaged: where, but not what it says, which may be content."""
        self.event(
            "fault",
            id=exchange.request_id,
            route=exchange.route,
            kind=_kinds(error),
            at=frames_of(error),
        )

    def event(self, event: str, **fields: Value) -> None:
        """Whatever else an operator wants to know at once: started, stopping, a keeper is late."""
        self._add({"event": event, **fields})
        self.flush()

    def flush(self) -> None:
        """Hand over what is held."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        held, self._held = self._held, []
        if not held:
            return
        try:
            self._stream.write("\n".join(held) + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # no room, or no more such stream: answering goes on
            self.lost += len(held)

    def _add(self, fields: dict[str, Value]) -> None:
        line = {"time": format_instant(self._clock()), **fields}
        self._held.append(encode(line).decode())
        if len(self._held) >= _HELD_MAX:
            self.flush()
        elif self._timer is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                self.flush()
            else:
                self._timer = loop.call_later(_FLUSH_SECONDS, self.flush)


def method_of(exchange: Exchange) -> str:
    """The method, of those that anybody has a use for."""
    return exchange.method if exchange.method in _METHODS else "other"


@lru_cache(maxsize=1_024)
def network_of(address: str) -> str:
    """What is left of a client's address: the provider's network."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    bits = _IPV4_BITS if found.version == 4 else _IPV6_BITS
    return str(ipaddress.ip_network((found, bits), strict=False))


def frames_of(error: BaseException) -> list[str]:
    """Where it was raised: files below the libraries' folder, lines and functions."""
    found = traceback.extract_tb(error.__traceback__)[-_FRAMES_MAX:]
    return [f"{_short(each.filename)}:{each.lineno} {each.name}" for each in found]


def _short(filename: str) -> str:
    parts = Path(filename).parts
    return "/".join(parts[-3:])


def _kinds(error: BaseException) -> list[str]:
    """The error and what it came from, by kind."""
    found: list[str] = []
    at: BaseException | None = error
    while at is not None and len(found) < _FRAMES_MAX:
        found.append(type(at).__name__)
        at = at.__cause__ or at.__context__
    return found
