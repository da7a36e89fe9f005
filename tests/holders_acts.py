"""Acts of holders: keys by name, commitments, and what they sign, ready to be relayed."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from nacl.signing import SigningKey
from province import CODE, Province

from tallystick.contracts.bills.items.holders import (
    Act,
    AppointHelper,
    Arbitrate,
    Bind,
    GiveConsent,
    GiveMandate,
    ObjectBinding,
    Rebind,
    Revoke,
    SaidBind,
    SaidConsent,
    SaidHelper,
    SaidMandate,
    SaidObjection,
    SaidRevoke,
)
from tallystick.contracts.bills.records.bills import Bill, holder_now
from tallystick.contracts.bills.records.holders import Opening, commit_holder, holder_salt
from tallystick.contracts.bills.views.holders import find_consent, is_consent_live
from tallystick.contracts.kit.acts import Said, act_id, act_message

FIELDS = b"f" * 32
DAY = 86_400


def signing_key(name: str) -> SigningKey:
    """A key, the same for the same name."""
    return SigningKey(sha256(name.encode()).digest())


@dataclass(frozen=True)
class Holder:
    """One person's key of one bill; `wallet` names the mandate key."""

    bill_key: SigningKey
    nonce: bytes
    wallet: SigningKey

    @property
    def salt(self) -> bytes:
        return holder_salt(self.nonce, bytes(self.wallet.verify_key))

    @property
    def commitment(self) -> bytes:
        return commit_holder(bytes(self.bill_key.verify_key), self.salt)

    @property
    def opening(self) -> Opening:
        return Opening(key=bytes(self.bill_key.verify_key), nonce=self.nonce)


def holder(name: str, wallet: str = "ann") -> Holder:
    """The key of a bill, by name, in a wallet, by name."""
    return Holder(
        signing_key(name), sha256(b"n" + name.encode()).digest()[:16], signing_key(wallet)
    )


@dataclass
class Acting:
    """Signs acts for the holders of a province's bills and has them relayed."""

    world: Province

    def sign(self, action: str, said: Said, key: SigningKey, **fields: Any) -> Act:
        message = act_message(self.world.network, f"{action}/1", said)
        return Act(key=bytes(key.verify_key), signature=key.sign(message).signature, **fields)

    def id_of(self, action: str, said: Said) -> str:
        return act_id(act_message(self.world.network, f"{action}/1", said))

    def in_person(self, action: str, said: Said, who: Holder) -> Act:
        return self.sign(action, said, who.bill_key, salt=who.salt)

    def _of_bill(self, bill: Bill, fields: dict[str, Any]) -> dict[str, Any]:
        bound = holder_now(bill, self.world.at)[1]
        return {"nonce": self.world.nonce(), "bill": bill.id, "bound": bound} | fields

    def said_consent(self, bill: Bill, **fields: Any) -> SaidConsent:
        named = {"reader": "insurer", "purpose": "claim", "fields": FIELDS}
        named["until"] = self.world.instant(30 * DAY)
        return SaidConsent(**self._of_bill(bill, named | fields))

    def consent(self, bill: Bill, who: Holder, **fields: Any) -> GiveConsent:
        said = self.said_consent(bill, **fields)
        return GiveConsent(
            nonce=self.world.nonce(), said=said, act=self.in_person("bills.consent", said, who)
        )

    def bind(self, bill: Bill, old: Holder, new: Holder, **fields: Any) -> Bind:
        said = SaidBind(**self._of_bill(bill, {"holder": new.commitment} | fields))
        return Bind(
            nonce=self.world.nonce(), said=said, act=self.in_person("bills.bind", said, old)
        )

    def objection(self, bill: Bill, old: Holder, **fields: Any) -> ObjectBinding:
        named: dict[str, Any] = {"holder": b"0" * 32, "due": self.world.instant()}
        if bill.pending is not None:
            named = {"holder": bill.pending.holder, "due": bill.pending.due}
        said = SaidObjection(**self._of_bill(bill, named | fields))
        act = self.in_person("bills.object_binding", said, old)
        return ObjectBinding(nonce=self.world.nonce(), said=said, act=act)

    def mandate(self, wallet: str = "ann", **fields: Any) -> GiveMandate:
        named: dict[str, Any] = {"reader": "insurer", "purpose": "claim", "fields": FIELDS}
        named |= {"nonce": self.world.nonce(), "until": self.world.instant(365 * DAY)}
        said = SaidMandate(**(named | fields))
        act = self.sign("bills.mandate", said, signing_key(wallet))
        return GiveMandate(nonce=self.world.nonce(), said=said, act=act)

    def helper(self, name: str, bill: Bill, who: Holder, **fields: Any) -> AppointHelper:
        """Appointed for one bill by its key."""
        key = bytes(signing_key(name).verify_key)
        named = {"helper": key, "until": self.world.instant(30 * DAY)}
        said = SaidHelper(**self._of_bill(bill, named | fields))
        act = self.in_person("bills.appoint_helper", said, who)
        return AppointHelper(nonce=self.world.nonce(), said=said, act=act)

    def helper_for_all(self, name: str, wallet: str = "ann", **fields: Any) -> AppointHelper:
        """Appointed for all bills of a wallet by its mandate key."""
        named: dict[str, Any] = {"helper": bytes(signing_key(name).verify_key)}
        named |= {"nonce": self.world.nonce(), "until": self.world.instant(30 * DAY)}
        said = SaidHelper(**(named | fields))
        act = self.sign("bills.appoint_helper", said, signing_key(wallet))
        return AppointHelper(nonce=self.world.nonce(), said=said, act=act)

    def revoke(self, kind: Any, of: str, key: SigningKey, **fields: Any) -> Revoke:
        said = SaidRevoke(nonce=self.world.nonce(), of=of)
        act = self.sign("bills.revoke", said, key, **fields)
        return Revoke(nonce=self.world.nonce(), kind=kind, said=said, act=act)

    def revoke_consent(self, of: str, who: Holder) -> Revoke:
        return self.revoke("consent", of, who.bill_key, salt=who.salt)

    def rebind_item(self, bill: Bill, new: Holder, **fields: Any) -> Rebind:
        named: dict[str, Any] = {"bill": bill.id, "version": bill.version, "reason": "lost_phone"}
        named |= {"nonce": self.world.nonce(), "holder": new.commitment}
        return Rebind(**(named | fields))

    def arbitrate_item(self, bill: Bill, uphold: Any) -> Arbitrate:
        return Arbitrate(
            nonce=self.world.nonce(),
            bill=bill.id,
            version=bill.version,
            reason="heard",
            uphold=uphold,
        )

    def give(self, item: GiveConsent, relay: str = "mutual") -> str:
        """Enters a consent; the act's id."""
        self.world.do(relay, "bills.consent", item)
        return self.id_of("bills.consent", item.said)


ANN = holder("ann/1")
ANNS_NEW = holder("ann/new")
EVE = holder("eve/1", wallet="eve")


class World(Province):
    """A province where Ann holds the first bill."""

    def __init__(self) -> None:
        super().__init__()
        self.acting = Acting(self)
        self.issue(1, holder=ANN.commitment)

    @property
    def first(self) -> Bill:
        return self.bill(CODE, 1)

    def consent_live(self, act: str) -> bool:
        row = find_consent(self.rows, act)
        assert row is not None
        return is_consent_live(self.rows, row, self.at)

    def bind(self, old: Holder = ANN, new: Holder = ANNS_NEW) -> None:
        self.do("clinic", "bills.bind", self.acting.bind(self.first, old, new))

    def rebind(self, new: Holder) -> None:
        self.do("hospital", "bills.rebind", self.acting.rebind_item(self.first, new))

    def consent_refused(self, item: GiveConsent, relay: str = "mutual") -> tuple[str, str]:
        return self.refused(relay, "bills.consent", item)
