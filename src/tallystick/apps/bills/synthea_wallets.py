"""The wallets of an export's patients, played by the import: their keys, and what they sign.

Each patient's seed comes out of one secret, all else out of the seed as in any wallet. An address
at each hospital lets a bill be the patient's from its issue on; a bill that was issued before, or
whose payer has no identity number of their own, is taken over from its issuer's key with `bind`.
One mandate for an insurer then covers all bills of the patient.

    seed = HMAC-SHA256(secret, "tallystick/synthea-wallet/v1\\n" || patient)

Invariant: nothing is signed here but what the ledger says is unsaid. See docs/guides/synthea.md.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from tallystick.apps.bills.address import Address
from tallystick.apps.bills.fields import make_fields
from tallystick.apps.bills.holders import BillKey
from tallystick.apps.bills.sending import new_nonce
from tallystick.apps.bills.wallet_keys import WalletKeys
from tallystick.contracts.bills.items.claims import MakePlan, PlannedShare, SaidPlan
from tallystick.contracts.bills.items.holders import Act, Bind, GiveMandate, SaidBind, SaidMandate
from tallystick.contracts.bills.records.bills import Bill
from tallystick.contracts.kit.acts import Said, act_id, act_message
from tallystick.keyring import signer_from_seed
from tallystick.protocol.values import NONCE_BYTES

SECRET = "patients"
"""The key file that all wallets come out of: ``keys/patients-vault.json``."""
PURPOSE = "health_insurance"
FIELDS = ("items/*", "medical/*", "payer/*", "payment/*")
"""What an insurer may be shown of a bill."""

_WALLET_CONTEXT = b"tallystick/synthea-wallet/v1\n"


class Wallets:
    """Of all patients of a network."""

    def __init__(self, network: bytes, secret: bytes) -> None:
        self._network = network
        self._secret = secret
        self._wallets: dict[str, WalletKeys] = {}

    def address(self, patient: str, issuer: str) -> Address:
        """What the patient gives to a hospital, once."""
        return self._keys(patient).address(issuer, 0)

    def find_key(self, patient: str, bill: Bill) -> BillKey | None:
        """The key by which the patient's wallet holds a bill; None: it does not."""
        root = _root(bill)
        if not bill.bound:
            key = self.address(patient, bill.issuer).bill_key(root)
        else:
            key = self._keys(patient).own_key(root, bill.bound)
        return key if key.commitment == bill.holder else None

    def bind(self, patient: str, bill: Bill, given: BillKey) -> Bind:
        """Take a bill from the key that the issuer gave with it to the wallet's own."""
        key = self._keys(patient).own_key(_root(bill), bill.bound + 1)
        said = SaidBind(nonce=new_nonce(), bill=bill.id, bound=bill.bound, holder=key.commitment)
        return Bind(
            nonce=new_nonce(), said=said, act=self._by_bill_key("bills.bind/1", said, given)
        )

    def say_mandate(self, patient: str, insurer: str, until: str) -> SaidMandate:
        """What a mandate for one insurer says; `mandate` signs it. Both say the same twice."""
        return SaidMandate(
            nonce=new_nonce(),
            reader=insurer,
            purpose=PURPOSE,
            fields=make_fields(self._salt(patient, insurer), FIELDS).digest,
            until=until,
        )

    def mandate(self, patient: str, said: SaidMandate) -> GiveMandate:
        """The signed act."""
        signer = self._keys(patient).mandate
        act = Act(key=signer.public_key, signature=signer.sign(self._message(said)))
        return GiveMandate(nonce=new_nonce(), said=said, act=act)

    def mandate_id(self, said: SaidMandate) -> str:
        """The id of its row."""
        return act_id(self._message(said))

    def plan(
        self, key: BillKey, bill: Bill, reimbursers: Sequence[str], *, version: int
    ) -> MakePlan:
        """The holder's word on the order; `version` is that of the plan that it replaces."""
        said = SaidPlan(
            nonce=new_nonce(),
            bill=bill.id,
            bound=bill.bound,
            version=version,
            mode="sequential",
            shares=[
                PlannedShare(reimburser=org, purpose=PURPOSE, rank=rank)
                for rank, org in enumerate(reimbursers, 1)
            ],
        )
        return MakePlan(
            nonce=new_nonce(), said=said, act=self._by_bill_key("bills.plan/1", said, key)
        )

    def _by_bill_key(self, action: str, said: Said, key: BillKey) -> Act:
        signer = signer_from_seed(key.seed)
        signature = signer.sign(act_message(self._network, action, said))
        return Act(key=signer.public_key, salt=key.salt, signature=signature)

    def _message(self, said: SaidMandate) -> bytes:
        return act_message(self._network, "bills.mandate/1", said)

    def _salt(self, patient: str, insurer: str) -> bytes:
        words = f"{patient} {insurer}".encode()
        return hmac.digest(self._secret, b"fields\n" + words, "sha256")[:NONCE_BYTES]

    def _keys(self, patient: str) -> WalletKeys:
        if patient not in self._wallets:
            seed = hmac.digest(self._secret, _WALLET_CONTEXT + patient.encode(), "sha256")
            self._wallets[patient] = WalletKeys(seed, self._network)
        return self._wallets[patient]


def _root(bill: Bill) -> bytes:
    if bill.root is None:
        raise LookupError(f"{bill.id} is no bill")  # a void number
    return bill.root
