"""From paper to wallet: a bill whose payer had no address is handed to who knows two things of it.

The paper carries a claim code, which only its issuer can have made. A photograph of the paper is
not enough: the last digits of the payer's identity number, or of a telephone number that the issuer
knows, are asked too. Five wrong tries in all close a bill until its issuer opens it again; each is
counted, durably, before it is judged.

    claim code = base32(HMAC-SHA256(holder key, "tallystick/claim-code/v1\\n" || root)[:5])

Invariant: nobody is told which of the two was wrong, and no key leaves for whoever lacks either.
See docs/spec/wallet.md.
"""

from __future__ import annotations

import hmac
from base64 import b32encode
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from tallystick.apps.bills.address import Address
from tallystick.apps.bills.addresses import RECEIVER, Addresses
from tallystick.apps.bills.holders import BillKey, bill_key
from tallystick.apps.bills.letters import HANDOVER, WALLET, seal_handed
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.records.bills import Bill, BillId, holder_now, parse_bill_id
from tallystick.contracts.bills.views.bills import find_bill
from tallystick.ledger.view import Reading
from tallystick.protocol.canonical import Meta, Record, decode
from tallystick.protocol.errors import VerificationFailed
from tallystick.vault import Head, Letter, Message, Vault

CODE_BYTES = 5
"""Eight letters: a million million to one for five tries are plenty."""
DIGITS = 4

_CODE_CONTEXT = b"tallystick/claim-code/v1\n"
_MISREAD = str.maketrans("018", "OIB")
"""Base 32 has no digits that look like letters."""

Outcome = Literal["handed", "no_match", "closed", "taken"]
Contacts = Callable[[Body], Iterable[str]]
"""Numbers of a payer whose last digits count: by default the identity number."""


class PaperClaim(Record):
    """What a wallet says to an office about one bill. Private: only over a protected connection."""

    format: Literal["tallystick/paper-claim/v1"]
    bill: BillId
    code: Annotated[str, Meta(min_length=1, max_length=40)]
    """As printed, or as somebody has typed it."""
    digits: Annotated[str, Meta(min_length=1, max_length=8)]
    address: Address

    def __repr__(self) -> str:
        return f"PaperClaim({self.bill})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Tracebacks that show locals ask for this instead."""
        return [("bill", self.bill)]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a claimant is told, and nothing else."""

    outcome: Outcome
    """``taken``: both were right, but the bill is bound to a wallet already."""
    tries_left: int


def claim_code(holder_key: bytes, root: bytes) -> str:
    """What is printed on the paper, in two groups of four letters."""
    tag = hmac.digest(holder_key, _CODE_CONTEXT + root, "sha256")
    text = b32encode(tag[:CODE_BYTES]).decode()
    return f"{text[:4]}-{text[4:]}"


def identity_number(body: Body) -> Iterable[str]:
    """The numbers that a body itself has."""
    return [body.payer.id_number] if body.payer.id_number else []


class Handover:
    """The desk of one issuer's vault where papers are turned into wallets' bills."""

    def __init__(
        self,
        vault: Vault,
        addresses: Addresses,
        *,
        network: bytes,
        holder_key: bytes,
        view: Callable[[], AbstractContextManager[Reading]],
        clock: Callable[[], int],
        contacts: Contacts = identity_number,
    ) -> None:
        self._vault = vault
        self._addresses = addresses
        self._network = network
        self._holder_key = holder_key
        self._view = view
        self._clock = clock
        self._contacts = contacts

    def code(self, bill_id: str) -> str:
        """The claim code of a bill of ours, to be printed. `KeyError`: it is none."""
        bill = self._find(bill_id)
        if bill is None:
            raise KeyError(f"{bill_id} is no blue bill of this office")
        return claim_code(self._holder_key, bill.root)

    def claim(self, asked: PaperClaim) -> Answer:
        """Judge a claim; where it is right, the bill is owed to the wallet from now on.

        The log of reads has the answer before it is given.
        """
        answer, place = self._judge(asked), parse_bill_id(asked.bill)
        if self._vault.find(*place) is not None:  # else whoever asks could fill the log
            self._vault.note_read(
                *place, at=self._clock(), who=WALLET, what="second_factor", why=answer.outcome
            )
        return answer

    def _judge(self, asked: PaperClaim) -> Answer:
        """The answer, and what follows from it.

        1. an address of this network    2. a try is left, and is used up    3. code and digits are
        right    4. the office still holds the bill's key
        """
        if asked.address.network != self._network:  # 1
            raise VerificationFailed("the address is of another network", path="address/network")
        bill = self._find(asked.bill)
        if bill is None:
            return Answer("no_match", 0)
        if not self._addresses.use_try(asked.bill):  # 2
            return Answer("closed", 0)
        if not self._is_right(asked, bill):  # 3
            left = self._addresses.tries_left(asked.bill)
            return Answer("no_match" if left else "closed", left)
        self._addresses.give_back_try(asked.bill)
        key = bill_key(self._holder_key, bill.root)
        answer = Answer("taken", self._addresses.tries_left(asked.bill))
        if holder_now(bill.row, self._clock())[0] != key.commitment:  # 4
            return answer
        self._owe(asked, bill, key)
        return Answer("handed", answer.tries_left)

    def reopen(self, bill_id: str) -> None:
        """The issuer has seen who asks: all tries are there again."""
        self._addresses.reopen(bill_id)

    def _find(self, bill_id: str) -> _Found | None:
        with self._view() as view:
            row = find_bill(view, bill_id)
        where = self._vault.find(*parse_bill_id(bill_id))
        if row is None or row.bill_kind != "blue" or row.root is None:
            return None
        if where is None or where.state != "recorded" or where.tx_id is None or where.n is None:
            return None
        return _Found(row, row.root, where.tx_id, where.n)

    def _is_right(self, asked: PaperClaim, bill: _Found) -> bool:
        data, _ = self._vault.get(*parse_bill_id(asked.bill))
        numbers = [each[-DIGITS:] for each in self._contacts(decode(data, Body))]
        said = asked.digits.upper()
        code = _plain(claim_code(self._holder_key, bill.root))
        known = [hmac.compare_digest(each.upper().encode(), said.encode()) for each in numbers]
        return hmac.compare_digest(code, _plain(asked.code)) and any(known)

    def _owe(self, asked: PaperClaim, bill: _Found, key: BillKey) -> None:
        code, number = parse_bill_id(asked.bill)
        body, secret = self._vault.get(code, number)
        head = Head(
            network=self._network,
            tx=bill.tx_id,
            n=bill.n,
            to=asked.address.delivery_key,
            purpose=HANDOVER,
        )
        data = seal_handed(head, Letter(code, number, body, secret), key.seed, key.nonce)
        receiver = RECEIVER + asked.address.address_id
        self._vault.outbox.put([Message(code, number, receiver, data)], at=self._clock())


class _Found(NamedTuple):
    row: Bill
    root: bytes
    tx_id: str
    n: int


def _plain(code: str) -> bytes:
    """As printed, whatever was typed: no gaps, no lower case, no digits that are none."""
    return "".join(code.split()).replace("-", "").upper().translate(_MISREAD).encode()
