"""The reference types obey the contract's rules for rules, and say in public what they are."""

from __future__ import annotations

import pytest

from tallystick.apps.bills.catalogue import REGION, TYPES, CatalogueEntry, Scene, synthea_types
from tallystick.contracts.bills.actions.catalogue import check_rules
from tallystick.protocol.canonical import decode, encode


@pytest.mark.parametrize("scene", TYPES)
def test_a_type_is_sound(scene: Scene) -> None:
    kind = TYPES[scene]
    assert kind.scene == scene
    check_rules(kind.rules)
    assert kind.type_id // 10_000 == REGION
    assert kind.rules.item_codes == tuple(each.code for each in kind.entry.items)
    assert decode(encode(kind.entry), CatalogueEntry) == kind.entry
    item = kind.define(nonce=bytes(16), valid_from="2026-01-01T00:00:00Z")
    assert (item.catalogue, item.rules) == (kind.entry.digest, kind.rules)
    assert kind.code(2026) == kind.code(26) == kind.type_id * 100 + 26


def test_types_differ() -> None:
    assert len({kind.type_id for kind in TYPES.values()}) == len(TYPES) == 9
    assert len({kind.entry.digest for kind in TYPES.values()}) == 9


def test_an_import_in_dollars_has_room() -> None:
    types = synthea_types()
    assert set(types) == {"outpatient", "inpatient"}
    for kind in types.values():
        check_rules(kind.rules)
        assert "USD" in kind.rules.currencies
        assert kind.rules.max_items == 40
        assert kind.rules.zero_total and not kind.rules.credit_code_required
