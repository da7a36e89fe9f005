"""Members: organisations, their keys, grants and keepers; and how a network begins.

Invariant: no authority without a live chain of grants to the founding file, no key used twice.
See docs/spec/contracts/members.md.
"""

from __future__ import annotations

from tallystick.contracts.kit.context import Action, Domain
from tallystick.contracts.kit.grants import Authority
from tallystick.contracts.kit.keys import KeyRow
from tallystick.contracts.members.actions import delivery, grants, keepers, keys, orgs
from tallystick.contracts.members.founding import found
from tallystick.contracts.members.reasons import MembersReason
from tallystick.contracts.members.records import Delivery, Keeper, Member
from tallystick.contracts.members.texts import TEXTS

DOMAIN = Domain(
    name="members",
    actions={
        "members.admit/1": Action(orgs.Admit, orgs.admit),
        "members.suspend/1": Action(orgs.Suspend, orgs.suspend),
        "members.resume/1": Action(orgs.Resume, orgs.resume),
        "members.add_key/1": Action(keys.AddKey, keys.add_key),
        "members.revoke_key/1": Action(keys.RevokeKey, keys.revoke_key),
        "members.rotate_root/1": Action(keys.RotateRoot, keys.rotate_root),
        "members.set_delivery_key/1": Action(delivery.SetDeliveryKey, delivery.set_delivery_key),
        "members.give_grant/1": Action(grants.GiveGrant, grants.give_grant),
        "members.end_grant/1": Action(grants.EndGrant, grants.end_grant),
        "members.add_keeper/1": Action(keepers.AddKeeper, keepers.add_keeper),
        "members.retire_keeper/1": Action(keepers.RetireKeeper, keepers.retire_keeper),
    },
    rows=(Member, Keeper, Delivery, Authority, KeyRow),
    reasons=MembersReason,
    texts=TEXTS,
    found=found,
)
