"""The table of the domain is whole, and every refusal can be read in both languages."""

from __future__ import annotations

from tallystick.contracts.kit.keys import ROOT_ACTIONS
from tallystick.contracts.members import DOMAIN
from tallystick.contracts.members.reasons import MembersReason


def test_every_reason_has_its_texts() -> None:
    assert list(DOMAIN.texts) == list(MembersReason) == list(DOMAIN.reasons)
    for reason, text in DOMAIN.texts.items():
        assert all(part and part == part.strip() for part in text)
        assert reason.value == f"members.{reason.name.lower()}"


def test_what_a_root_key_signs_are_actions_of_this_domain() -> None:
    assert [name for name in ROOT_ACTIONS if f"{name}/1" not in DOMAIN.actions] == []


def test_every_kind_of_row_has_its_name_once() -> None:
    kinds = [row.KIND for row in DOMAIN.rows]
    assert kinds == [
        *("members.member", "members.keeper", "members.delivery"),
        *("kit.authority", "kit.key"),
    ]
