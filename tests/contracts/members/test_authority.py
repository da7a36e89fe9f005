"""Whatever happens, in whatever order: no authority without a live chain to the founding."""

from __future__ import annotations

from typing import Any

from acts import Acts, founder, nonce, public_key
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tallystick.contracts.kit.grants import Grant, held_grant, is_live, wider
from tallystick.contracts.kit.keys import find_key
from tallystick.contracts.members import DOMAIN, views
from tallystick.contracts.members.actions.delivery import SetDeliveryKey
from tallystick.contracts.members.actions.grants import EndGrant, GiveGrant
from tallystick.contracts.members.actions.keys import AddKey, RevokeKey, RotateRoot
from tallystick.contracts.members.actions.orgs import Admit, Resume, Suspend
from tallystick.contracts.members.records import Delivery, Member, NewGrant, NewKey
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import format_instant

FOUNDERS = ("finance", "city", "county", "hospital")
NAMES = (*FOUNDERS, "clinic")
ACTIONS = (["*"], ["bills.*"], ["bills.issue"], ["members.*"], ["members.suspend", "bills.issue"])
CODES: tuple[list[int], ...] = ([], [33], [3306], [330601], [34])

orgs = st.sampled_from(NAMES)
new_grants = st.fixed_dictionaries(
    {
        "actions": st.sampled_from(ACTIONS),
        "codes": st.sampled_from(CODES),
        "depth": st.integers(0, 3),
        "days": st.sampled_from([None, 5, 50]),
    }
)


class Network(RuleBasedStateMachine):
    """Five organisations that give, end, suspend, admit and change keys as they please."""

    def __init__(self) -> None:
        super().__init__()
        founders = [founder("finance", "*", depth=4), *(founder(org) for org in FOUNDERS[1:])]
        self.acts = Acts([DOMAIN], founders)
        for org, subject, depth in (("finance", "city", 3), ("city", "county", 2)):
            source = views.grants(self.acts.rows, org, self.acts.at)[0][0].grant_id
            new = NewGrant(source=source, actions=["*"], depth=depth)
            item = GiveGrant(nonce=nonce(0), subject=subject, grant=new)
            self.acts.do(org, "members.give_grant", item)
        self.roots = {org: f"{org}/root" for org in NAMES}
        self.dead: dict[tuple[str, str], None] = {}
        self.keys: dict[str, None] = {}
        self.made = 0

    def try_act(self, sender: str, action: str, item: Any, key: str | None = None) -> bool:
        """Whether it was accepted, as the rules have it; a refusal changes nothing."""
        before = dict(self.acts.rows.data)
        try:
            outcomes = self.acts.act(sender, f"members.{action}", item, key=key)
        except Rejected:
            outcomes = []
        if outcomes != ["accepted"]:
            assert self.acts.rows.data == before
        return outcomes == ["accepted"]

    def source(self, sender: str, pick: int) -> str:
        held = views.grants(self.acts.rows, sender, self.acts.at)
        return held[pick % len(held)][0].grant_id if held else "founding.0"

    def new_grant(self, sender: str, pick: int, wanted: dict[str, Any]) -> NewGrant:
        days = wanted["days"]
        return NewGrant(
            source=self.source(sender, pick),
            actions=wanted["actions"],
            codes=wanted["codes"],
            depth=wanted["depth"],
            until=None if days is None else format_instant(self.acts.at + days * 86_400),
        )

    @rule(sender=orgs, subject=orgs, pick=st.integers(0, 9), wanted=new_grants)
    def give(self, sender: str, subject: str, pick: int, wanted: dict[str, Any]) -> None:
        grant = self.new_grant(sender, pick, wanted)
        self.try_act(sender, "give_grant", GiveGrant(nonce=nonce(1), subject=subject, grant=grant))

    @rule(sender=orgs, org=orgs, pick=st.integers(0, 9))
    def end(self, sender: str, org: str, pick: int) -> None:
        grant_id = self.source(org, pick)
        item = EndGrant(nonce=nonce(2), org=org, grant_id=grant_id, reason="mistake")
        self.try_act(sender, "end_grant", item)

    @rule(sender=orgs, org=orgs, pick=st.integers(0, 9), wanted=new_grants)
    def admit(self, sender: str, org: str, pick: int, wanted: dict[str, Any]) -> None:
        item = Admit(
            nonce=nonce(3),
            org=org,
            root_key=public_key(f"{org}/root"),
            keys=[NewKey(key=public_key(f"{org}/key"), actions=["*"])],
            grants=[self.new_grant(sender, pick, wanted)],
        )
        self.try_act(sender, "admit", item)

    @rule(sender=orgs, org=orgs, stop=st.booleans())
    def suspend_or_resume(self, sender: str, org: str, stop: bool) -> None:
        member = views.find_member(self.acts.rows, org)
        version = member.version if member else 0
        if stop:
            self.try_act(
                sender,
                "suspend",
                Suspend(nonce=nonce(4), org=org, version=version, reason="overdue"),
            )
        else:
            self.try_act(
                sender,
                "resume",
                Resume(nonce=nonce(5), org=org, version=version, reason="remedied"),
            )

    @precondition(lambda self: self.made < 30)
    @rule(org=orgs, role=st.sampled_from(["root", "key", "delivery"]), fresh=st.booleans())
    def change_keys(self, org: str, role: str, fresh: bool) -> None:
        self.made += 1
        name = f"new/{self.made}" if fresh else f"{org}/key"
        if role == "root":
            item: Any = RotateRoot(nonce=nonce(6), root_key=public_key(name), reason="replaced")
            if self.try_act(org, "rotate_root", item, self.roots[org]):
                self.roots[org] = name
        elif role == "delivery":
            row = views.find_delivery(self.acts.rows, org)
            version = row.version if row else 0
            item = SetDeliveryKey(nonce=nonce(9), key=public_key(name), version=version)
            self.try_act(org, "set_delivery_key", item)
        else:
            item = AddKey(nonce=nonce(7), new=NewKey(key=public_key(name), actions=["bills.*"]))
            self.try_act(org, "add_key", item, self.roots[org])

    @precondition(lambda self: self.made < 30)
    @rule(org=orgs, n=st.integers(1, 30))
    def revoke(self, org: str, n: int) -> None:
        item = RevokeKey(nonce=nonce(8), key=public_key(f"new/{n}"), reason="lost")
        self.try_act(org, "revoke_key", item, self.roots[org])

    @rule(days=st.integers(1, 20))
    def wait(self, days: int) -> None:
        self.acts.at += days * 86_400

    @invariant()
    def test_G1_every_live_grant_has_a_live_chain_to_the_founding(self) -> None:
        rows, at = self.acts.rows, self.acts.at
        for org in NAMES:
            for grant, live in views.grants(rows, org, at):
                if live:
                    self.check_chain(grant)
                    assert (org, grant.grant_id) not in self.dead, "what is dead stays dead"
                else:
                    self.dead[org, grant.grant_id] = None

    def check_chain(self, grant: Grant) -> None:
        step = grant
        while step.parent is not None:
            above = held_grant(self.acts.rows, step.parent.org, step.parent.grant_id)
            assert above is not None and is_live(self.acts.rows, above, self.acts.at)
            assert wider(step, above) is None
            step = above
        assert step.grant_id == "founding.0"

    @invariant()
    def test_G2_every_member_has_one_live_root_key_and_no_key_ever_vanishes(self) -> None:
        rows = list(views.keys(self.acts.rows))
        live = [(row.org, row.id) for row in rows if row.role == "root" and row.good]
        members = [(row.id, row.root_key.hex()) for row in views.members(self.acts.rows)]
        assert sorted(str(each) for each in live) == sorted(str(each) for each in members)
        assert [key for key in self.keys if key not in [row.id for row in rows]] == []
        self.keys |= dict.fromkeys(row.id for row in rows)

    @invariant()
    def test_G2_every_delivery_key_is_a_key_of_its_member_alone(self) -> None:
        for row in self.acts.rows.scan(Delivery, ""):
            key = find_key(self.acts.rows, row.key)
            assert key is not None and (key.org, key.role, key.good) == (row.id, "delivery", True)

    @invariant()
    def suspension_stands_on_both_rows(self) -> None:
        for member in self.acts.rows.scan(Member, ""):
            assert member.good == (member.state == "active") == (member.reason is None)
            if not member.good:
                assert not views.may(self.acts.rows, member.id, "bills.issue", self.acts.at)


Network.TestCase.settings = settings(max_examples=40, stateful_step_count=40)
TestNetwork = Network.TestCase
