"""Requests that others make us send: to public addresses alone, small, soon over.

A name is resolved here, every address that it has is looked at, and the connection goes to one of
those: what the name becomes a moment later counts for nothing. TLS still asks for the name. No
redirect is followed, no proxy taken out of the environment, no connection used twice (the next name
could be another's), no body of an answer read.

Invariant: no byte goes to this machine or its networks unless the configuration says so.
See docs/spec/events.md.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import Path

import httpx2

from tallystick.protocol.canonical import Record
from tallystick.protocol.errors import Malformed, TallystickError

URL_CHARS_MAX = 500
ADDRESSES_MAX = 16
LOOKUP_SECONDS = 5.0
CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 20.0
"""From the name to the answer's status."""
LOOKUP_THREADS = 16
"""Names that hang are tried seldom (back-off), so these do not run out."""
_NAT64 = IPv6Network("64:ff9b::/96")

Lookup = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a name; `OSError` when it has none."""


class Unreached(TallystickError):
    """The request was not answered, or must not be sent; the text is for whoever asked for it."""


class OutwardRules(Record):
    """What an operator may allow, for receivers within its own walls."""

    allow_http: bool = False
    allow_private: bool = False


def check_url(url: str, rules: OutwardRules) -> httpx2.URL:
    """An address that we might send to; `Malformed` for all that we never would."""
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, UnicodeError) as error:
        raise Malformed(f"no address: {error}", path="url") from None
    if len(url) > URL_CHARS_MAX or not url.isascii() or not url.isprintable() or " " in url:
        raise Malformed(f"plain ASCII, at most {URL_CHARS_MAX} characters", path="url")
    if parsed.scheme != "https" and not (parsed.scheme == "http" and rules.allow_http):
        raise Malformed("only https addresses", path="url")
    if parsed.port is not None and not 0 < parsed.port < 65_536:
        raise Malformed("no such port", path="url")
    if not parsed.host or parsed.userinfo or parsed.fragment:
        raise Malformed("a host, without user, password or fragment", path="url")
    if _literal(parsed.host) is not None and not (rules.allow_private or is_public(parsed.host)):
        raise Malformed(f"{parsed.host} is no public address", path="url")
    return parsed


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet, whatever it is dressed as."""
    found = _literal(address)
    if found is None:
        return False
    if isinstance(found, IPv6Address):
        inner = _within(found)
        if inner is not None or found.is_site_local:
            return inner is not None and is_public(str(inner))
    return found.is_global and not (
        found.is_multicast or found.is_private or found.is_reserved or found.is_loopback
    )


def _within(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address to which packets for an IPv6 one may be handed on."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    low = IPv4Address(int(address) & 0xFFFF_FFFF)
    return low if address in _NAT64 or int(address) >> 32 == 0 else None


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


class Outward:
    """Sends; for one event loop."""

    def __init__(
        self,
        rules: OutwardRules,
        *,
        ca_file: Path | None = None,
        lookup: Lookup | None = None,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        """`ca_file`: authorities in place of the system's."""
        self.rules = rules
        self._total_seconds = total_seconds
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="tallystick-names")
        self._lookup = lookup or self._ask_system
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        self._client = httpx2.AsyncClient(
            verify=context,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx2.Timeout(total_seconds, connect=CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
            headers={"user-agent": "tallystick", "accept-encoding": "identity"},
        )

    async def close(self) -> None:
        """Let go of connections and threads."""
        await self._client.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status of the answer; `Unreached` when there is none."""
        try:
            async with asyncio.timeout(self._total_seconds):
                return await self._post(check_url(url, self.rules), body, headers)
        except TimeoutError:
            raise Unreached(f"no answer within {self._total_seconds:g} s") from None
        except Malformed as error:
            raise Unreached(str(error)) from None

    async def _post(self, url: httpx2.URL, body: bytes, headers: Mapping[str, str]) -> int:
        address = (await self._addresses(url))[0]
        extensions = {} if _literal(url.host) else {"sni_hostname": url.raw_host.decode()}
        request = self._client.build_request(
            "POST",
            url.copy_with(host=address),
            content=body,
            headers={**headers, "host": url.netloc.decode()},
            extensions=extensions,
        )
        try:
            response = await self._client.send(request, stream=True)
        except httpx2.TransportError as error:
            raise Unreached(f"{type(error).__name__}: {error}"[:200]) from None
        await response.aclose()
        return response.status_code

    async def _addresses(self, url: httpx2.URL) -> list[str]:
        """Where the name leads; nothing is sent when any of it is within our walls."""
        port = url.port or (443 if url.scheme == "https" else 80)
        host = url.raw_host.decode()
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = await self._lookup(host, port)
        except TimeoutError:
            raise Unreached(f"the name {host} was not resolved in time") from None
        except (OSError, UnicodeError):
            found = []
        if not found or not (self.rules.allow_private or all(map(is_public, found))):
            # One text for both: whoever has a hook asks no questions about names of our networks.
            raise Unreached(f"the name {host} has no address, or one that is not public")
        return found[:ADDRESSES_MAX]

    async def _ask_system(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(each[4][0]) for each in found))
