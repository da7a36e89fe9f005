"""Why an act about members, keys, grants or keepers is refused: agreed by all members.

Invariant: append-only; a word is never reused and never changes its meaning. What people read is
in `texts.py`, complete by test. See docs/spec/contracts/members.md.
"""

from __future__ import annotations

from tallystick.protocol.errors import Reason


class MembersReason(Reason):
    """In groups, in the order in which the rules ask."""

    # Organisations.
    ORG_UNKNOWN = "members.org_unknown"
    ORG_TAKEN = "members.org_taken"
    ORG_SUPERIOR = "members.org_superior"
    ORG_SUSPENDED = "members.org_suspended"
    ORG_NOT_SUSPENDED = "members.org_not_suspended"

    # Keys.
    ROOT_REPLACED = "members.root_replaced"
    KEY_WEAK = "members.key_weak"
    KEY_TAKEN = "members.key_taken"
    KEY_NOT_FOUND = "members.key_not_found"
    KEY_ENDED = "members.key_ended"
    UNTIL_PAST = "members.until_past"

    # Grants.
    GRANT_NOT_FOUND = "members.grant_not_found"
    GRANT_WIDER = "members.grant_wider"
    GRANTS_FULL = "members.grants_full"
    GRANT_FOUNDING = "members.grant_founding"
    GRANT_NOT_YOURS = "members.grant_not_yours"
    GRANT_ENDED = "members.grant_ended"

    # Keepers.
    NAME_TAKEN = "members.name_taken"
    KEEPER_NOT_FOUND = "members.keeper_not_found"
    KEEPER_ENDED = "members.keeper_ended"
