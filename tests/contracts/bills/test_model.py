"""The contract beside a model that a child could follow: numbers in a dict, money in a list.

Each step asks the model whether the act is in order, lets the contract do it, and audits the whole
world. A dry run of the same act must have said the same and left no trace.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from province import CODE, PARTIAL, Province, left, parts

from tallystick.contracts.bills.items.bills import Block, GiveBack, Recall, VoidNumbers
from tallystick.protocol.transaction import Item

SIZE = 30
"""Numbers of the block that the model looks after: collisions are what it is about."""
NUMBERS = st.integers(min_value=1, max_value=SIZE + 2)
MODEL_CODES = st.sampled_from([CODE, PARTIAL])
TOTALS = st.integers(min_value=0, max_value=40).map(lambda n: n * 100)


@dataclass
class Model:
    """The fates of the numbers of one code, and what is left of each bill."""

    fates: dict[int, str] = field(default_factory=dict)
    money: dict[int, list[int]] = field(default_factory=dict)
    """Totals of a blue bill and of its red ones, these negative."""
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


class Contract(RuleBasedStateMachine):
    """One hospital, two codes, one small block of each."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Province()
        self.models = {CODE: Model(), PARTIAL: Model()}
        for code in self.models:
            self._run(
                "hospital", "bills.give_back", self._range(GiveBack, code, SIZE + 1, 1_000), True
            )

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

    @rule(code=MODEL_CODES, number=NUMBERS, total=TOTALS)
    def issue(self, code: int, number: int, total: int) -> None:
        model = self.models[code]
        item = self.world.issue_item(number, total, code=code)
        fine = model.free(number) and (total > 0 or code == PARTIAL)
        if self._run("hospital", "bills.issue", item, fine):
            model.fates[number] = "blue"
            model.money[number] = [total]

    @precondition(lambda self: any(model.money for model in self.models.values()))
    @rule(data=st.data(), number=NUMBERS, total=TOTALS, whole=st.booleans())
    def reverse(self, data: st.DataObject, number: int, total: int, whole: bool) -> None:
        code = data.draw(st.sampled_from([c for c, model in self.models.items() if model.money]))
        model = self.models[code]
        target = data.draw(st.sampled_from(sorted(model.money)))
        bill = self.world.bill(code, target)
        rest = sum(model.money[target])
        ended = bill.state == "reversed"
        amounts = left(bill) if whole else parts(total)
        item = self.world.reverse_item(bill, number, **({"code": code} | amounts))
        total = amounts["total"]
        part = code == PARTIAL and 0 < total < rest
        fine = not ended and model.free(number) and (total == rest or part)
        if self._run("hospital", "bills.reverse", item, fine):
            model.fates[number] = "red"
            model.money[target].append(-total)

    @precondition(lambda self: any(model.money for model in self.models.values()))
    @rule(data=st.data(), red=NUMBERS, number=NUMBERS, total=TOTALS)
    def replace(self, data: st.DataObject, red: int, number: int, total: int) -> None:
        code = data.draw(st.sampled_from([c for c, model in self.models.items() if model.money]))
        model = self.models[code]
        target = data.draw(st.sampled_from(sorted(model.money)))
        bill = self.world.bill(code, target)
        item = self.world.replace_item(bill, red, number, code=code, total=total)
        fine = bill.state != "reversed" and red != number and (total > 0 or code == PARTIAL)
        fine = fine and model.free(red) and model.free(number)
        if self._run("hospital", "bills.replace", item, fine):
            model.fates[red], model.fates[number] = "red", "blue"
            model.money[target].append(-sum(model.money[target]))
            model.money[number] = [total]

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

    @rule(seconds=st.integers(min_value=1, max_value=600))
    def time_passes(self, seconds: int) -> None:
        self.world.at += seconds

    @invariant()
    def every_row_is_in_order(self) -> None:
        self.world.audit()
        for code, model in self.models.items():
            block = self.world.block_of(code)
            fates = list(model.fates.values())
            assert block.issued == fates.count("blue") + fates.count("red")
            assert block.void == fates.count("void")
            for number, totals in model.money.items():
                assert left(self.world.bill(code, number))["total"] == sum(totals)


TestContract = Contract.TestCase
TestContract.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
