"""The wallets of an export's patients, played by the import: their keys, and what they sign.

All keys come out of one secret. A bill was issued under a key that its issuer knows; the wallet
takes it to a key of its own, `bind`, so that one mandate for an insurer covers all bills of the
patient, and says in which order insurers reimburse one bill.

    mandate seed = HMAC-SHA256(secret, "tallystick/synthea-mandate/v1\\n" || patient)
    derivation   = HMAC-SHA256(secret, "tallystick/synthea-bills/v1\\n" || patient)

Invariant: nothing is signed here but what the ledger says is unsaid; keys never leave this file.
See docs/guides/synthea.md.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence

from tallystick.apps.bills.fields import make_fields
from tallystick.apps.bills.holders import BillKey, bill_key
from tallystick.contracts.bills.items.claims import MakePlan, PlannedShare, SaidPlan
from tallystick.contracts.bills.items.holders import Act, Bind, GiveMandate, SaidBind, SaidMandate
from tallystick.contracts.bills.records.bills import Bill
from tallystick.contracts.kit.acts import Said, act_id, act_message
from tallystick.keyring import KeySigner, signer_from_seed

PURPOSE = "health_insurance"
FIELDS = ("items/*", "medical/*", "payment/*", "payer/*")
"""What an insurer may be shown of a bill."""

_MANDATE_CONTEXT = b"tallystick/synthea-mandate/v1\n"
_BILLS_CONTEXT = b"tallystick/synthea-bills/v1\n"
NONCE_BYTES = 16


class Wallets:
    """Of all patients of a network."""

    def __init__(self, network: bytes, secret: bytes) -> None:
        self._network = network
        self._secret = secret
        self._signers: dict[str, KeySigner] = {}

    def bill_key(self, patient: str, root: bytes) -> BillKey:
        """The key that the patient's wallet has for a bill."""
        derivation = hmac.digest(self._secret, _BILLS_CONTEXT + patient.encode(), "sha256")
        return bill_key(derivation, root, self._signer(patient).public_key)

    def bind(self, patient: str, bill: Bill, given: BillKey) -> Bind:
        """Take a bill from the key that the issuer gave with it to the wallet's own."""
        said = SaidBind(
            nonce=_nonce(),
            bill=bill.id,
            bound=bill.bound,
            holder=self.bill_key(patient, _root(bill)).commitment,
        )
        return Bind(nonce=_nonce(), said=said, act=self._by_bill_key("bills.bind/1", said, given))

    def say_mandate(self, patient: str, insurer: str, until: str) -> SaidMandate:
        """What a mandate for one insurer says; `mandate` signs it. Both say the same twice."""
        return SaidMandate(
            nonce=_nonce(),
            reader=insurer,
            purpose=PURPOSE,
            fields=make_fields(self._salt(patient, insurer), FIELDS).digest,
            until=until,
        )

    def mandate(self, patient: str, said: SaidMandate) -> GiveMandate:
        """The signed act."""
        signer = self._signer(patient)
        act = Act(key=signer.public_key, signature=signer.sign(self._message(said)))
        return GiveMandate(nonce=_nonce(), said=said, act=act)

    def mandate_id(self, said: SaidMandate) -> str:
        """The id of its row."""
        return act_id(self._message(said))

    def plan(
        self, patient: str, bill: Bill, reimbursers: Sequence[str], *, version: int
    ) -> MakePlan:
        """The patient's word on the order; `version` is that of the plan that it replaces."""
        said = SaidPlan(
            nonce=_nonce(),
            bill=bill.id,
            bound=bill.bound,
            version=version,
            mode="sequential",
            shares=[
                PlannedShare(reimburser=org, purpose=PURPOSE, rank=rank)
                for rank, org in enumerate(reimbursers, 1)
            ],
        )
        key = self.bill_key(patient, _root(bill))
        return MakePlan(nonce=_nonce(), said=said, act=self._by_bill_key("bills.plan/1", said, key))

    def _by_bill_key(self, action: str, said: Said, key: BillKey) -> Act:
        signer = signer_from_seed(key.seed)
        signature = signer.sign(act_message(self._network, action, said))
        return Act(key=signer.public_key, salt=key.salt, signature=signature)

    def _message(self, said: SaidMandate) -> bytes:
        return act_message(self._network, "bills.mandate/1", said)

    def _salt(self, patient: str, insurer: str) -> bytes:
        words = f"{patient} {insurer}".encode()
        return hmac.digest(self._secret, b"fields\n" + words, "sha256")[:NONCE_BYTES]

    def _signer(self, patient: str) -> KeySigner:
        if patient not in self._signers:
            seed = hmac.digest(self._secret, _MANDATE_CONTEXT + patient.encode(), "sha256")
            self._signers[patient] = signer_from_seed(seed)
        return self._signers[patient]


def _root(bill: Bill) -> bytes:
    if bill.root is None:
        raise LookupError(f"{bill.id} is no bill")  # a void number
    return bill.root


def _nonce() -> bytes:
    return secrets.token_bytes(NONCE_BYTES)
