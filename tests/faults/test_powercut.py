"""A power cut at any instant loses nothing that was acknowledged, and leaves no half block."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.cuts import Cuts, cut_a_founding

from tallystick.protocol.errors import Damaged


@pytest.mark.parametrize("seed", [1, 2])
def test_cuts_while_blocks_are_made_and_the_wal_is_moved(tmp_path: Path, seed: int) -> None:
    cuts = Cuts(tmp_path, seed)
    assert cuts.run() > 100
    assert cuts.more > 0, "no cut fell between a block's sync and its acknowledgement"


def test_cuts_while_a_network_is_founded(tmp_path: Path) -> None:
    assert cut_a_founding(tmp_path, seed=3) > 20


def test_a_disk_that_lies_about_syncing_is_noticed(tmp_path: Path) -> None:
    """The tests above can fail."""
    with pytest.raises((AssertionError, Damaged)):
        Cuts(tmp_path, seed=1, lies=True, chance_of_a_cut=0.5).run()
