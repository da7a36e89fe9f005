"""kill -9 of what serves and of who issues through it: nothing lost, nothing twice, nobody told."""

from __future__ import annotations

from pathlib import Path

from faults.served_killed import KilledServers


def test_kills_of_a_server_and_of_a_hospital(tmp_path: Path) -> None:
    servers = KilledServers(tmp_path, seed=4)
    with servers.running():
        for way in ("server", "hospital", "worker"):
            servers.round(way)
    servers.check()
    assert sum(servers.seen.kills.values()) == 3
    assert servers.seen.accepted > 40
