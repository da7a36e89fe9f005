"""The contract beside a model that a child could follow: numbers in a dict, money in a list.

Each step asks the model whether the act is in order, and lets the contract do it. A dry run of the
same act must have said the same and left no trace. `claims_machine` has what befalls bills.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bill_model import Face, key_of
from claims_acts import DAY, HOUR, Held
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)
from paper_acts import Desk
from province import left, parts

from tallystick.contracts.bills.items.bills import Block, GiveBack, Recall, VoidNumbers
from tallystick.contracts.bills.records.bills import Bill
from tallystick.protocol.transaction import Item

SIZE = 30
"""Numbers of the block that the model looks after: collisions are what it is about."""
WHOLE = 33060326
"""Bills of this type are reversed whole, and claimed once finance has archived them."""
PART = 33060426
NUMBERS = st.integers(min_value=1, max_value=SIZE + 2)
MODEL_CODES = st.sampled_from([WHOLE, PART])
TOTALS = st.integers(min_value=0, max_value=40).map(lambda n: n * 100)
ORGS = st.sampled_from(["fund", "insurer", "mutual"])
PURPOSES = st.sampled_from(["claim", "extra"])
MONEY = st.integers(min_value=0, max_value=12).map(lambda n: n * 100)
NOBODY = "0" * 64
MANDATE_CAP = 1_500


@dataclass
class Model:
    """The fates of the numbers of one code, and what befell each bill."""

    fates: dict[int, str] = field(default_factory=dict)
    faces: dict[int, Face] = field(default_factory=dict)
    size: int = SIZE

    def free(self, number: int) -> bool:
        return 1 <= number <= self.size and number not in self.fates

    def used(self) -> int:
        """Highest number that the holder itself used."""
        own = [n for n, fate in self.fates.items() if fate in ("blue", "red", "void")]
        return max(own, default=0)

    def tail(self, start: int, end: int) -> bool:
        """N6: unused, and nothing remains above."""
        inside = self.used() < start <= end <= self.size
        return inside and all(
            self.free(n) if n <= end else not self.free(n) for n in range(start, self.size + 1)
        )


class Machine(RuleBasedStateMachine):
    """One hospital, two codes, one small block of each; three reimbursers, one family."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        self.world = self.desk.world
        late = {"archive_within_seconds": 999 * DAY}
        self.desk.define(WHOLE, ack="archived", partial_reversal=False, **late)
        self.desk.define(PART, zero_total=True, **late)
        self.models = {PART: Model(), WHOLE: Model()}
        for code in self.models:
            item = self._range(GiveBack, code, SIZE + 1, 1_000)
            self._run("hospital", "bills.give_back", item, True)
        self.held: list[tuple[Face, Held]] = []
        self.archived = self.forms = self.settlements = 0
        self.mandate = self.desk.mandate(cap=MANDATE_CAP)
        self.mandate_lives = True

    def _run(self, sender: str, action: str, item: Item, expected: bool) -> bool:
        """The dry run, then the act: both as the model expects; refused leaves no trace."""
        world = self.world
        before, mark, index = dict(world.rows.data), world.rows.mark(), world.index
        dry = world.act(sender, action, item)
        world.rows.rollback(mark)
        assert world.rows.data == before
        world.index = index
        outcomes = world.act(sender, action, item)
        assert outcomes == dry
        assert (outcomes == ["accepted"]) == expected, (action, item, outcomes)
        if not expected:
            assert world.rows.data == before
        return expected

    def _range(self, kind: Any, code: int, start: int, end: int) -> Item:
        item: Item = kind(
            nonce=self.world.nonce(),
            code=code,
            level=3,
            first=1,
            start=start,
            end=end,
            reason="test",
        )
        return item

    @property
    def now(self) -> int:
        return self.world.at

    def pick(
        self, data: st.DataObject, wanted: Callable[[int, Face], object] | None = None
    ) -> tuple[int, Face, Bill]:
        """Some blue bill: its code, the model's view of it, the contract's.

        `wanted`: three times in four one of those, if there are any.
        """
        known = [(code, n) for code, model in self.models.items() for n in sorted(model.faces)]
        if wanted is not None and data.draw(st.integers(0, 3)):
            liked = [(code, n) for code, n in known if wanted(code, self.models[code].faces[n])]
            known = liked or known
        code, number = data.draw(st.sampled_from(known))
        return code, self.models[code].faces[number], self.world.bill(code, number)

    def has_bills(self) -> bool:
        return any(model.faces for model in self.models.values())

    def has_locked(self) -> bool:
        return bool(self.held)


class Bills(Machine):
    """What makes bills, and takes them back."""

    @initialize()
    def some_bills(self) -> None:
        for code, number in ((PART, 1), (PART, 2), (WHOLE, 1)):
            self._issue(code, number, 4_000)
        self.begin()

    def begin(self) -> None:
        """What else there is at first."""

    @rule(code=MODEL_CODES, number=NUMBERS, total=TOTALS)
    def issue(self, code: int, number: int, total: int) -> None:
        self._issue(code, number, total)

    def _issue(self, code: int, number: int, total: int) -> None:
        model, index = self.models[code], self.world.index
        commitment = key_of(number, 0, "ann").commitment
        item = self.world.issue_item(number, total, code=code, holder=commitment)
        fine = model.free(number) and (total > 0 or code == PART)
        if self._run("hospital", "bills.issue", item, fine):
            self._add(model, number, total, index)

    def _add(self, model: Model, number: int, total: int, entry: int) -> None:
        amounts = parts(total)
        model.fates[number] = "blue"
        model.faces[number] = Face(number, entry, total, amounts["account"], amounts["cash"])

    def _mostly_free(self, data: st.DataObject, model: Model, number: int) -> int:
        if not data.draw(st.integers(min_value=0, max_value=3)):
            return number
        return next(filter(model.free, range(number, SIZE + 1)), number)

    def _reversible(self, face: Face) -> bool:
        hindered = face.frozen is not None or face.live(self.now) or face.on_paper(self.now)
        return not face.ended and not hindered

    @precondition(lambda self: self.has_bills())
    @rule(data=st.data(), number=NUMBERS, total=TOTALS, whole=st.booleans())
    def reverse(self, data: st.DataObject, number: int, total: int, whole: bool) -> None:
        code, face, bill = self.pick(data, lambda _, face: self._reversible(face))
        model = self.models[code]
        number = self._mostly_free(data, model, number)
        amounts = left(bill) if whole else parts(total)
        item = self.world.reverse_item(bill, number, **({"code": code} | amounts))
        total = amounts["total"]
        part = code == PART and 0 < total < face.total
        fine = self._reversible(face) and model.free(number)
        fine = fine and (total == face.total or part)
        if self._run("hospital", "bills.reverse", item, fine):
            model.fates[number] = "red"
            face.reverse(total, amounts["account"], amounts["cash"])

    @precondition(lambda self: self.has_bills())
    @rule(data=st.data(), red=NUMBERS, number=NUMBERS, total=TOTALS)
    def replace(self, data: st.DataObject, red: int, number: int, total: int) -> None:
        code, face, bill = self.pick(data, lambda _, face: self._reversible(face))
        model, index = self.models[code], self.world.index
        red = self._mostly_free(data, model, red)
        commitment = key_of(number, 0, "ann").commitment
        item = self.world.replace_item(bill, red, number, code=code, total=total, holder=commitment)
        fine = self._reversible(face) and red != number and (total > 0 or code == PART)
        fine = fine and model.free(red) and model.free(number)
        if self._run("hospital", "bills.replace", item, fine):
            model.fates[red] = "red"
            face.reverse(face.total, face.account, face.cash)
            self._add(model, number, total, index)

    @rule(seconds=st.sampled_from([1, 60, HOUR, DAY, 3 * DAY]))
    def time_passes(self, seconds: int) -> None:
        self.world.at += seconds


class Numbers(Bills):
    """The ways in which numbers leave an allotment."""

    @rule(code=MODEL_CODES, start=NUMBERS, size=st.integers(min_value=0, max_value=3))
    def void(self, code: int, start: int, size: int) -> None:
        model, numbers = self.models[code], range(start, start + size + 1)
        item = self._range(VoidNumbers, code, start, start + size)
        if self._run("hospital", "bills.void_numbers", item, all(map(model.free, numbers))):
            model.fates |= dict.fromkeys(numbers, "void")

    @rule(code=MODEL_CODES, start=NUMBERS, size=st.integers(0, 5), back=st.booleans())
    def shrink(self, code: int, start: int, size: int, back: bool) -> None:
        model, end = self.models[code], start + size
        kind, name = (GiveBack, "give_back") if back else (Recall, "recall")
        item = self._range(kind, code, start, end)
        sender = "hospital" if back else "finance"
        if self._run(sender, f"bills.{name}", item, model.tail(start, end)):
            model.fates |= dict.fromkeys(range(start, end + 1), name)

    @rule(code=MODEL_CODES, first=NUMBERS, size=st.integers(0, 3))
    def grant_to_a_till(self, code: int, first: int, size: int) -> None:
        model, last = self.models[code], first + size
        item = self.world.allot_item(
            code=code, level=4, first=first, last=last, parent=Block(level=3, first=1)
        )
        numbers = range(first, last + 1)
        fine = first > model.used() and all(map(model.free, numbers))
        if self._run("hospital", "bills.allot", item, fine):
            model.fates |= dict.fromkeys(numbers, "granted")
