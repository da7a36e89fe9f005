"""kill -9 under load loses nothing that was acknowledged and does nothing twice."""

from __future__ import annotations

from pathlib import Path

from faults.desks_killed import KilledDesks
from faults.kills import Victims
from faults.offices_killed import KilledOffices


def test_kills_at_random_instants(tmp_path: Path) -> None:
    victims = Victims(tmp_path, seed=1)
    for _ in range(5):
        victims.round(audit=False)
    victims.audit()
    assert victims.seen.kills == 5
    assert victims.seen.acknowledged > 50


def test_kills_of_an_office_and_an_archive(tmp_path: Path) -> None:
    offices = KilledOffices(tmp_path, seed=2)
    for _ in range(3):
        offices.round()
    assert offices.bills > 20


def test_kills_of_a_reimbursers_desk(tmp_path: Path) -> None:
    desks = KilledDesks(tmp_path, seed=3)
    for _ in range(4):
        desks.round()
    assert desks.kills == 4 and desks.settled > 20
