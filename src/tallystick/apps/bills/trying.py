"""An office that can say what would become of an act, by the ledger's own word.

Invariant: a trial keeps nothing, sends nothing but a question, and gives its numbers back.
See docs/spec/reconciliation.md.
"""

from __future__ import annotations

from collections.abc import Callable

from tallystick.apps.bills.acts import Issued, Replacement, Reversal
from tallystick.apps.bills.office import MALFORMED, Office
from tallystick.contracts.bills.body import Body
from tallystick.protocol.errors import Malformed, Rejected
from tallystick.protocol.transaction import Item

Ask = Callable[[str, Item], str]
"""Of an action and its item: what the ledger would say."""
Work = Body | Reversal | Replacement


def action_of(work: Work) -> str:
    """How it is entered."""
    match work:
        case Reversal():
            return "bills.reverse/1"
        case Replacement():
            return "bills.replace/1"
    return "bills.issue/1"


class TryingOffice(Office):
    """For one thread, as every office."""

    def rehearse(self, work: Work, ask: Ask) -> Issued:
        """What would become of it now."""
        self._drafting.begin()
        try:
            with self._view() as view:
                match work:
                    case Reversal():
                        act = self._drafting.new_red(view, 0, work, self._clock())
                    case Replacement():
                        act = self._drafting.new_pair(view, 0, work)
                    case _:
                        act = self._drafting.new_blue(view, 0, work)
                act = self._checked(act)
        except Malformed as error:
            return Issued(MALFORMED, path=error.path, detail=error.detail)
        except Rejected as error:
            return Issued(error.reason.value, path=error.path, detail=error.detail)
        try:
            return Issued(ask(action_of(work), act.item))
        finally:
            self._drafting.give_back(act.item)
