"""The one table out of the domains' tables."""

from __future__ import annotations

import probe
import pytest
from world import province_rules

from tallystick.contracts import members
from tallystick.contracts.kit.context import Domain
from tallystick.ledger.rules import SeenDigest, make_rules
from tallystick.protocol.row import Row


def test_the_table_has_every_action_and_row_of_its_domains() -> None:
    rules = province_rules()
    assert {name.partition(".")[0] for name in rules.actions} == {"members", "bills"}
    assert {name: action.item for name, action in rules.actions.items()} == rules.schemas
    assert {"ledger.seen", "kit.key", "kit.authority", "bills.bill"} <= set(rules.kinds)
    assert rules.kinds[SeenDigest.KIND] is SeenDigest


def test_a_name_that_stands_twice_is_a_bug() -> None:
    with pytest.raises(ValueError, match="not an action of probe alone"):
        make_rules([probe.DOMAIN, probe.DOMAIN])
    alien = Domain("alien", probe.DOMAIN.actions, (), probe.ProbeReason, {})
    with pytest.raises(ValueError, match="not an action of alien alone"):
        make_rules([alien])


def test_two_kinds_of_row_have_two_names() -> None:
    class Other(Row):
        KIND = "probe.cell"

    other = Domain("other", {}, (Other,), probe.ProbeReason, {})
    with pytest.raises(ValueError, match=r"two kinds of row are called probe\.cell"):
        make_rules([members.DOMAIN, probe.DOMAIN, other])
