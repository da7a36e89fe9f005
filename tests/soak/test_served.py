"""A few seconds over HTTP, a worker and the server killed: the soak of the service in small."""

from __future__ import annotations

from pathlib import Path

from soak.served import Options, Served

SECONDS, RATE = 6, 60


def test_a_served_ledger_under_load_and_kills_loses_doubles_and_hides_nothing(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    options = Options(
        seconds=SECONDS,
        rate=RATE,
        reads=20,
        workers=2,
        kills=2,
        p99_seconds_max=60.0,  # what it takes is for the soak itself: here others test beside us
        flat=False,
    )
    served = Served(tmp_path, 11, options, said.append)
    verdict = served.run()
    assert verdict.missed == []
    assert served.counted["bills"] > SECONDS * RATE * 9 // 10
    assert served.counted["claims"] > 20
    assert served.counted["kills"] == 2
    assert served.counted["backups"] > 0
    assert served.counted["deliveries"] > 0
    assert said[-1] == "doctor"
