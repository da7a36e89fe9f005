"""What one client, and all of them together, may cost a server: each bound with its unit.

Invariant: no resource that a stranger can take is without a bound here.
See docs/guides/configuration.md.
"""

from __future__ import annotations

from typing import Annotated

from tallystick.protocol.canonical import Meta, Record

_KIB = 1024
_MIB = 1024 * 1024


class Limits(Record):
    """Bounds of one process that answers HTTP; more than a bound is refused, then cut off."""

    request_line_bytes: Annotated[
        int, Meta(ge=64, le=65_536, description="longest address of a request; more is 414")
    ]
    header_bytes: Annotated[
        int, Meta(ge=256, le=1_048_576, description="all headers of a request; more is 431")
    ]
    header_fields: Annotated[
        int, Meta(ge=4, le=1_000, description="how many headers a request has; more is 431")
    ]
    header_seconds: Annotated[
        float, Meta(gt=0, le=600, description="from the first byte to the last header; then 408")
    ]
    idle_seconds: Annotated[
        float, Meta(gt=0, le=3_600, description="how long a connection waits for its next request")
    ]
    body_bytes: Annotated[
        int, Meta(ge=1, le=1_073_741_824, description="largest body of a request; more is 413")
    ]
    bodies_bytes: Annotated[
        int,
        Meta(ge=1, le=1_099_511_627_776, description="all bodies of a process that are under way"),
    ]
    pace_seconds: Annotated[
        float,
        Meta(gt=0, le=600, description="the window in which a body or an answer has to get on"),
    ]
    pace_bytes_per_second: Annotated[
        int, Meta(ge=1, le=1_000_000_000, description="how fast it has to be within that window")
    ]
    connections: Annotated[
        int,
        Meta(
            ge=1, le=1_000_000, description="of a process; when full the one idle longest is closed"
        ),
    ]
    connections_per_client: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="of one address (IPv6: of one /64), proxies aside"),
    ]
    requests: Annotated[
        int, Meta(ge=1, le=1_000_000, description="under way in a process; more are told 503")
    ]
    linger_seconds: Annotated[
        float, Meta(gt=0, le=60, description="how long a refused client may read why")
    ]
    stop_seconds: Annotated[
        float, Meta(gt=0, le=3_600, description="how long a stop waits for what is under way")
    ]


LIMITS = Limits(
    request_line_bytes=4 * _KIB,
    header_bytes=16 * _KIB,
    header_fields=64,
    header_seconds=10,
    idle_seconds=75,
    body_bytes=4 * _MIB,
    bodies_bytes=256 * _MIB,
    pace_seconds=10,
    pace_bytes_per_second=16 * _KIB,
    connections=12_000,
    connections_per_client=512,
    requests=4_096,
    linger_seconds=2,
    stop_seconds=20,
)
"""What holds where nothing else is said."""
