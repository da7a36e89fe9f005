"""Finance's archive over a real node: what it takes, what it says, what no file shows to anyone."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import pytest
from cryptography.hazmat.primitives import hashes
from offices import ARCHIVE_KEY, DELIVERY, HOSPITAL, VAULT_KEY, City, signer

from tallystick.apps.bills.acts import Replacement, Reversal
from tallystick.apps.bills.archive_office import PATIENCE_SECONDS
from tallystick.apps.bills.catalogue import TYPES, Scene
from tallystick.apps.bills.generate import make_refund
from tallystick.apps.bills.holders import derive_holder_key
from tallystick.apps.bills.office import Office
from tallystick.contracts.bills.body import Body, Code, Issuer, Payer, Settlement, Text
from tallystick.contracts.bills.identifiers import resident_id_check
from tallystick.contracts.bills.items.bills import Issue, Reverse
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import Exceptions, format_bill_id
from tallystick.contracts.bills.views.bills import find_bills
from tallystick.engines.keeper import Keeper
from tallystick.ledger.backup import backup
from tallystick.ledger.feed import FeedBlock, pack_frame
from tallystick.ledger.portable import export_ledger
from tallystick.node import FEED, open_keeper
from tallystick.protocol.canonical import Record, decode, replace
from tallystick.protocol.errors import VerificationFailed
from tallystick.protocol.transaction import Item, sign_transaction
from tallystick.protocol.values import format_instant
from tallystick.vault import Expected, Head, Letter, mail, open_delivery, seal_delivery

CODE = 33060126


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    scenes: tuple[Scene, ...] = ("outpatient", "inpatient", "checkup")
    with City(tmp_path, scenes={scene: TYPES[scene].rules for scene in scenes}) as made:
        yield made


def letters(city: City) -> list[Path]:
    return sorted(city.box.glob("*.sealed"))


def below(city: City) -> int:
    row = city.issuer()
    return row.below if row else 0


def test_everything_arrives_and_is_said_to_be_archived(city: City) -> None:
    with city.office() as office, city.archive() as archive:
        issued = office.issue(city.draft(seed) for seed in range(100))
        assert office.status(CODE, 1).word == "issuing"
        assert office.deliver(city.box).delivered == 100
        done = archive.run_once()
        assert (done.archived, done.proposed, done.details) == (100, 1, [])
        assert letters(city) == []
        row = city.issuer()
        assert row is not None and row.exceptions == []
        assert row.below > max(one.entry or 0 for one in issued)
        assert {office.status(one.code, one.number).word for one in issued} == {"issued"}
        body, secret = archive.archive.get(CODE, 1)
        assert (body, secret) == office.vault.get(CODE, 1)
        again = archive.run_once()
        assert (again.records, again.proposed) == (0, 0), "its own act is no news"


def test_letters_before_their_records_wait(city: City) -> None:
    before = city.folder / "before"
    backup(city.node.folder, before)
    with city.office() as office, city.archive(ledger=before) as archive:
        office.issue([city.draft(1)])
        office.deliver(city.box)
        done = archive.run_once()
        assert (done.waiting, done.proposed) == (1, 0)
        assert letters(city) == []
    with city.archive() as archive:
        assert archive.run_once().archived == 1


def test_a_ledger_out_of_a_backup_is_waited_for(city: City) -> None:
    before = city.folder / "before"
    backup(city.node.folder, before)
    with city.office() as office, city.archive() as archive:
        office.issue([city.draft(1)])
        assert archive.run_once().records == 1
        office.deliver(city.box)
        told = archive.archive.told
    with city.archive(ledger=before) as archive:
        done = archive.run_once()
        assert done.behind > 0
        assert (done.archived, done.waiting, done.turned_away, done.proposed) == (0, 0, 0, 0)
        assert (archive.archive.told, len(letters(city))) == (told, 1)
    with city.archive() as archive:
        assert archive.run_once().archived == 1


def test_a_ledger_of_another_history_is_not_read(city: City, tmp_path: Path) -> None:
    with city.office() as office, city.archive() as archive:
        office.issue([city.draft(1)])
        archive.run_once()
        told = archive.archive.told
    scenes: tuple[Scene, ...] = ("outpatient", "inpatient", "checkup")
    with City(tmp_path / "other", scenes={each: TYPES[each].rules for each in scenes}) as other:
        assert other.node.network == city.node.network
        with other.office() as office:
            office.issue([other.draft(2)])
            office.issue([other.draft(3)])
        with city.archive(ledger=other.node.folder) as archive:
            with pytest.raises(VerificationFailed, match="another root"):
                archive.run_once()
            assert archive.archive.told == told


def test_red_bills_and_replacements_are_archived_too(city: City) -> None:
    with city.office() as office, city.archive() as archive:
        act(city, office)
        office.deliver(city.box)
        done = archive.run_once()
        assert (done.wrong, done.turned_away, done.details) == (0, 0, [])
        with city.node.view() as view:
            rows = [
                row for code in (CODE, 33060326, 33061426) for row in find_bills(view, code, 1, 99)
            ]
        assert {row.state for row in rows} == {"issued", "partly_reversed", "reversed", "red"}
        assert done.archived == len(rows) == 11, "a body is held against its bill as issued"
        assert below(city) > max(row.entry or 0 for row in rows)
        assert archive.archive.findings() == []
        assert archive.archive.find_unreversed() == []


def act(city: City, office: Office) -> None:
    """Bills of several kinds, reversed in part and whole, replaced, and replaced again."""
    one, two, three = office.issue([city.draft(seed) for seed in range(3)])
    office.issue([city.draft(50, "inpatient")])
    check = office.issue([city.draft(60, "checkup")])[0]
    whole = decode(office.vault.get(check.code, check.number)[0], Body)
    part = make_refund(whole, 100)
    acts = [
        *office.reverse([Reversal(CODE, one.number, "refund")]),
        *office.reverse([Reversal(check.code, check.number, "refund", part)]),
    ]
    same = replace(city.draft(70), business_codes=city.draft(1).business_codes)
    first = office.replace([Replacement(CODE, two.number, "wrong_data", same)])[0]
    second = office.replace([Replacement(CODE, first.number, "wrong_data", same)])[0]
    assert all(each.accepted for each in (*acts, first, second, three))


def test_a_restarted_archive_goes_on_where_it_was(city: City) -> None:
    with city.office() as office:
        with city.archive() as archive:
            act(city, office)
            office.deliver(city.box)
            archive.run_once()
        office.issue([city.draft(80)])
        office.deliver(city.box)
        with city.archive() as archive:
            done = archive.run_once()
            assert (done.archived, done.proposed) == (1, 1)


def test_a_crash_between_two_steps_of_reading_leaves_nothing_out(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.apps.bills.accepted.RECORDS_AT_ONCE", 2)
    with city.office() as office:
        act(city, office)
        office.deliver(city.box)
        crashed, size = 0, 0
        while True:
            with city.archive() as archive:
                monkeypatch.setattr(archive.archive, "expect", once(archive.archive.expect))
                try:
                    assert archive.run_once().archived == 11
                    break
                except Crash:
                    crashed += 1
                    assert archive.archive.told[0] > size, "and so it comes to an end"
                    size = archive.archive.told[0]
        assert crashed >= 4
        with city.archive() as archive:
            assert archive.run_once().records == 0
            assert archive.archive.find_unreversed() == []


def once(tell: Callable[..., None]) -> Callable[..., None]:
    """The same, but whoever calls it a second time finds the process ended."""
    told: list[bool] = []

    def tell_once(entries: list[Expected], **more: Any) -> None:
        if told:
            raise Crash
        tell(entries, **more)
        told.append(True)

    return tell_once


class Crash(Exception):
    """The process ends here."""


def keep_up(city: City, keeper: Keeper) -> None:
    """Step until the keeper has all that the node committed."""
    for _ in range(1_000):
        keeper.step()
        if keeper.ledger.head == city.node.ledger.head:
            return
        time.sleep(0.01)
    raise AssertionError("the keeper does not catch up")


def forged(city: City) -> FeedBlock:
    """A block behind the true ones with a bill, and the end of another, that a stranger signed."""
    named: dict[str, Any] = {"code": CODE, "level": 3, "first": 1, "type_version": 1, "total": 1}
    named |= {"issued_at": format_instant(city.now), "root": bytes(32)}
    issue = Issue(nonce=bytes(16), number=500, currency="CNY", holder=bytes(32), **named)
    blue = format_bill_id(CODE, 1)
    reverse = Reverse(nonce=bytes(16), number=501, bill=blue, version=1, reason="refund", **named)
    acts: list[tuple[str, Item]] = [("bills.issue/1", issue), ("bills.reverse/1", reverse)]
    head = city.node.ledger.head
    return FeedBlock(
        block=head.block + 1,
        at=city.now,
        size=head.size + 3,
        root=bytes(32),
        state=bytes(32),
        transactions=[
            sign_transaction(
                signer("stranger"),
                network=city.node.network,
                sender=HOSPITAL,
                action=action,
                items=[item],
                idempotency=bytes([n]) * 16,
                valid_until=format_instant(city.now + 600),
            )
            for n, (action, item) in enumerate(acts)
        ],
        refused=[{}, {}],
    )


def test_of_a_forged_block_the_archive_learns_nothing(city: City) -> None:
    kept, feed = city.folder / "kept", city.folder / "forged-feed"
    told: dict[str, Any] = {"network": city.node.network, "clock": city.clock()}
    with city.office() as office:
        issued = office.issue(city.draft(seed) for seed in range(2))
        office.deliver(city.box)
        with open_keeper(kept, city.node.folder / FEED, signer("k"), **told) as keeper:
            keep_up(city, keeper)
        true, block = city.node.ledger.head, forged(city)
        shutil.copytree(city.node.folder / FEED, feed)
        with (feed / "blocks" / "0000000001").open("ab") as file:
            file.write(pack_frame(block))
        with open_keeper(kept, feed, signer("k"), **told) as keeper:
            assert keeper.step() == 0, "a block that no checkpoint has is not executed"
            assert keeper.ledger.head == true
        head = Head(
            network=city.node.network,
            tx="0" * 64,
            n=0,
            to=DELIVERY.public_key,
            purpose="archive",
        )
        letter = Letter(CODE, 500, b"{}", bytes(32))
        mail.post_messages(city.box, [seal_delivery(head, letter)])
        with city.archive(ledger=kept) as archive:
            done = archive.run_once()
            assert (done.records, done.archived, done.waiting) == (2, 2, 1)
            assert archive.archive.told == (true.size, true.root)
            assert archive.archive.issuers() == [(HOSPITAL, issued[1].entry)]
        assert office.issue([city.draft(7)])[0].accepted, "the true block in the forged one's place"
        assert city.node.ledger.head.block > block.block - 1
        office.deliver(city.box)
        with open_keeper(kept, city.node.folder / FEED, signer("k"), **told) as keeper:
            keep_up(city, keeper)
            with city.archive(ledger=kept) as archive:  # while the keeper has it open
                done = archive.run_once()
                assert (done.records, done.archived, done.waiting) == (1, 1, 0)


def test_an_altered_delivery_is_turned_away_and_can_be_owed_again(city: City) -> None:
    with city.office() as office, city.archive() as archive:
        office.issue([city.draft(1), city.draft(2)])
        office.deliver(city.box, limit=1)
        office.deliver(city.box)
        path = letters(city)[0]
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        done = archive.run_once()
        assert (done.archived, done.turned_away) == (1, 1)
        assert letters(city) == [], "it proves nothing against anyone, and is not kept"
        city.now += PATIENCE_SECONDS
        assert office.deliver_again() == 0, "nobody has missed it yet"
        archive.run_once()
        row = city.issuer()
        assert row is not None
        missing = [(each.code, each.numbers) for each in row.exceptions]
        assert missing in ([(CODE, [1])], [(CODE, [2])])
        lost = missing[0][1][0]
        assert [office.status(CODE, n).word for n in (lost, 3 - lost)] == ["issuing", "issued"]
        assert office.deliver_again() == 1
        office.deliver(city.box)
        assert archive.run_once().archived == 1
        row = city.issuer()
        assert row is not None and row.exceptions == []
        assert office.status(CODE, lost).word == "issued"


def test_a_missing_body_holds_back_for_a_while_and_is_then_named(city: City) -> None:
    with city.office() as office, city.archive() as archive:
        issued = office.issue(city.draft(seed) for seed in range(3))
        office.deliver(city.box)
        lose(city, issued[1].number)
        archive.run_once()
        assert below(city) == issued[1].entry, "all before it is checked"
        city.now += PATIENCE_SECONDS
        archive.run_once()
        row = city.issuer()
        assert row is not None
        assert row.below > (issued[2].entry or 0)
        assert row.exceptions == [Exceptions(code=CODE, numbers=[issued[1].number])]


def lose(city: City, number: int) -> None:
    """Lose the message about a bill: only the archive's key tells which one it is."""
    (letter,) = mail.collect(city.box)
    keys = {DELIVERY.public_key: DELIVERY.private_key}
    left = [
        message
        for message in mail.unpack(letter.data)
        if open_delivery(message, keys)[1].number != number
    ]
    mail.remove(city.box, [letter])
    mail.post_messages(city.box, left)


def test_a_body_that_breaks_a_rule_is_a_finding_and_stays_an_exception(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An issuer that does not check its bodies commits to lines without their class."""
    monkeypatch.setattr("tallystick.apps.bills.acts.check_body", lambda *_: None)
    with city.office() as office, city.archive() as archive:
        draft = city.draft(1)
        plain = tuple(replace(line, insurance_class=None) for line in draft.details)
        assert office.issue([replace(draft, details=plain), city.draft(2)])[0].accepted
        office.deliver(city.box)
        done = archive.run_once()
        assert (done.wrong, done.archived) == (1, 1)
        ((_, finding),) = archive.archive.findings()
        assert (finding.reason, finding.path) == (
            BillsReason.CLASS_INVALID,
            "details/0/insurance_class",
        )
        city.now += PATIENCE_SECONDS
        archive.run_once()
        archive.run_once()
        row = city.issuer()
        assert row is not None and row.exceptions == [Exceptions(code=CODE, numbers=[1])]
        assert office.status(CODE, 2).word == "issued"


# -------------------------------------------------------------------------------- canaries

PLAIN = {(Issuer, "name"), (Issuer, "credit_code"), (Issuer, "institution_type")}
"""Who issued it stands on the ledger anyway."""
R = TypeVar("R", bound=Record)


def planted(record: R) -> R:
    """The same with a canary in every free text and every identifier of somebody's systems."""
    hints = get_type_hints(type(record), include_extras=True)
    values = {
        name: f"CANARY-{type(record).__name__}-{name}"
        for name in record.__struct_fields__
        if hints[name] in (Text, Code, Code | None) and (type(record), name) not in PLAIN
    }
    return replace(record, **values)


def canary(city: City) -> Body:
    """A bill in which every private field has a canary."""
    draft = planted(city.draft(1))
    digits = "99001219750305991"
    payer = planted(Payer(party="person", name="", id_type="resident_id"))
    assert draft.medical is not None
    return replace(
        draft,
        payer=replace(payer, id_number=digits + resident_id_check(digits)),
        business_codes=("CANARY-business",),
        settlement=planted(Settlement(tag="", part=1, of=1)),
        check_code="CanaryCheck7",
        items=tuple(planted(line) for line in draft.items),
        details=tuple(planted(line) for line in draft.details),
        medical=planted(draft.medical),
    )


def leaves(value: object) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each)


def spellings(secret: bytes) -> Iterator[bytes]:
    """A value as it might slip out: raw, hex, base64 at each offset, and its plain hashes."""
    sm3 = hashes.Hash(hashes.SM3())
    sm3.update(secret)
    for value in (secret, hashlib.sha256(secret).digest(), sm3.finalize()):
        yield value
        yield value.hex().encode()
        yield value.hex().upper().encode()
        for before in range(3):
            cut = base64.b64encode(b"\0" * before + value)[4 if before else 0 : -4]
            yield cut
            yield cut.replace(b"+", b"-").replace(b"/", b"_")


def test_no_file_or_log_of_anyone_shows_a_private_value_or_key(
    city: City, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="tallystick")
    with city.office() as office, city.archive() as archive:
        draft = canary(city)
        blue = office.issue([draft])[0]
        assert blue.accepted, blue
        key = office.bill_key(CODE, blue.number)
        body, secret = office.vault.get(CODE, blue.number)
        same = replace(draft, total_rounding=draft.total_rounding)
        office.deliver(city.box, limit=0)
        replaced = office.replace([Replacement(CODE, blue.number, "wrong_data", same)])[0]
        assert replaced.accepted, replaced
        office.deliver(city.box)
        posted = city.folder / "posted"
        posted.mkdir()
        for path in letters(city):
            (posted / path.name).write_bytes(path.read_bytes())
        assert archive.run_once().archived == 3
        receipt = city.folder / "receipt.json"
        index = replaced.entry or 0
        until(lambda: max(city.node.publisher.sizes(), default=0) > index)
        receipt.write_bytes(city.node.receipt(index))
        export_ledger(city.node.folder, city.folder / "exported")
        backup(city.node.folder, city.folder / "backed-up")
        texts = {text for text in leaves(json.loads(body)) if "CANARY" in text.upper()}
        assert len(texts) >= 25, sorted(texts)
        hidden = [text.encode() for text in (*sorted(texts), draft.payer.id_number)]
        hidden += [secret, key.seed, key.salt, VAULT_KEY, ARCHIVE_KEY]
        hidden += [derive_holder_key(VAULT_KEY), body]
        needles = sorted({form for value in hidden for form in spellings(value)})
        logging.getLogger("tallystick").debug("the logs are looked at")
        assert "the logs are looked at" in caplog.text
        assert search_one(caplog.text.encode(), needles) == []
        seen = search(city.folder, needles)
        assert len(seen) > 15, "vault, archive, node, feed, box, mail: all were looked at"
        assert any("exported/tile/" in path for path in seen), "and the export with its tiles"
        assert "backed-up/ledger.db" in seen, "and the backup"
        assert {path: found for path, found in seen.items() if found} == {}
        assert search_one(body, [b"CANARY-Payer-name"]), "the search finds what is there"


def search(folder: Path, needles: list[bytes]) -> dict[str, list[bytes]]:
    """Every file with what was found in it, databases with their write-ahead logs."""
    return {
        str(path.relative_to(folder)): search_one(path.read_bytes(), needles)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def search_one(data: bytes, needles: list[bytes]) -> list[bytes]:
    return [needle for needle in needles if needle in data]


def until(happened: Callable[[], bool]) -> None:
    """Publishing is off the way of the blocks."""
    for _ in range(500):
        if happened():
            return
        time.sleep(0.01)
    raise AssertionError("not within five seconds")
