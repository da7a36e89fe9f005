"""Eight days around New Year's night, a few hundred bills: the soak's month in small."""

from __future__ import annotations

from pathlib import Path

from soak.month import Month


def test_every_fen_and_every_number_is_where_the_plan_says(tmp_path: Path) -> None:
    said: list[str] = []
    month = Month(tmp_path, seed=11, bills=480, days=8, say=said.append)
    month.run()
    assert month.counted["bills"] == 480
    assert month.counted["claims"] > 20
    assert month.counted["accounts"] > 10
    assert said[-1] == "doctor"
