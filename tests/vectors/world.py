"""The ledger that the receipts, notes and proofs of the vectors come from, block by block.

See docs/spec/README.md.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from vectors.chain import CODE, KEEPERS, START, Chain, note_of

from tallystick.protocol.receipt import bill_number
from tallystick.protocol.values import format_instant

NOW = START + 900
"""When the vectors' reader looks; the keepers have just co-signed."""
ATOMIC = ["ledger.atomic", "demo.not_holder", "ledger.atomic", "ledger.atomic"]
EDGE_NUMBERS = (1, 4_095, 4_096, 8_191, 9_999_999_999)


@dataclass
class World:
    """The chain after each of its blocks, and where its items lie."""

    after: list[Chain] = field(default_factory=list)
    at: dict[str, int] = field(default_factory=dict)
    """Index of the items by name."""

    @property
    def chain(self) -> Chain:
        return self.after[-1]

    def note(self, **changed: Any) -> str:
        """The newest checkpoint, co-signed by all keepers within the last seconds."""
        return note_of(self.chain.checkpoint(), fresh_times(), **changed)


def fresh_times() -> dict[str, int]:
    return {org: NOW - 5 - n for n, org in enumerate(KEEPERS)}


def bill(number: int, code: int = CODE) -> str:
    """The row key of a bill."""
    return f"demo.bill/{bill_number(code, number)}"


def build() -> World:
    """Six blocks: one item, several, an atomic refusal, a thousand, edges, and what came after."""
    world, chain = World(), Chain()
    for n, step in enumerate((_one, _several, _atomic, _thousand, _edges, _later)):
        step(chain, world.at)
        chain.block(START + 60 * (n + 1))
        world.after.append(deepcopy(chain))
    return world


def _put_bill(chain: Chain, number: int, index: int, *, code: int = CODE, **more: Any) -> None:
    members = {"amounts": {"total": 35_000 + number % 1_000}, "entry": index} | more
    chain.put("demo.bill", bill_number(code, number), **members)


def _one(chain: Chain, at: dict[str, int]) -> None:
    at["first"] = chain.send([(100_001, 35_001)])
    _put_bill(chain, 100_001, at["first"])


def _several(chain: Chain, at: dict[str, int]) -> None:
    outcomes = ["accepted", "demo.number_taken", "accepted"]
    first = chain.send([(100_002, 35_002), (100_001, 1), (100_004, 35_004)], outcomes)
    at |= {"reversed": first, "refused": first + 1, "third": first + 2}
    _put_bill(chain, 100_002, first)
    _put_bill(chain, 100_004, first + 2)
    at["pass"] = chain.send([(1, 0)], sender="insurer-01")
    until = format_instant(START + 3_600)
    chain.put("demo.pass", "card-1", entry=at["pass"], until=until)
    at["expired"] = chain.send([(2, 0)], sender="insurer-01")
    chain.put("demo.pass", "card-2", entry=at["expired"], until=format_instant(NOW - 5))
    at["dropped"] = chain.send([(3, 0)], sender="insurer-01")
    chain.put("demo.pass", "card-3", entry=at["dropped"])
    for n in range(40):
        chain.put("demo.member", f"org-{n:02d}", names={"short": f"o{n}"})


def _atomic(chain: Chain, at: dict[str, int]) -> None:
    first = chain.send([(n, 1) for n in range(100_020, 100_033)])
    at["several 5"] = first + 5
    numbers = [(n, 1) for n in range(100_010, 100_014)]
    at["atomic"] = chain.send(numbers, ATOMIC, atomic=True)


def _thousand(chain: Chain, at: dict[str, int]) -> None:
    first = chain.send([(200_000 + n, 35_000 + n) for n in range(1_000)])
    at |= {"thousand 0": first, "thousand 500": first + 500, "thousand 999": first + 999}
    for n in (0, 500, 999):
        _put_bill(chain, 200_000 + n, first + n)


def _edges(chain: Chain, at: dict[str, int]) -> None:
    for number in EDGE_NUMBERS:
        at[f"edge {number}"] = chain.send([(number, 7)], sender="finance-33")
        _put_bill(chain, number, at[f"edge {number}"])
    at["other code"] = chain.send([(100_001, 9)], code=CODE + 100)
    _put_bill(chain, 100_001, at["other code"], code=CODE + 100)


def _later(chain: Chain, at: dict[str, int]) -> None:
    """A bill is reversed, a pass deleted, a bill frozen: older proofs would hide it."""
    at["reversing"] = chain.send([(100_002, 0)])
    _put_bill(chain, 100_002, at["reversed"], good=False, state="reversed", version=1)
    chain.drop("demo.pass/card-3")
    at["freezing"] = chain.send([(100_004, 0)], sender="finance-33")
    _put_bill(chain, 100_004, at["third"], good=False, state="frozen", version=1)
