"""What holders, reimbursers, issuer and supervisor do to bills, each act beside the model.

See `bills_machine` for the world, and `bill_model` for what the model knows of one bill.
"""

from __future__ import annotations

from typing import Any

from bill_model import LOSS_WAIT, Answered, Face, Hold, Order, key_of
from bills_machine import MANDATE_CAP, MONEY, NOBODY, ORGS, PART, PURPOSES, Machine
from claims_acts import CLAIM_RULES, DAY, HOUR, Held
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from paper_acts import PAPER

from tallystick.contracts.bills.items.bills import Archived, Release, Withhold
from tallystick.contracts.bills.items.paper import CancelExchange, DeclareLost, Recover
from tallystick.contracts.bills.items.supervision import Freeze, Lift
from tallystick.contracts.bills.records.bills import Bill
from tallystick.protocol.canonical import replace as changed
from tallystick.protocol.transaction import Item


class Holders(Machine):
    """What the family says: consents to the mutual, a mandate to the insurer, new keys."""

    @precondition(lambda self: self.has_bills())
    @rule(data=st.data(), purpose=PURPOSES)
    def consent(self, data: st.DataObject, purpose: str) -> None:
        _, face, bill = self.pick(data)
        item = self.desk.acting.consent(
            bill,
            face.holder(),
            reader="mutual",
            purpose=purpose,
            until=self.world.instant(999 * DAY),
        )
        self._run("mutual", "bills.consent", item, True)
        given = self.desk.acting.id_of("bills.consent", item.said)
        face.consents[given] = (purpose, face.bound)
        self._run("insurer", "bills.consent", item, False)  # a relay enters it once

    @precondition(lambda self: self.has_bills())
    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        _, face, _ = self.pick(data)
        if not face.consents:
            return
        given = data.draw(st.sampled_from(sorted(face.consents)))
        item = self.desk.acting.revoke_consent(given, face.holder())
        fine = face.consents[given][1] == face.bound
        if self._run("mutual", "bills.revoke", item, fine):
            del face.consents[given]

    @precondition(lambda self: self.has_bills())
    @rule(data=st.data(), wallet=st.sampled_from(["ann", "bob"]))
    def bind(self, data: st.DataObject, wallet: str) -> None:
        _, face, bill = self.pick(data)
        new = key_of(face.number, face.bound + 1, wallet)
        item = self.desk.acting.bind(bill, face.holder(), new)
        self._run("insurer", "bills.bind", item, True)
        face.bound, face.wallet = face.bound + 1, wallet

    @rule(lives=st.booleans())
    def change_the_mandate(self, lives: bool) -> None:
        if lives == self.mandate_lives:
            return
        if lives:
            self.mandate = self.desk.mandate(cap=MANDATE_CAP)
        else:
            key = key_of(1, 0, "ann").wallet
            item = self.desk.acting.revoke("mandate", self.mandate, key)
            self._run("mutual", "bills.revoke", item, True)
        self.mandate_lives = lives


class Claims(Machine):
    """What reimbursers do: each fen at most once."""

    def _right(self, face: Face, org: str, purpose: str) -> tuple[dict[str, Any], bool]:
        """Terms by which `org` claims, and whether they hold."""
        if org == "fund":
            return {"right": "statute", "right_id": self.desk.statute()}, True
        if org == "insurer":
            fine = self.mandate_lives and face.wallet == "ann" and purpose == "claim"
            opening = face.holder().opening
            return {"right": "mandate", "right_id": self.mandate, "opening": opening}, fine
        given = [
            each for each, said in sorted(face.consents.items()) if said == (purpose, face.bound)
        ]
        return {"right": "consent", "right_id": given[0] if given else NOBODY}, bool(given)

    def _claimable(self, code: int, face: Face) -> bool:
        archived = code == PART or face.entry < self.archived
        return archived and not face.withheld and face.claimable()

    def _lockable(self, code: int, face: Face) -> bool:
        return self._claimable(code, face) and face.live(self.now) is None

    @precondition(lambda self: self.has_bills())
    @rule(data=st.data(), org=ORGS, amount=MONEY, cash=st.booleans())
    def claim(self, data: st.DataObject, org: str, amount: int, cash: bool) -> None:
        """What mostly happens: somebody with a right locks and settles."""
        code, face, bill = self.pick(data, self._lockable)
        amount = min(amount, max(face.room(self.now, cash=cash), 0))
        own = face.own(org, "claim")
        fine = self._right(face, org, "claim")[1] and self._lockable(code, face)
        fine = fine and (own is None or own.rejected) and amount > 0
        if fine and not face.waits_in_line(org, self.now) and not face.on_paper(self.now):
            self.settle_all(bill, face, org, amount, cash=cash)

    def settle_all(self, bill: Bill, face: Face, org: str, amount: int, *, cash: bool) -> None:
        """A lock and its answer, both in order."""
        right, _ = self._right(face, org, "claim")
        basis = "cash" if cash else "cash_account"
        item = self.desk.lock_item(org, bill, amount, **right, basis=basis)
        self._run(org, "bills.lock", item, True)
        held = Held(org, bill.id, item.claim, item.terms)
        self._run(org, "bills.settle", self.desk.settle_item(held, amount), True)
        self._answer(face, held, amount)

    @precondition(lambda self: self.has_bills())
    @rule(data=st.data(), org=ORGS, purpose=PURPOSES, amount=MONEY, cash_fixed=st.integers(0, 3))
    def lock(
        self, data: st.DataObject, org: str, purpose: str, amount: int, cash_fixed: int
    ) -> None:
        cash, fixed = bool(cash_fixed & 1), cash_fixed == 2
        days = data.draw(st.sampled_from([1, 2, 5, 5, 5, 10, 0, 11]))
        code, face, bill = self.pick(data, self._lockable)
        if not self._right(face, org, purpose)[1] and data.draw(st.integers(0, 3)):
            org = "fund"
        right, fine = self._right(face, org, purpose)
        right |= {"purpose": purpose, "basis": "cash" if cash else "cash_account"}
        right |= {"benefit": "fixed"} if fixed else {}
        form = bill.paper.id if bill.paper and face.paper == "live" else None
        item = self.desk.lock_item(
            org, bill, amount, **right, until=self.world.instant(days * DAY), paper=form
        )
        fine = fine and self._claimable(code, face) and 0 < days <= 10
        fine = fine and face.live(self.now) is None
        own = face.own(org, purpose)
        fine = fine and (own is None or own.rejected)
        fine = fine and (not face.on_paper(self.now) or form is not None)
        fine = fine and not (purpose == "claim" and face.waits_in_line(org, self.now))
        if not fixed:
            most = MANDATE_CAP if org == "insurer" else amount
            fine = fine and amount <= min(face.room(self.now, cash=cash), most)
        if self._run(org, "bills.lock", item, fine):
            held = Held(org, bill.id, item.claim, item.terms)
            counts = 0 if fixed else amount
            face.lock = Hold(held, counts, counts if cash else 0, self.now + days * DAY)
            self.held.append((face, held))

    def _owned(self, data: st.DataObject) -> tuple[Face, Held, Hold | None]:
        """Some lock that there was, and what stands of it now."""
        live = [each for each in self.held if each[0].live(self.now)]
        mostly = data.draw(st.integers(0, 3)) > 0
        known = live if live and mostly else self.held
        face, held = data.draw(st.sampled_from(known[::-1]))
        lock = face.live(self.now)
        return face, held, lock if lock is not None and lock.held == held else None

    @precondition(lambda self: self.has_locked())
    @rule(data=st.data(), amount=MONEY, why=st.booleans(), before=st.booleans())
    def settle(self, data: st.DataObject, amount: int, why: bool, before: bool) -> None:
        face, held, lock = self._owned(data)
        if data.draw(st.integers(0, 3)):
            before = face.asked is not None
            amount = min(amount, lock.amount if lock else amount)
        fixed = held.terms.benefit == "fixed"
        fine = lock is not None and face.frozen is None and (fixed or amount <= lock.amount)
        fine = fine and (amount > 0 or why)
        reason = "deductible" if why else None
        item: Item
        if before:
            paid_at = self.world.instant(-HOUR)
            asked = face.asked is not None and self.now - HOUR <= face.asked
            fine, name = fine and asked, "bills.settled_before"
            item = self.desk.settled_before_item(held, amount, paid_at, reason)
        else:
            fine, name = fine and face.asked is None, "bills.settle"
            item = self.desk.settle_item(held, amount, reason)
        if self._run(held.org, name, item, fine):
            self._answer(face, held, amount)

    def _answer(self, face: Face, held: Held, amount: int, rejected: bool = False) -> None:
        self.settlements += 1
        terms = held.terms
        cash, fixed = terms.basis == "cash", terms.benefit == "fixed"
        when, who = self.settlements, (held.org, terms.purpose)
        face.answer(Answered(*who, cash, fixed, amount, when, rejected=rejected))

    @precondition(lambda self: self.has_locked())
    @rule(data=st.data(), how=st.sampled_from(["reject", "release", "renew"]))
    def end_or_renew(self, data: st.DataObject, how: str) -> None:
        face, held, lock = self._owned(data)
        if how == "reject":
            item: Item = self.desk.reject_item(held)
            if self._run(held.org, "bills.reject", item, lock is not None):
                self._answer(face, held, 0, rejected=True)
        elif how == "release":
            item = self.desk.release_item(held)
            if self._run(held.org, "bills.release_lock", item, lock is not None):
                face.lock = None
        else:
            self._renew(face, held, lock)

    def _renew(self, face: Face, held: Held, lock: Hold | None) -> None:
        terms, until = held.terms, self.now + 9 * DAY
        fine = lock is not None and lock.renewals < 2 and lock.until < until
        fine = fine and self._claimable(int(held.bill[:8]), face)
        if held.org == "insurer":
            fine = fine and self.mandate_lives and terms.right_id == self.mandate
            fine = fine and face.wallet == "ann"
        elif held.org == "mutual":
            fine = fine and face.consents.get(terms.right_id) == (terms.purpose, face.bound)
        opening = face.holder().opening
        item = self.desk.renew_item(held, self.world.instant(9 * DAY), opening=opening)
        if self._run(held.org, "bills.renew", item, fine) and lock is not None:
            lock.until, lock.renewals = until, lock.renewals + 1

    @precondition(lambda self: self.has_bills())
    @rule(data=st.data(), amount=MONEY)
    def supplement(self, data: st.DataObject, amount: int) -> None:
        code, face, bill = self.pick(data, lambda _, face: face.claims)
        if not face.claims:
            return
        ordinal = data.draw(st.integers(0, len(face.claims) - 1))
        claim = face.claims[ordinal]
        right, fine = self._right(face, claim.org, claim.purpose)
        opening = right.pop("opening", None)
        terms = changed(self.desk.claims(bill)[ordinal].terms, **right)
        item = self.desk.supplement_item(
            claim.org, bill, ordinal, amount, terms=terms, opening=opening
        )
        fine = fine and not claim.rejected and not claim.due and amount > 0
        fine = fine and self._claimable(code, face)
        if not claim.fixed:
            most = MANDATE_CAP - claim.counts if claim.org == "insurer" else amount
            fine = fine and amount <= min(face.room(self.now, cash=claim.cash), most)
        if self._run(claim.org, "bills.supplement", item, fine):
            claim.paid += amount

    @precondition(lambda self: self.has_bills())
    @rule(data=st.data(), amount=MONEY, how=st.sampled_from(["recovered", "waived"]))
    def claw_back(self, data: st.DataObject, amount: int, how: str) -> None:
        _, face, bill = self.pick(data, lambda _, face: any(c.due for c in face.claims))
        if not face.claims:
            return
        ordinal = data.draw(st.integers(0, len(face.claims) - 1))
        claim = face.claims[ordinal]
        if data.draw(st.booleans()):
            amount = min(amount, claim.due)
        item = self.desk.claw_back_item(bill, ordinal, amount, how)
        if self._run(claim.org, "bills.claw_back", item, 0 < amount <= claim.due):
            claim.due, claim.back = claim.due - amount, claim.back + amount


class Plans(Claims):
    """Ranks, and shares that settle together."""

    @precondition(lambda self: self.has_bills())
    @rule(data=st.data(), orgs=st.permutations(["fund", "insurer", "mutual"]), atomic=st.booleans())
    def plan(self, data: st.DataObject, orgs: list[str], atomic: bool) -> None:
        code, face, bill = self.pick(data, self._claimable)
        ranks = orgs[: 2 if atomic else 3]
        until = self.world.instant(DAY) if atomic else None
        mode = "atomic" if atomic else "sequential"
        item = self.desk.plan_item(bill, *ranks, mode=mode, until=until)
        fine = self._claimable(code, face) and not face.planned(self.now)
        if self._run("hospital", "bills.plan", item, fine):
            face.plan = Order(
                list(ranks), atomic, self.now + (DAY if atomic else CLAIM_RULES.lock_seconds_max)
            )
            for org in ranks:
                if not data.draw(st.integers(0, 2)):
                    continue
                if atomic:
                    self._ready(code, face, org, data.draw(MONEY), data.draw(st.integers(0, 3)))
                else:
                    self._accept(face, org, bill)

    @precondition(lambda self: self.has_bills())
    @rule(data=st.data(), org=ORGS)
    def accept(self, data: st.DataObject, org: str) -> None:
        _, face, bill = self.pick(data, lambda _, face: face.plan and face.plan.open)
        self._accept(face, org, bill)

    def _accept(self, face: Face, org: str, bill: Bill) -> None:
        plan = face.plan
        fine = plan is not None and plan.open and org in plan.ranks
        if plan is not None:
            fine = fine and self.now < plan.until
            fine = fine and org not in (*plan.accepted, *plan.waived, *plan.ready)
        if self._run(org, "bills.accept_plan", self.desk.accept_item(bill), fine):
            assert plan is not None
            plan.accepted.append(org)

    @precondition(lambda self: self.has_bills())
    @rule(data=st.data(), org=ORGS)
    def waive(self, data: st.DataObject, org: str) -> None:
        _, face, bill = self.pick(data, lambda _, face: face.plan and face.plan.open)
        plan = face.plan
        fine = plan is not None and plan.open and org in plan.ranks and org not in plan.waived
        if not self._run(org, "bills.waive_share", self.desk.waive_item(bill), fine):
            return
        assert plan is not None
        plan.waived.append(org)
        plan.accepted = [each for each in plan.accepted if each != org]
        if plan.atomic:
            plan.open = False
            face.lock = None if face.plan_holds(self.now) else face.lock

    @precondition(lambda self: self.has_bills())
    @rule(data=st.data(), org=ORGS, amount=MONEY, cash_fixed=st.integers(0, 3))
    def ready(self, data: st.DataObject, org: str, amount: int, cash_fixed: int) -> None:
        code, face, _ = self.pick(data, lambda _, face: self._open(face, org))
        self._ready(code, face, org, amount, cash_fixed)

    def _ready(self, code: int, face: Face, org: str, amount: int, cash_fixed: int) -> None:
        bill = self.world.bill(code, face.number)
        cash, fixed = bool(cash_fixed & 1), cash_fixed == 2
        right, fine = self._right(face, org, "claim")
        right |= {"basis": "cash" if cash else "cash_account"}
        right |= {"benefit": "fixed"} if fixed else {}
        form = bill.paper.id if bill.paper and face.paper == "live" else None
        item = self.desk.ready_item(org, bill, amount, **right, paper=form)
        fine = fine and self._open(face, org) and self._claimable(code, face)
        fine = fine and (face.live(self.now) is None or face.plan_holds(self.now))
        own = face.own(org, "claim")
        fine = fine and (own is None or own.rejected) and amount > 0
        fine = fine and (not face.on_paper(self.now) or form is not None)
        if not fixed:
            most = MANDATE_CAP if org == "insurer" else amount
            fine = fine and amount <= min(face.room(self.now, cash=cash), most)
        if self._run(org, "bills.ready", item, fine):
            self._make_ready(face, Answered(org, "claim", cash, fixed, amount, 0))

    def _open(self, face: Face, org: str) -> bool:
        plan = face.plan
        if plan is None or not plan.atomic or not plan.open or org not in plan.ranks:
            return False
        in_time = not plan.ready and self.now < plan.until
        return org not in plan.ready and (face.plan_holds(self.now) or in_time)

    def _make_ready(self, face: Face, share: Answered) -> None:
        plan = face.plan
        assert plan is not None
        plan.ready[share.org] = share
        if len(plan.ready) == len(plan.ranks):
            plan.open = False
            for org in plan.ranks:
                self.settlements += 1
                plan.ready[org].when = self.settlements
                face.answer(plan.ready[org])
            return
        if not face.plan_holds(self.now):
            face.lock = Hold(None, 0, 0, plan.until)
        assert face.lock is not None
        face.lock.amount += 0 if share.fixed else share.paid
        face.lock.cash += share.paid if share.cash and not share.fixed else 0


class Offices(Machine):
    """What issuer and supervisor do to a bill: withhold, ask to reverse, print, freeze, archive."""

    @precondition(lambda self: self.has_bills())
    @rule(data=st.data(), out=st.booleans())
    def withhold_or_release(self, data: st.DataObject, out: bool) -> None:
        _, face, bill = self.pick(data)
        kind, name = (Withhold, "withhold") if out else (Release, "release")
        if out and data.draw(st.integers(0, 2)):
            return
        item = self.desk.of(kind, bill)
        fine = face.claimable() and face.withheld != out
        if self._run("hospital", f"bills.{name}", item, fine):
            face.withheld = out

    @rule()
    def archive(self) -> None:
        below = self.world.index
        item = Archived(nonce=self.world.nonce(), issuer="hospital", below=below)
        self._run("finance", "bills.archived", item, True)
        self.archived = below

    @precondition(lambda self: self.has_bills())
    @rule(data=st.data(), ask=st.booleans())
    def ask_or_cancel(self, data: st.DataObject, ask: bool) -> None:
        _, face, bill = self.pick(data, lambda _, face: ask == (face.asked is None))
        if ask:
            item: Item = self.desk.request_item(bill)
            fine = not face.ended and face.asked is None
            if self._run("hospital", "bills.reversal_request", item, fine):
                face.ask(self.now)
            return
        item = self.desk.cancel_item(bill)
        fine = face.frozen is None and face.asked is not None
        if self._run("hospital", "bills.cancel_reversal", item, fine):
            face.lock, face.asked = face.live(self.now), None

    @precondition(lambda self: self.has_bills())
    @rule(data=st.data(), cancel=st.booleans())
    def freeze_or_lift(self, data: st.DataObject, cancel: bool) -> None:
        _, face, bill = self.pick(data)
        if face.frozen is None and data.draw(st.integers(0, 2)):
            return
        if face.frozen is None:
            evidence = bytes(32)
            item = self.desk.of(Freeze, bill, evidence=evidence)
            if self._run("finance", "bills.freeze", item, not face.ended):
                face.freeze(self.now)
            return
        self._run("finance", "bills.lift", self.desk.of(Lift, bill, cancel_lock=cancel), True)
        face.lift(self.now)
        face.lock = None if cancel else face.lock

    @precondition(lambda self: self.has_bills())
    @rule(data=st.data())
    def exchange(self, data: st.DataObject) -> None:
        _, face, bill = self.pick(data)
        self.forms += 1
        item = self.desk.exchange_item(bill, self.forms)
        fine = face.claimable() and not face.reversed and face.live(self.now) is None
        if self._run("hospital", "bills.exchange", item, fine and not face.on_paper(self.now)):
            face.paper = "printing"
            if data.draw(st.integers(0, 3)):
                form = self.world.bill(bill.id).paper
                assert form is not None
                confirm = self.desk.confirm_item(bill, form.id)
                self._run("hospital", "bills.confirm_printed", confirm, True)
                face.paper = "live"

    @precondition(lambda self: self.has_bills())
    @rule(data=st.data(), what=st.sampled_from(["confirm", "cancel", "lose", "recover"]))
    def deal_with_the_form(self, data: st.DataObject, what: str) -> None:
        _, face, bill = self.pick(data, lambda _, face: face.paper)
        paper = face.paper if face.on_paper(self.now) else ""
        if what == "confirm":
            form = bill.paper.id if bill.paper else f"{PAPER}:0000000099"
            item: Item = self.desk.confirm_item(bill, form)
            if self._run("hospital", "bills.confirm_printed", item, paper == "printing"):
                face.paper = "live"
        elif what == "cancel":
            item = self.desk.of(CancelExchange, bill)
            if self._run("hospital", "bills.cancel_exchange", item, paper == "printing"):
                face.paper = ""
        elif what == "lose":
            item = self.desk.of(DeclareLost, bill)
            if self._run("hospital", "bills.declare_lost", item, paper == "live"):
                face.paper, face.lost_until = "lost", self.now + LOSS_WAIT
        else:
            item = self.desk.of(Recover, bill)
            if self._run("hospital", "bills.recover", item, paper in ("live", "lost")):
                face.paper = ""
