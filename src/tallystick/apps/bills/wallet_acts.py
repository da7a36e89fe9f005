"""What the holder of a wallet says: each act signed, written down, and ready for any relay.

Invariant: an act is in the wallet's list before it is in anybody's hands.
See docs/spec/wallet.md.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tallystick.apps.bills.address import Address
from tallystick.apps.bills.fields import Fields, make_fields
from tallystick.apps.bills.holders import BillKey
from tallystick.apps.bills.letters import SHARE, Share, SharedBill
from tallystick.apps.bills.sending import new_nonce
from tallystick.apps.bills.wallet_keys import WalletKeys
from tallystick.apps.bills.wallet_store import Gift, WalletStore
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.items import holders as items
from tallystick.contracts.bills.items.holders import Act
from tallystick.contracts.bills.records.bills import Bill, holder_now
from tallystick.contracts.kit.acts import Said, act_id, act_message
from tallystick.keyring import KeySigner, signer_from_seed
from tallystick.protocol.canonical import Raw, Record, decode, encode
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import ActionName
from tallystick.vault import Head, Letter, seal_delivery

RELAYED: dict[str, type[Item]] = {
    "bills.bind/1": items.Bind,
    "bills.consent/1": items.GiveConsent,
    "bills.mandate/1": items.GiveMandate,
    "bills.appoint_helper/1": items.AppointHelper,
    "bills.revoke/1": items.Revoke,
    "bills.object_binding/1": items.ObjectBinding,
}
"""The actions that any member enters for a holder."""

FindKey = Callable[[Bill, int], BillKey | None]


class _Relayed(Record):
    format: Literal["tallystick/relay/v1"]
    action: ActionName
    item: Raw


@dataclass(frozen=True, slots=True)
class Made:
    """An act that is ready: any member sends `item` under `action`."""

    action: str
    item: Item
    act: str
    """Its id: the key of the row that it makes."""

    @property
    def data(self) -> bytes:
        """A file for whoever relays it. Nothing in it is private but that it exists."""
        item = Raw(encode(self.item))
        return encode(_Relayed(format="tallystick/relay/v1", action=self.action, item=item))


def read_relayed(data: bytes) -> tuple[str, Item]:
    """Action and item of a holder's file, for a member to send."""
    relayed = decode(data, _Relayed)
    kind = RELAYED.get(relayed.action)
    if kind is None:
        raise Malformed("no act of a holder", path="action")
    return relayed.action, decode(bytes(relayed.item), kind)


class WalletActs:
    """Signs for the wallet's own bills, and as a helper for those of others."""

    def __init__(
        self, store: WalletStore, keys: WalletKeys, network: bytes, find_key: FindKey
    ) -> None:
        self._store = store
        self._keys = keys
        self._network = network
        self._find_key = find_key

    def gave(self) -> list[tuple[int, Gift]]:
        """(when, what) of every act of this wallet, the oldest first."""
        return self._store.gifts()

    def fields(self, act: str) -> Fields | None:
        """Opens the fields of a consent or mandate of ours: what a presentation needs."""
        return self._store.gift(act).fields

    # ----------------------------------------------------------------------- of one bill

    def bind(self, bill: Bill, *, now: int) -> Made:
        """Take a bill to a key that its issuer cannot know."""
        key, bound = self._held(bill, now)
        if bill.root is None:
            raise VerificationFailed(f"{bill.id} has no body", path="bill")
        holder = self._keys.own_key(bill.root, bound + 1).commitment
        said = items.SaidBind(nonce=new_nonce(), bill=bill.id, bound=bound, holder=holder)
        act = self._in_person("bills.bind/1", said, key)
        return self._made("bills.bind/1", said, act, now, what="bind", bill=bill.id)

    def consent(
        self,
        bill: Bill,
        *,
        reader: str,
        purpose: str,
        fields: Sequence[str],
        until: str,
        now: int,
        helper: str | None = None,
    ) -> Made:
        """Let `reader` see `fields` of a bill; `helper`: by that appointment, for its holder."""
        opened = _opened(fields)
        said = items.SaidConsent(
            nonce=new_nonce(),
            bill=bill.id,
            bound=holder_now(bill, now)[1],
            reader=reader,
            purpose=purpose,
            fields=opened.digest,
            until=until,
        )
        action = "bills.consent/1"
        if helper is None:
            act = self._in_person(action, said, self._held(bill, now)[0])
        else:
            act = self._as_helper(action, said, helper, bill)
        return self._made(
            action,
            said,
            act,
            now,
            what="consent",
            bill=bill.id,
            reader=reader,
            purpose=purpose,
            fields=opened,
            until=until,
            by=helper,
        )

    def object_binding(self, bill: Bill, *, now: int) -> Made:
        """The binding that waits is not ours: let the arbiter decide."""
        if bill.pending is None:
            raise VerificationFailed(f"no new binding of {bill.id} waits", path="bill")
        key, bound = self._held(bill, now)
        said = items.SaidObjection(
            nonce=new_nonce(),
            bill=bill.id,
            bound=bound,
            holder=bill.pending.holder,
            due=bill.pending.due,
        )
        action = "bills.object_binding/1"
        act = self._in_person(action, said, key)
        return self._made(action, said, act, now, what="object", bill=bill.id)

    # ------------------------------------------------------------------------ of all bills

    def mandate(
        self,
        *,
        reader: str,
        purpose: str,
        fields: Sequence[str],
        until: str,
        now: int,
        types: Sequence[int] = (),
        cap: int = 0,
    ) -> Made:
        """Let `reader` see `fields` of each bill of this wallet, those to come too."""
        opened = _opened(fields)
        said = items.SaidMandate(
            nonce=new_nonce(),
            reader=reader,
            purpose=purpose,
            types=list(types),
            cap=cap,
            fields=opened.digest,
            until=until,
        )
        action = "bills.mandate/1"
        act = self._sign(action, said, self._keys.mandate)
        return self._made(
            action,
            said,
            act,
            now,
            what="mandate",
            reader=reader,
            purpose=purpose,
            fields=opened,
            until=until,
        )

    # ----------------------------------------------------------------------------- helpers

    def appoint_helper(
        self, helper: bytes, *, until: str, now: int, bill: Bill | None = None
    ) -> Made:
        """Let the wallet whose helper key this is act on one bill, or on all of ours."""
        action = "bills.appoint_helper/1"
        if bill is None:
            said = items.SaidHelper(nonce=new_nonce(), helper=helper, until=until)
            act = self._sign(action, said, self._keys.mandate)
        else:
            key, bound = self._held(bill, now)
            said = items.SaidHelper(
                nonce=new_nonce(), bill=bill.id, bound=bound, helper=helper, until=until
            )
            act = self._in_person(action, said, key)
        return self._made(
            action,
            said,
            act,
            now,
            what="helper",
            bill=bill.id if bill else None,
            helper=helper,
            until=until,
        )

    def share(self, act: str, bills: Sequence[Bill], to: Address, *, now: int) -> bytes:
        """A letter to a helper's address: what it needs to act on these bills."""
        shared = [
            SharedBill(bill=bill.id, opening=self._held(bill, now)[0].opening) for bill in bills
        ]
        inside = encode(Share(act=act, bills=shared))
        head = Head(network=self._network, tx=act, n=0, to=to.delivery_key, purpose=SHARE)
        return seal_delivery(head, Letter(0, 0, inside, secrets.token_bytes(32)))

    # ------------------------------------------------------------------------------ revoking

    def revoke(
        self, of: str, *, now: int, bill: Bill | None = None, helper: str | None = None
    ) -> Made:
        """What an act of ours allowed is over; `bill`, if it was about one, as it stands now."""
        gift = self._store.gift(of)
        if gift.what not in ("consent", "mandate", "helper"):
            raise VerificationFailed(f"{of} allowed nothing", path="of")
        if gift.bill != (bill.id if bill else None):
            raise VerificationFailed(f"{of} is about {gift.bill}", path="bill")
        action, said = "bills.revoke/1", items.SaidRevoke(nonce=new_nonce(), of=of)
        if bill is None:
            act = self._sign(action, said, self._keys.mandate)
        elif helper is not None:
            act = self._as_helper(action, said, helper, bill)
        else:
            act = self._in_person(action, said, self._held(bill, now)[0])
        return self._made(
            action,
            said,
            act,
            now,
            what="revoke",
            bill=gift.bill,
            reader=gift.reader,
            of=of,
            by=helper,
        )

    # ------------------------------------------------------------------------------ signing

    def _held(self, bill: Bill, now: int) -> tuple[BillKey, int]:
        key = self._find_key(bill, now)
        if key is None:
            raise VerificationFailed(f"{bill.id} is not bound to this wallet", path="bill")
        return key, holder_now(bill, now)[1]

    def _in_person(self, action: str, said: Said, key: BillKey) -> Act:
        return self._sign(action, said, signer_from_seed(key.seed), salt=key.salt)

    def _as_helper(self, action: str, said: Said, helper: str, bill: Bill) -> Act:
        opening = self._store.share(helper).get(bill.id)
        return self._sign(action, said, self._keys.helper, helper=helper, opening=opening)

    def _sign(self, action: str, said: Said, key: KeySigner, **fields: Any) -> Act:
        signature = key.sign(act_message(self._network, action, said))
        return Act(key=key.public_key, signature=signature, **fields)

    def _made(self, action: str, said: Said, act: Act, now: int, **gift: Any) -> Made:
        """Written down first, and then handed out."""
        name = act_id(act_message(self._network, action, said))
        told: dict[str, Any] = {"nonce": new_nonce(), "said": said, "act": act}
        if isinstance(said, items.SaidRevoke):
            told["kind"] = self._store.gift(said.of).what
        item = RELAYED[action](**told)
        self._store.add_gift(Gift(act=name, **gift), at=now)
        return Made(action, item, name)


def _opened(fields: Sequence[str]) -> Fields:
    """The fields that are allowed; a name that no bill has would allow nothing, and tell nobody."""
    opened = make_fields(new_nonce(), fields)
    for n, each in enumerate(opened.paths):
        if each.partition("/")[0] not in Body.__struct_fields__:
            raise Malformed(f"a bill has no field {each}", path=f"paths/{n}")
    return opened
