"""All connections of one process together: who is let in, who must go, how much memory they hold.

Invariant: connections, requests under way and bytes of bodies stay within the limits, whoever
comes; what has to give way is what has waited longest. See docs/guides/operations.md.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any

from tallystick.web.exchange import Exchange
from tallystick.web.limits import Limits
from tallystick.web.problems import Problems
from tallystick.web.reasons import WebReason

Observe = Callable[[Exchange], None]
"""Told of each exchange when it is over: metrics, log."""
Fault = Callable[[Exchange, BaseException], None]
"""Told of each error that is a bug."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_IPV6_CLIENT_BITS = 64
"""Whoever has one IPv6 address has the rest of its /64, too."""


class Gate:
    """Shared by the connections of one server; everything happens in its one event loop.

    A connection is `Any` here only because `web.connection` stands above this module.
    """

    def __init__(
        self,
        limits: Limits,
        problems: Problems,
        *,
        prefix: str,
        proxies: Sequence[str] = (),
        public: Callable[[str], bool] = lambda path: False,
        observe: Observe = lambda exchange: None,
        fault: Fault = lambda exchange, error: None,
    ) -> None:
        self.limits = limits
        self.problems = problems
        self.public = public
        self.observe = observe
        self.fault = fault
        self.stopping = False
        self.requests = 0
        """Under way: from the last header to the last byte of the answer."""
        self.bodies = 0
        """Bytes of bodies that are held."""
        self.waiting: dict[Any, None] = {}
        """Connections without a whole header; the one that has waited longest first."""
        self.receiving: dict[Any, None] = {}
        """Connections whose body is coming, in order of beginning."""
        self.clients: dict[str, dict[Any, None]] = {}
        """Connections by client."""
        self.connections: dict[Any, None] = {}
        self._prefix = prefix
        self._number = 0
        self._proxies: list[Network] = [ipaddress.ip_network(each) for each in proxies]

    def name(self) -> str:
        """A new request's id: this process, and a number."""
        self._number += 1
        return f"{self._prefix}-{self._number:x}"

    def trusted(self, address: str) -> bool:
        """Whether what this peer says about its client is believed."""
        if not self._proxies or not address:
            return False
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._proxies)

    def behind(self, forwarded: str) -> str:
        """The client of a trusted proxy: the rightmost address that is no proxy of ours."""
        for part in reversed(forwarded.split(",")):
            address = part.strip()
            try:
                ipaddress.ip_address(address)
            except ValueError:
                return ""
            if not self.trusted(address):
                return address
        return ""

    def admit(self, connection: Any, address: str, *, proxy: bool) -> bool:
        """Let a new connection in, closing an idle one if that is what it takes."""
        client = client_of(address)
        own = self.clients.setdefault(client, {})
        if not proxy and address and len(own) >= self.limits.connections_per_client:
            self._close_first(connection for connection in own if connection in self.waiting)
        if len(self.connections) >= self.limits.connections:
            self._close_first(iter(self.waiting))
        full = len(self.connections) >= self.limits.connections
        crowded = not proxy and address and len(own) >= self.limits.connections_per_client
        self.clients.setdefault(client, own)
        if full or crowded:
            if not own:
                del self.clients[client]
            return False
        own[connection] = None
        self.connections[connection] = None
        self.waiting[connection] = None
        return True

    def leave(self, connection: Any, address: str) -> None:
        """A connection has ended."""
        self.connections.pop(connection, None)
        self.waiting.pop(connection, None)
        self.receiving.pop(connection, None)
        client = client_of(address)
        own = self.clients.get(client)
        if own is not None:
            own.pop(connection, None)
            if not own:
                del self.clients[client]

    def begin(self) -> bool:
        """A request more is under way, if need be in place of one whose body is slow to come."""
        if self.requests >= self.limits.requests:
            oldest = next(iter(self.receiving), None)
            if oldest is None:
                return False
            oldest.refuse(WebReason.TIMEOUT)
        self.requests += 1
        return True

    def hold(self, connection: Any, count: int) -> bool:
        """Account for bytes of a body; the body that has come longest gives way to the others."""
        self.bodies += count
        while self.bodies > self.limits.bodies_bytes:
            oldest = next(iter(self.receiving), None)
            if oldest is None or oldest is connection:
                return False
            oldest.refuse(WebReason.TIMEOUT)
        return True

    @staticmethod
    def _close_first(connections: Any) -> None:
        found = next(connections, None)
        if found is not None:
            found.give_way()


def client_of(address: str) -> str:
    """Whom an address counts for."""
    if ":" not in address:
        return address
    try:
        network = ipaddress.ip_network((address.partition("%")[0], _IPV6_CLIENT_BITS), strict=False)
    except ValueError:
        return address
    mapped = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(mapped, ipaddress.IPv6Address) and mapped.ipv4_mapped:
        return str(mapped.ipv4_mapped)
    return str(network)
