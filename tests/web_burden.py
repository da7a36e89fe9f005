"""Run as a program: a server alone in a process, so that its memory can be read from outside."""

from __future__ import annotations

import asyncio
from typing import Any

from tallystick.protocol.canonical import replace
from tallystick.web.limits import LIMITS
from tallystick.web.server import listening, run


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the length of the body; /large with 8 MiB; /slow after a second."""
    if scope["type"] != "http":
        return
    size = len((await receive())["body"])
    if scope["path"] == "/slow":
        await asyncio.sleep(1)
    body = bytes(8 * 1024 * 1024) if scope["path"] == "/large" else b"%d" % size
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """With a small budget for bodies, and all connections allowed from one address."""
    bound = listening("127.0.0.1", 0)
    limits = replace(
        LIMITS,
        connections_per_client=20_000,
        bodies_bytes=32 * 1024 * 1024,
        header_seconds=120,
        stop_seconds=3,
    )
    run(
        echo,
        sockets=[bound],
        limits=limits,
        ready=lambda gate: print(bound.getsockname()[1], flush=True),
    )


if __name__ == "__main__":
    main()
