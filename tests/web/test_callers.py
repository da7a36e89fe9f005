"""Who asks: by the ledger as it is now, and never more than key, pass and grants allow together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from acts import Acts, founder
from asking import HOST, Sent, ask, signer

from tallystick.client.passes import BILLS_READ, LEDGER_READ, Pass, make_pass, read_pass
from tallystick.contracts.kit.grants import Authority
from tallystick.contracts.kit.keys import BlockScope, KeyRow, find_key
from tallystick.contracts.members import DOMAIN
from tallystick.contracts.members.actions.keepers import AddKeeper, RetireKeeper
from tallystick.contracts.members.actions.keys import AddKey, RevokeKey
from tallystick.contracts.members.actions.orgs import Suspend
from tallystick.contracts.members.records import NewKey
from tallystick.protocol.canonical import encode
from tallystick.protocol.errors import Malformed, Rejected, VerificationFailed
from tallystick.protocol.values import format_instant
from tallystick.web import callers
from tallystick.web.callers import ANONYMOUS, Caller, Door, Stranger, allows
from tallystick.web.nonces import STRANGER_REQUESTS_MAX, NonceStore
from tallystick.web.reasons import WebReason
from tallystick.web.requests import RequestVerifier
from tallystick.web.revoked import REVOKED_MAX, Revoked

DAY = 86_400
CODE, OTHER = 33060126, 44010126
BEARER = "authorization"


class World(Acts):
    """Finance and a hospital; an inspector that may read bills of one region; a door to them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            domains=[DOMAIN],
            organisations=[
                founder("finance", "*"),
                founder("hospital", "bills.issue"),
                founder("inspector", "bills.read", "ledger.read"),
            ],
        )
        self.folder = folder
        self.made = 0
        self.nonces = NonceStore(folder / "nonces.db", lambda: self.at)
        self.revoked = Revoked(folder / "revoked.db")
        self.door = self.another_door()

    def another_door(self, **more: Any) -> Door:
        named: dict[str, Any] = {"nonces": self.nonces, "revoked": self.revoked} | more
        clock = lambda: self.at  # noqa: E731
        verifier = RequestVerifier([HOST], clock)
        return Door(self.view, self.network, verifier=verifier, clock=clock, **named)

    @contextmanager
    def view(self) -> Iterator[Any]:
        yield self.rows

    def close(self) -> None:
        self.nonces.close()
        self.revoked.close()

    def sent(self, name: str, **more: Any) -> Sent:
        self.made += 1
        return ask(signer(name), created=self.at, nonce=self.made.to_bytes(16, "big"), **more)

    def let_in(self, sent: Sent, door: Door | None = None) -> Caller:
        where = door or self.door
        return where.ask(sent.method, sent.path, sent.query, sent.headers, sent.body)

    def caller(self, name: str, **more: Any) -> Caller:
        return self.let_in(self.sent(name, **more))

    def refusal(self, sent: Sent, door: Door | None = None) -> str:
        with pytest.raises(Rejected) as caught:
            self.let_in(sent, door)
        return caught.value.reason.value

    def key(self, org: str, name: str, *actions: str, **more: Any) -> None:
        """One more operating key of an organisation."""
        new = NewKey(key=signer(name).public_key, actions=list(actions), **more)
        item = AddKey(nonce=bytes(16), new=new)
        self.do(org, "members.add_key", item, key=f"{org}/root")

    def end_key(self, org: str, name: str) -> None:
        item = RevokeKey(nonce=bytes(16), key=signer(name).public_key, reason="compromised")
        self.do(org, "members.revoke_key", item, key=f"{org}/root")

    def pass_of(self, org: str, name: str = "", **more: Any) -> str:
        named: dict[str, Any] = {"may": [BILLS_READ], "now": self.at, "days": 30}
        named |= {"network": self.network, "org": org}
        return make_pass(signer(name or f"{org}/key"), **(named | more))

    def with_pass(self, token: str) -> Sent:
        return Sent(
            headers=((b"host", HOST.encode()), (b"authorization", f"Bearer {token}".encode()))
        )

    def allows(self, caller: Caller, action: str, code: int | None = None) -> bool:
        return allows(self.rows, caller, action, self.at, code)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path)) as made:
        yield made


# ------------------------------------------------------------------------------ by a signature


def test_a_member_is_known_by_its_operating_key(world: World) -> None:
    caller = world.caller("hospital/key")
    assert (caller.kind, caller.org, caller.name) == ("member", "hospital", "hospital")
    assert caller.by == f"key:{signer('hospital/key').public_key.hex()}"
    assert caller.own() and caller.own(CODE)


def test_a_request_is_answered_once_whichever_worker_gets_it(world: World) -> None:
    sent = world.sent("hospital/key")
    world.let_in(sent)
    assert world.refusal(sent) == WebReason.REPLAYED
    with closing(NonceStore(world.folder / "nonces.db", lambda: world.at)) as other:
        assert world.refusal(sent, world.another_door(nonces=other)) == WebReason.REPLAYED


def test_what_is_refused_takes_no_nonce(world: World) -> None:
    body = world.sent("hospital/key", method="POST", body=b"one")
    assert world.refusal(body.but(body=b"two")) == WebReason.DIGEST
    world.let_in(body)
    stranger = world.sent("nobody")
    assert [world.refusal(stranger) for _ in range(2)] == [WebReason.KEY] * 2


def test_nobody_and_nonsense(world: World) -> None:
    bare = Sent(headers=((b"host", HOST.encode()),))
    assert world.let_in(bare) is ANONYMOUS
    assert world.let_in(bare.having(BEARER, "Basic dXNlcjpwYXNz")) is ANONYMOUS
    assert not world.allows(ANONYMOUS, BILLS_READ, CODE)
    assert world.refusal(bare.having("signature", "x")) == WebReason.SIGNATURE
    both = world.sent("hospital/key").having(BEARER, f"Bearer {world.pass_of('hospital')}")
    assert world.refusal(both) == WebReason.SIGNATURE


def test_the_operators_log_key_asks_for_its_own_ledger_and_nothing_else(world: World) -> None:
    caller = world.caller("log")
    assert (caller.kind, caller.org, caller.own()) == ("log", None, True)
    assert world.allows(caller, LEDGER_READ)
    assert not world.allows(caller, BILLS_READ)


@pytest.mark.parametrize("name", ["hospital/root", "nobody"])
def test_other_keys_ask_nothing(world: World, name: str) -> None:
    assert world.refusal(world.sent(name)) == WebReason.KEY


def test_a_key_that_ended_asks_no_more(world: World) -> None:
    until = format_instant(world.at + 100)
    world.key("hospital", "till", "bills.issue", until=until)
    world.caller("till")
    world.at += 100
    assert world.refusal(world.sent("till")) == WebReason.KEY
    world.end_key("hospital", "hospital/key")
    assert world.refusal(world.sent("hospital/key")) == WebReason.KEY


def test_a_keeper_reads_the_ledger_until_it_is_retired(world: World) -> None:
    key = signer("keeper").public_key
    add = AddKeeper(nonce=bytes(16), name="k/a", org="finance", key=key)
    world.do("finance", "members.add_keeper", add)
    caller = world.caller("keeper")
    assert (caller.kind, caller.org) == ("keeper", "finance")
    assert world.allows(caller, LEDGER_READ) and not world.allows(caller, BILLS_READ)
    retire = RetireKeeper(nonce=bytes(16), name="k/a", reason="replaced")
    world.do("finance", "members.retire_keeper", retire)
    assert world.refusal(world.sent("keeper")) == WebReason.KEY


def test_a_key_is_read_again_whenever_the_ledger_has_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    door, read = world.another_door(moment=lambda reader: world.block), list[bytes]()

    def counting(reader: Any, key: bytes) -> KeyRow | None:
        read.append(key)
        return find_key(reader, key)

    monkeypatch.setattr(callers, "find_key", counting)
    for _ in range(3):
        world.let_in(world.sent("hospital/key"), door)
    assert len(read) == 1
    world.end_key("hospital", "hospital/key")
    assert world.refusal(world.sent("hospital/key"), door) == WebReason.KEY
    assert world.refusal(world.sent("hospital/key"), door) == WebReason.KEY


# --------------------------------------------------------------------------------- by a grant


def test_a_grant_lets_read_what_it_covers_and_no_more(world: World) -> None:
    assert world.allows(world.caller("inspector/key"), BILLS_READ, CODE)
    assert world.allows(world.caller("finance/key"), LEDGER_READ)
    assert not world.allows(world.caller("hospital/key"), BILLS_READ, CODE)


def test_a_key_allows_no_more_than_it_is_for(world: World) -> None:
    world.key("inspector", "narrow", "bills.read", codes=[33])
    narrow = world.caller("narrow")
    assert world.allows(narrow, BILLS_READ, CODE)
    assert not world.allows(narrow, BILLS_READ, OTHER) and not world.allows(narrow, BILLS_READ)
    assert not world.allows(narrow, LEDGER_READ, CODE)
    assert narrow.own(CODE) and not narrow.own(OTHER) and not narrow.own()
    world.key("inspector", "till", "*", block=BlockScope(code=CODE, level=4, first=1))
    till = world.caller("till")
    assert world.allows(till, BILLS_READ, CODE) and not world.allows(till, BILLS_READ, OTHER)


def test_the_suspended_have_no_grants_but_keep_what_is_their_own(world: World) -> None:
    item = Suspend(nonce=bytes(16), org="inspector", version=1, reason="violation")
    member_version = world.do("finance", "members.suspend", item)
    assert member_version
    caller = world.caller("inspector/key")
    assert not world.allows(caller, BILLS_READ, CODE)
    assert caller.own(CODE)
    held = world.rows.get("kit.authority/inspector", Authority)
    assert held is not None and not held.good


# -------------------------------------------------------------------------------- by a pass


def test_a_pass_reads_what_it_says(world: World) -> None:
    token = world.pass_of("inspector", codes=[33])
    world.let_in(world.with_pass(token))
    caller = world.let_in(world.with_pass(token))  # no signature, so it may be used again
    assert (caller.kind, caller.org) == ("member", "inspector")
    assert caller.by == f"pass:{read_pass(token).id.hex()}"
    assert world.allows(caller, BILLS_READ, CODE)
    assert not world.allows(caller, BILLS_READ, OTHER)
    assert not world.allows(caller, LEDGER_READ, CODE)
    assert not world.allows(caller, "bills.issue", CODE)
    assert caller.own(CODE) and not caller.own(OTHER)


def test_a_pass_of_one_word_does_not_read_its_organisations_bills(world: World) -> None:
    caller = world.let_in(world.with_pass(world.pass_of("inspector", may=[LEDGER_READ])))
    assert world.allows(caller, LEDGER_READ, CODE) and not caller.own(CODE)


def test_a_pass_allows_no_more_than_its_key_and_its_organisation(world: World) -> None:
    world.key("inspector", "narrow", "bills.read", codes=[33])
    token = world.pass_of("inspector", "narrow", may=[BILLS_READ, LEDGER_READ])
    caller = world.let_in(world.with_pass(token))
    assert world.allows(caller, BILLS_READ, CODE)
    assert not world.allows(caller, BILLS_READ, OTHER)
    assert not world.allows(caller, LEDGER_READ, CODE)
    poor = world.let_in(world.with_pass(world.pass_of("hospital")))
    assert not world.allows(poor, BILLS_READ, CODE) and poor.own(CODE)


def test_a_pass_ends_with_its_time(world: World) -> None:
    sent = world.with_pass(world.pass_of("hospital", days=1))
    world.let_in(sent)
    world.at += DAY
    assert world.refusal(sent) == WebReason.PASS_ENDED
    early = world.pass_of("hospital", now=world.at + 3600)
    assert world.refusal(world.with_pass(early)) == WebReason.PASS_ENDED


def test_a_pass_ends_everywhere_with_its_key(world: World) -> None:
    sent = world.with_pass(world.pass_of("hospital"))
    world.let_in(sent)
    world.end_key("hospital", "hospital/key")
    assert world.refusal(sent) == WebReason.PASS_ENDED


def test_a_pass_ends_here_at_once_for_every_worker_and_for_good(world: World) -> None:
    token = world.pass_of("hospital")
    sent, pass_id = world.with_pass(token), read_pass(token).id
    other = world.another_door(revoked=Revoked(world.folder / "revoked.db"))
    world.let_in(sent), world.let_in(sent, other)
    world.revoked.revoke("inspector", pass_id, world.at)
    world.let_in(sent)
    world.revoked.revoke("hospital", pass_id, world.at)
    world.revoked.revoke("hospital", pass_id, world.at)
    for door in (
        world.door,
        other,
        world.another_door(revoked=Revoked(world.folder / "revoked.db")),
    ):
        assert world.refusal(sent, door) == WebReason.PASS_ENDED
    world.let_in(world.with_pass(world.pass_of("hospital")))


def test_an_organisation_revokes_a_bounded_number(world: World) -> None:
    with world.revoked._db as db:
        db.executemany(
            "INSERT INTO revoked VALUES ('hospital', ?, 0)",
            [(n.to_bytes(16, "big"),) for n in range(REVOKED_MAX)],
        )
    world.revoked.revoke("hospital", bytes(16), world.at)
    world.revoked.revoke("inspector", b"x" * 16, world.at)
    with pytest.raises(Rejected) as caught:
        world.revoked.revoke("hospital", b"x" * 16, world.at)
    assert caught.value.reason is WebReason.CROWDED


def test_no_pass_but_that_of_a_members_operating_key(world: World) -> None:
    for name in ("hospital/root", "log", "nobody", "inspector/key"):
        token = world.pass_of("hospital", name)
        assert world.refusal(world.with_pass(token)) == WebReason.PASS
    own = world.pass_of("hospital", network=bytes(32))
    assert world.refusal(world.with_pass(own)) == WebReason.PASS


def test_a_changed_pass_is_none(world: World) -> None:
    token = world.pass_of("hospital")
    places = [*range(0, len(token), 7), len(token) - 1]
    for at in places:
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        assert world.refusal(world.with_pass(changed)) == WebReason.PASS
    for bad in (".", token + "=", token + ".x", token[:-1], "x" * 1_000_000, "\xe4.x"):
        assert world.refusal(world.with_pass(bad)) == WebReason.PASS
    twice = world.with_pass(token).having(BEARER, f"Bearer {token}")
    assert world.refusal(twice) == WebReason.PASS


def test_a_pass_is_for_reading_and_has_an_end(world: World) -> None:
    none: list[dict[str, Any]] = [
        {"may": ["bills.issue"]}, {"may": ["*"]}, {"may": []}, {"days": 0}, {"days": 401},
    ]  # fmt: skip
    for changes in none:
        with pytest.raises(Malformed):
            world.pass_of("hospital", **changes)
    assert read_pass(world.pass_of("hospital", days=400)).until == format_instant(
        world.at + 400 * DAY
    )
    with pytest.raises(VerificationFailed):
        read_pass(world.pass_of("hospital")[:-86] + world.pass_of("hospital")[-86:])


def test_what_is_logged_of_a_pass_is_its_id(world: World) -> None:
    token = world.pass_of("hospital")
    caller = world.let_in(world.with_pass(token))
    signature = token.partition(".")[2]
    assert signature not in repr(caller) and token not in repr(caller)
    assert isinstance(read_pass(token), Pass)
    assert encode(read_pass(token)).decode() not in repr(caller)


# --------------------------------------------------------------------------- of no member


def test_a_strangers_key_is_asked_about_and_has_few_requests(world: World) -> None:
    def strangers(reader: Any, key: bytes, shown: str, now: int) -> Stranger:
        if key != signer("bill").public_key:
            raise Rejected(WebReason.OPENING)
        return Stranger("holder", f"{CODE}:0000000001")

    door = world.another_door(strangers=strangers)
    caller = world.let_in(world.sent("bill", tally_bill_opening="abc"), door)
    assert (caller.kind, caller.org, caller.bill) == ("holder", None, f"{CODE}:0000000001")
    assert (caller.opening, caller.name) == ("abc", "holder")
    assert not world.allows(caller, BILLS_READ, CODE)
    assert world.refusal(world.sent("other bill"), door) == WebReason.OPENING
    for _ in range(STRANGER_REQUESTS_MAX - 1):
        world.let_in(world.sent("bill"), door)
    assert world.refusal(world.sent("bill"), door) == WebReason.CROWDED
