"""The rules of a network, as the composition root hands them in: every domain's table in one.

Invariant: the ledger knows no domain by name; what it knows of one stands in its `Domain`.
See docs/spec/contracts/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tallystick.contracts.kit.context import Action, Domain
from tallystick.contracts.kit.grants import Authority
from tallystick.contracts.kit.keys import KeyRow
from tallystick.protocol.row import Row
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import Digest


class SeenDigest(Row):
    """The running digest over all transactions ever seen; the tables under it are no rows."""

    KIND: ClassVar[str] = "ledger.seen"

    digest: Digest


SEEN_ID = "all"


@dataclass(frozen=True, slots=True)
class Rules:
    """What a node executes."""

    domains: Sequence[Domain]
    actions: Mapping[str, Action]
    schemas: Mapping[str, type[Item]]
    kinds: Mapping[str, type[Row]]


def make_rules(domains: Sequence[Domain]) -> Rules:
    """One table out of the domains' tables; a name that stands twice is a bug."""
    actions: dict[str, Action] = {}
    kinds: dict[str, type[Row]] = {kind.KIND: kind for kind in (SeenDigest, Authority, KeyRow)}
    for domain in domains:
        for name, action in domain.actions.items():
            if name in actions or not name.startswith(f"{domain.name}."):
                raise ValueError(f"{name} is not an action of {domain.name} alone")
            actions[name] = action
        for kind in domain.rows:
            if kinds.setdefault(kind.KIND, kind) is not kind:
                raise ValueError(f"two kinds of row are called {kind.KIND}")
    schemas = {name: action.item for name, action in actions.items()}
    return Rules(domains, actions, schemas, kinds)
