"""What both clients share of HTTP: where to, how sure of whom, and how much is read.

TLS is verified against the system's authorities or a file of them; without TLS only this machine
is spoken to, unless the caller insists. Redirects are not followed, proxies only where named, and
compressed answers not taken: a few bytes could become a memory full.

Invariant: an answer is never read further than its call allows, nor longer than its deadline.
See docs/spec/client.md.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tallystick.client.failures import WrongAnswer
from tallystick.client.patience import Patience
from tallystick.client.wire import Call

USER_AGENT = "tallystick"
ENCODING = "identity"


@dataclass(frozen=True, slots=True)
class Trusted:
    """Whom a client talks to, and how sure it is of that."""

    url: str
    ca_file: Path | None = None
    """Authorities in place of the system's."""
    proxy: str | None = None
    insecure: bool = False
    """Speak to another machine without TLS: everybody on the way reads along."""

    def __post_init__(self) -> None:
        url = httpx2.URL(self.url)
        if url.scheme not in {"http", "https"} or not url.host or url.query or url.userinfo:
            raise ValueError(f"{self.url} is no address of a server")
        if url.scheme == "http" and not (self.insecure or _is_here(url.host)):
            raise ValueError(f"{self.url}: without TLS only this machine may be asked")

    def keywords(self, patience: Patience) -> dict[str, Any]:
        """For httpx2's clients."""
        context: ssl.SSLContext | bool = True
        if self.ca_file is not None:
            context = ssl.create_default_context(cafile=str(self.ca_file))
        return {
            "base_url": self.url,
            "verify": context,
            "proxy": self.proxy,
            "trust_env": False,
            "follow_redirects": False,
            "timeout": timeout(patience, 0, patience.answer_seconds),
            "limits": httpx2.Limits(
                max_connections=patience.connections_max,
                max_keepalive_connections=patience.connections_max,
                keepalive_expiry=30.0,
            ),
            "headers": {"accept-encoding": ENCODING, "user-agent": USER_AGENT},
        }


def timeout(patience: Patience, wait_seconds: float, left: float) -> httpx2.Timeout:
    """Bounds of one attempt, with the server's own waiting, within what is left."""
    answer = min(patience.answer_seconds + wait_seconds, left)
    return httpx2.Timeout(answer, connect=min(patience.connect_seconds, left))


def request_keywords(call: Call[Any], auth: httpx2.Auth | None) -> dict[str, Any]:
    """For `build_request`, but for the time-out."""
    if call.signed and auth is None:
        raise ValueError(f"{call.path} is asked by a signed request: give the client a key")
    headers = {"accept": "application/json, application/problem+json, */*;q=0.5"}
    headers |= dict(call.headers)
    if call.body:
        headers["content-type"] = call.content_type
    return {"params": call.query or None, "content": call.body or None, "headers": headers}


class Body:
    """Collects an answer's bytes, within bounds."""

    def __init__(self, call: Call[Any], headers: Mapping[str, str]) -> None:
        self._call = call
        self._parts: list[bytes] = []
        self._size = 0
        encoding = headers.get("content-encoding", ENCODING)
        if encoding.lower() != ENCODING:
            raise WrongAnswer(f"{call.path}: an answer in {encoding[:40]}, which nobody asked for")

    def add(self, part: bytes) -> None:
        """The next bytes."""
        self._size += len(part)
        if self._size > self._call.bytes_max:
            raise WrongAnswer(f"{self._call.path}: more than {self._call.bytes_max} bytes")
        self._parts.append(part)

    @property
    def data(self) -> bytes:
        """All of them."""
        return b"".join(self._parts)


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
