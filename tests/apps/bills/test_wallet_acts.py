"""What a wallet says, relayed to a real ledger: consents, mandates, helpers, objections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from offices import HOSPITAL, City, signer

from tallystick.apps.bills.catalogue import TYPES
from tallystick.apps.bills.fields import Fields
from tallystick.apps.bills.wallet import Wallet
from tallystick.apps.bills.wallet_acts import Made, read_relayed
from tallystick.contracts.bills.items.holders import Arbitrate, Rebind
from tallystick.contracts.bills.records.bills import Bill, holder_now
from tallystick.contracts.bills.records.holders import Consent, Mandate
from tallystick.contracts.bills.views.holders import (
    find_consent,
    find_helper,
    find_mandate,
    is_consent_live,
    is_mandate_live,
)
from tallystick.protocol.canonical import encode
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.values import format_instant
from tallystick.vault import mail
from tallystick.vault.letterbox import WALLETS

CODE = 33060126
DAY = 86_400
SHOWN = ["items/*", "payer"]


class Home:
    """Ann's wallet with two bills of the hospital's, and her son's."""

    def __init__(self, city: City, ann: Wallet, son: Wallet) -> None:
        self.city = city
        self.ann = ann
        self.son = son
        with city.desk() as (office, addresses):
            payer = city.draft(1).payer
            addresses.register(payer, ann.address(HOSPITAL, at=city.now), at=city.now)
            office.issue(city.draft(seed, payer=payer) for seed in (1, 2))
            office.deliver(city.box)
        with city.node.view() as view:
            assert len(ann.receive(city.box / WALLETS, view, at=city.now).bills) == 2

    @property
    def until(self) -> str:
        return format_instant(self.city.now + 30 * DAY)

    def bill(self, number: int) -> Bill:
        return self.city.bill(CODE, number)

    def consent(self, number: int, wallet: Wallet | None = None, helper: str | None = None) -> Made:
        return (wallet or self.ann).acts.consent(
            self.bill(number),
            reader="finance",
            purpose="claim",
            fields=SHOWN,
            until=self.until,
            now=self.city.now,
            helper=helper,
        )

    def consent_row(self, act: str) -> tuple[Consent, bool]:
        with self.city.node.view() as view:
            row = find_consent(view, act)
            assert row is not None
            return row, is_consent_live(view, row, self.city.now)

    def mandate_row(self, act: str, number: int) -> tuple[Mandate, bool]:
        key = self.ann.key(self.bill(number), self.city.now)
        with self.city.node.view() as view:
            row = find_mandate(view, act)
            assert row is not None
            opening = key.opening if key else None
            return row, is_mandate_live(view, row, self.bill(number), opening, self.city.now)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    scenes = {"outpatient": TYPES["outpatient"].rules}
    with (
        City(tmp_path / "city", scenes=scenes) as city,  # type: ignore[arg-type]
        Wallet.create(tmp_path / "ann", city.node.network) as ann,
        Wallet.create(tmp_path / "son", city.node.network) as son,
    ):
        yield Home(city, ann, son)


def test_C8_a_consent_is_relayed_by_any_member_and_revoked_for_good(home: Home) -> None:
    made = home.consent(1)
    assert home.city.relay(made, HOSPITAL) == "accepted"
    row, live = home.consent_row(made.act)
    assert live
    opened = home.ann.acts.fields(made.act)
    assert isinstance(opened, Fields)
    assert (opened.paths, opened.digest) == (SHOWN, row.fields)
    revoked = home.ann.acts.revoke(made.act, bill=home.bill(1), now=home.city.now)
    assert home.city.relay(revoked) == "accepted"
    assert not home.consent_row(made.act)[1]
    assert home.city.relay(made) == "kit.act_replayed"


def test_a_mandate_covers_every_bill_and_ends(home: Home) -> None:
    now = home.city.now
    made = home.ann.acts.mandate(
        reader="finance", purpose="claim", fields=SHOWN, until=home.until, now=now, cap=5_000
    )
    assert home.city.relay(made) == "accepted"
    for number in (1, 2):
        row, live = home.mandate_row(made.act, number)
        assert live
        assert row.cap == 5_000
    assert home.city.relay(home.ann.acts.bind(home.bill(2), now=now)) == "accepted"
    assert home.mandate_row(made.act, 2)[1]
    assert home.city.relay(home.ann.acts.revoke(made.act, now=now)) == "accepted"
    assert not home.mandate_row(made.act, 1)[1]


def test_a_field_that_no_bill_has_is_not_allowed_to_anybody(home: Home) -> None:
    now = home.city.now
    with pytest.raises(Malformed, match="no field foo"):
        home.ann.acts.mandate(
            reader="finance", purpose="claim", fields=["foo/*"], until=home.until, now=now
        )
    assert home.ann.acts.gave() == []


def test_the_list_of_what_was_given_is_there_before_the_relay(home: Home, tmp_path: Path) -> None:
    made = home.consent(1)
    mandate = home.ann.acts.mandate(
        reader="finance", purpose="claim", fields=[], until=home.until, now=home.city.now
    )
    home.ann.close()
    with Wallet.open(tmp_path / "ann", home.city.node.network) as again:
        gave = again.acts.gave()
        assert [(at, gift.what, gift.act) for at, gift in gave] == [
            (home.city.now, "consent", made.act),
            (home.city.now, "mandate", mandate.act),
        ]
        assert (gave[0][1].reader, gave[0][1].bill) == ("finance", home.bill(1).id)


def test_what_is_relayed_is_read_in_its_one_spelling(home: Home) -> None:
    made = home.consent(1)
    assert read_relayed(made.data) == (made.action, made.item)
    with pytest.raises(Malformed):
        read_relayed(made.data + b" ")
    other = made.data.replace(b"bills.consent/1", b"bills.rebind/1")
    with pytest.raises(Malformed, match="no act"):
        read_relayed(other)
    assert home.ann.keys.mandate.public_key not in made.data


def test_a_helper_acts_on_all_bills_of_one_person_that_were_shared(home: Home) -> None:
    city, ann, son = home.city, home.ann, home.son
    made = ann.acts.appoint_helper(son.keys.helper.public_key, until=home.until, now=city.now)
    assert city.relay(made) == "accepted"
    to = son.address("ann", at=city.now)
    letter = ann.acts.share(made.act, [home.bill(1)], to, now=city.now)
    box = city.box / WALLETS / to.address_id
    box.mkdir()
    mail.post_messages(box, [letter])
    with city.node.view() as view:
        assert son.receive(city.box / WALLETS, view, at=city.now).shares == [made.act]
    said = home.consent(1, son, helper=made.act)
    assert city.relay(said) == "accepted"
    assert home.consent_row(said.act)[1]
    assert city.relay(home.consent(2, son, helper=made.act)) == "bills.holder_key"
    back = son.acts.revoke(said.act, bill=home.bill(1), helper=made.act, now=city.now)
    assert city.relay(back) == "accepted"
    assert city.relay(ann.acts.revoke(made.act, now=city.now)) == "accepted"
    assert city.relay(home.consent(1, son, helper=made.act)) == "bills.helper_unknown"


def test_a_helper_for_one_bill_needs_no_share(home: Home) -> None:
    city, ann, son = home.city, home.ann, home.son
    made = ann.acts.appoint_helper(
        son.keys.helper.public_key, until=home.until, now=city.now, bill=home.bill(1)
    )
    assert city.relay(made) == "accepted"
    assert city.relay(home.consent(1, son, helper=made.act)) == "accepted"
    assert city.relay(home.consent(2, son, helper=made.act)) == "bills.helper_unknown"
    over = ann.acts.revoke(made.act, bill=home.bill(1), now=city.now)
    assert city.relay(over) == "accepted"
    with city.node.view() as view:
        row = find_helper(view, made.act)
    assert row is not None
    assert not row.good


def test_a_wallet_objects_to_a_binding_that_is_not_its_own(home: Home) -> None:
    city, ann = home.city, home.ann
    assert city.relay(ann.acts.bind(home.bill(1), now=city.now)) == "accepted"
    row = home.bill(1)
    rebind = Rebind(
        nonce=city.nonce(), bill=row.id, version=row.version, reason="lost", holder=bytes(32)
    )
    city.act(HOSPITAL, "bills.rebind", rebind)
    with pytest.raises(VerificationFailed):
        ann.acts.object_binding(home.bill(2), now=city.now)
    made = ann.acts.object_binding(home.bill(1), now=city.now)
    assert city.relay(made) == "accepted"
    assert city.relay(made) == "bills.nothing_pending"
    row = home.bill(1)
    decided = Arbitrate(
        nonce=city.nonce(), bill=row.id, version=row.version, reason="heard", uphold="old"
    )
    city.act("finance", "bills.arbitrate", decided)
    key = ann.key(home.bill(1), city.now)
    assert key is not None
    assert holder_now(home.bill(1), city.now) == (key.commitment, 1)


def test_a_wallet_says_nothing_of_what_is_not_its_own(home: Home) -> None:
    with pytest.raises(VerificationFailed, match="not bound"):
        home.consent(1, home.son)
    with pytest.raises(KeyError):
        home.son.acts.revoke("0" * 64, now=home.city.now)
    made = home.consent(1)
    with pytest.raises(VerificationFailed, match="about"):
        home.ann.acts.revoke(made.act, bill=home.bill(2), now=home.city.now)
    bound = home.ann.acts.bind(home.bill(1), now=home.city.now)
    with pytest.raises(VerificationFailed, match="allowed nothing"):
        home.ann.acts.revoke(bound.act, bill=home.bill(1), now=home.city.now)


def test_the_acts_of_a_wallet_show_no_key_but_the_one_that_signed(home: Home) -> None:
    made = home.consent(1)
    key = home.ann.key(home.bill(1), home.city.now)
    assert key is not None
    data = encode(made.item)
    for secret in (key.seed, key.nonce, home.ann.keys.mandate.public_key):
        assert secret.hex().encode() not in data
    assert signer(f"{HOSPITAL}/key").public_key.hex().encode() not in data
