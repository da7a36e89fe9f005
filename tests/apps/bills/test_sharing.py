"""Fields for a reimburser: exactly what was allowed, only while it is allowed, kept and erased."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace as changed
from hashlib import sha256
from pathlib import Path

import pytest
from acts import founder
from letterboxes import Served
from offices import HOSPITAL, City

from tallystick.apps.bills.delivering import Routes, owed_figures
from tallystick.apps.bills.office import Office
from tallystick.apps.bills.parts import PartLetters, Parts, values_of
from tallystick.apps.bills.presenting import Basis
from tallystick.apps.bills.sharing import READER, Promise, Reviewed
from tallystick.apps.bills.wallet import Wallet
from tallystick.client.transport import Trusted
from tallystick.contracts.bills.items.accounts import OrderErasure
from tallystick.contracts.bills.records.bills import format_bill_id
from tallystick.contracts.members.actions.delivery import SetDeliveryKey
from tallystick.keyring import delivery_key_from_seed
from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.errors import Rejected, VerificationFailed
from tallystick.protocol.values import format_instant
from tallystick.vault import Sent, mail
from tallystick.vault.letterbox import WALLETS, LetterBox

KEY = delivery_key_from_seed(sha256(b"the insurer's delivery key").digest())
STORE_KEY = sha256(b"the insurer's parts").digest()
FIELDS = ["items/*", "payer/name"]


@dataclass
class Case:
    """A bill of Ann's, which the insurer may see a part of."""

    city: City
    ann: Wallet
    code: int
    number: int
    act: str = ""

    @property
    def bill(self) -> str:
        return format_bill_id(self.code, self.number)

    @property
    def basis(self) -> Basis:
        return Basis(consent=self.act, fields=self.ann.acts.fields(self.act))

    @property
    def insurers_box(self) -> Path:
        return self.city.folder / "insurers-box"

    def routes(self) -> Routes:
        return Routes(self.city.box, {"insurer": self.insurers_box})

    def consent(self, **changes: str) -> None:
        row = self.city.bill(self.code, self.number)
        told = {"reader": "insurer", "purpose": "claim"} | changes
        until = format_instant(self.city.now + 86_400)
        made = self.ann.acts.consent(row, fields=FIELDS, until=until, now=self.city.now, **told)
        assert self.city.relay(made) == "accepted"
        self.act = made.act

    def revoke(self) -> None:
        row = self.city.bill(self.code, self.number)
        made = self.ann.acts.revoke(self.act, now=self.city.now, bill=row)
        assert self.city.relay(made) == "accepted"

    @contextmanager
    def insurer(self) -> Iterator[tuple[PartLetters, Parts]]:
        with Parts.open(self.city.folder / "parts", STORE_KEY) as parts:
            desk = PartLetters(
                parts,
                org="insurer",
                network=self.city.node.network,
                keys={KEY.public_key: KEY.private_key},
                box=self.insurers_box,
                view=self.city.node.view,
                clock=lambda: self.city.now,
            )
            yield desk, parts


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    with City(tmp_path / "city", more=[founder("insurer", "bills.lock")]) as city:
        city.act(
            "insurer",
            "members.set_delivery_key",
            SetDeliveryKey(nonce=city.nonce(), key=KEY.public_key),
        )
        with Wallet.create(tmp_path / "ann", city.node.network) as ann:
            with city.desk() as (office, _):
                draft = city.draft(1)
                office.register(draft.payer, ann.address(HOSPITAL, at=city.now))
                (issued,) = office.issue([draft])
                office.deliver(city.box)
            with city.node.view() as view:
                ann.receive(city.box / WALLETS, view, at=city.now)
            made = Case(city, ann, issued.code, issued.number)
            made.consent()
            yield made


def owed_to_readers(office: Office) -> list[str]:
    found = office.vault.outbox.owed(to=lambda receiver: receiver.startswith(READER))
    return [each.message.receiver for each in found]


def test_exactly_the_fields_that_were_allowed_come_to_the_reimburser(case: Case) -> None:
    with case.city.office() as office, case.insurer() as (desk, parts):
        made = office.sharing.promise(case.bill, case.basis)
        assert office.sharing.promise(case.bill, case.basis) == made
        assert (made.audience, made.purpose) == ("insurer", "claim")
        assert office.deliver(case.routes()) == Sent(1, 0)
        assert desk.run_once().kept == [case.bill]
        (part,) = parts.of(case.bill)
        shown = values_of(part)
        assert {path.partition("/")[0] for path in shown} == {"items", "payer"}
        assert [path for path in shown if path.startswith("payer")] == ["payer/name"]
        office.sharing.promise(case.bill, case.basis)
        assert office.deliver(case.routes()) == Sent(0, 0), "once"
        (read,) = [
            one for one in office.vault.reads(case.code, case.number) if one.who == "insurer"
        ]
        assert (read.what, read.why) == ("disclosed", "claim")
        assert sorted(read.paths) == sorted(shown)


def test_the_secret_of_the_whole_body_stays_where_it_is(case: Case) -> None:
    with case.city.office() as office:
        secret = office.vault.get(case.code, case.number)[1]
        office.sharing.promise(case.bill, case.basis)
        office.deliver(case.routes())
    with case.insurer() as (desk, parts):
        desk.run_once()
        (part,) = parts.of(case.bill)
    assert secret not in b"".join(each.encode() for each in part.disclosures)
    files = [path for path in (case.city.folder / "parts").rglob("*") if path.is_file()]
    name = values_of(part)["payer/name"].encode()
    assert files and not any(name in path.read_bytes() for path in files)


def test_nothing_is_sent_once_the_consent_has_ended(case: Case) -> None:
    with case.city.office() as office, case.insurer() as (desk, _):
        office.sharing.promise(case.bill, case.basis)
        case.revoke()
        assert office.deliver(case.routes()) == Sent(0, 1)
        assert list(mail.collect(case.insurers_box)) == []
        assert owed_to_readers(office) == ["reader:insurer"]
        assert office.sharing.review() == Reviewed(0, 1)
        assert owed_to_readers(office) == []
        assert desk.run_once().kept == []
        with pytest.raises(Rejected):
            office.sharing.promise(case.bill, case.basis)


def test_what_has_ended_holds_up_nothing_that_goes_the_same_way(case: Case) -> None:
    with case.city.office() as office:
        office.sharing.promise(case.bill, case.basis)
        case.revoke()
        case.consent(purpose="appeal")
        office.sharing.promise(case.bill, case.basis)
        box = LetterBox(case.insurers_box, case.city.node.network, lambda: {KEY.public_key})
        with Served(box, case.city.now) as served:
            routes = Routes(case.city.box, {"insurer": Trusted(served.url)})
            assert office.deliver(routes) == Sent(1, 1)
        assert owed_to_readers(office) == ["reader:insurer"]
    with case.insurer() as (desk, parts):
        assert desk.run_once().kept == [case.bill]
        assert parts.of(case.bill)[0].purpose == "appeal"


def test_a_part_that_came_after_the_end_is_thrown_away(case: Case) -> None:
    with case.city.office() as office, case.insurer() as (desk, parts):
        office.sharing.promise(case.bill, case.basis)
        office.deliver(case.routes())
        case.revoke()
        told = desk.run_once()
        assert (told.kept, len(told.refused)) == ([], 1)
        assert parts.bills() == [] and list(mail.collect(case.insurers_box)) == []


def test_a_promise_never_leaves_as_it_lies_there(case: Case) -> None:
    with case.city.office() as office:
        office.sharing.promise(case.bill, case.basis)
        assert office.deliver(case.city.box) == Sent(0, 1), "no route: it is not the archive's"
        assert not list(case.insurers_box.rglob("*"))
        figures = owed_figures(office.vault, now=case.city.now)
        assert [(each.receiver, each.owed) for each in figures.owed] == [("insurer", 1)]


def test_only_what_opens_the_consent_is_promised(case: Case) -> None:
    fields = case.ann.acts.fields(case.act)
    assert fields is not None
    wider = replace(fields, paths=["items/*", "payer/id_number", "payer/name"])
    with case.city.office() as office:
        with pytest.raises(VerificationFailed):
            office.sharing.promise(case.bill, replace(case.basis, fields=wider))
        with pytest.raises(Rejected):
            office.sharing.promise("33060126:0000000099", case.basis)
        with pytest.raises(Rejected):
            office.sharing.promise(case.bill, replace(case.basis, consent="ab" * 32))
        assert owed_to_readers(office) == []


def test_nothing_that_is_for_another_reader_is_kept(case: Case) -> None:
    case.consent(reader="finance")
    with case.city.office() as office, case.insurer() as (desk, _):
        basis = case.basis
        made = Promise(bill=case.bill, audience="insurer", purpose="claim", basis=basis)
        sharing = office.sharing
        promised = sharing.promise(case.bill, basis)
        assert promised.audience == "finance"
        (message,) = [
            each.message for each in office.vault.outbox.owed(to=lambda to: to.startswith(READER))
        ]
        letter = sharing.letter(changed(message, data=encode(made)))
        mail.post_messages(_made(case.insurers_box), [letter.data])
        told = desk.run_once()
        assert (told.kept, told.refused) == ([], ["basis: nothing lets us read it now"])


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_an_ordered_erasure_reaches_what_the_reimburser_keeps(case: Case) -> None:
    with case.city.office() as office, case.insurer() as (desk, parts):
        office.sharing.promise(case.bill, case.basis)
        office.deliver(case.routes())
        desk.run_once()
        (part,) = parts.of(case.bill)
        order = OrderErasure(
            nonce=case.city.nonce(),
            bill=case.bill,
            basis="legal_order",
            reason="court",
            order=sha256(b"order").digest(),
            copies=[HOSPITAL],
        )
        case.city.act("finance", "bills.order_erasure", order)
        assert desk.run_once().erased == [case.bill]
        assert parts.of(case.bill) == []
        mail.post_messages(case.insurers_box, [])
        assert not parts.put(part, at=case.city.now), "it does not come back"


def test_mandates_too(case: Case) -> None:
    until = format_instant(case.city.now + 86_400)
    made = case.ann.acts.mandate(
        reader="insurer", purpose="claim", fields=FIELDS, until=until, now=case.city.now
    )
    assert case.city.relay(made) == "accepted"
    key = case.ann.key(case.city.bill(case.code, case.number), case.city.now)
    assert key is not None
    basis = Basis(mandate=made.act, fields=case.ann.acts.fields(made.act), opening=key.opening)
    with case.city.office() as office, case.insurer() as (desk, parts):
        office.sharing.promise(case.bill, basis)
        office.deliver(case.routes())
        assert desk.run_once().kept == [case.bill]
        assert parts.of(case.bill)[0].basis == basis
