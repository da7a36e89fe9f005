"""Who asks, over real sockets and processes: replays on another worker, passes, holders, the log.

Invariant: nothing here is a stand-in; see `served`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from offices import HOSPITAL, VAULT_KEY, signer
from served import INSURER, OTHER, RealCity, client, now, serving

from tallystick.apps.bills.access import Shown, reads_of, show
from tallystick.apps.bills.holders import BillKey, bill_key, derive_holder_key
from tallystick.client.passes import BILLS_READ, LEDGER_READ, WithPass, make_pass, read_pass, revoke
from tallystick.client.signing import OPENING_HEADER, SignedBy, sign_request
from tallystick.client.sync import Client
from tallystick.contracts.bills.records.bills import Bill
from tallystick.keyring import KeySigner, signer_from_seed
from tallystick.protocol.errors import Rejected
from tallystick.serve import Served
from tallystick.web.access import Access, AccessLog
from tallystick.worker import WEB

TWO_WORKERS = "[listen]\nworkers = 2\n"


@dataclass(frozen=True)
class Town:
    """A city that is served by two processes, with two bills."""

    city: RealCity
    served: Served
    bills: list[Bill]

    def path(self, n: int = 0, more: str = "") -> str:
        code, _, number = self.bills[n].id.partition(":")
        return f"/api/v1/bills/{code}/{int(number)}{more}"

    def key_of(self, n: int) -> BillKey:
        root = self.bills[n].root
        assert root is not None
        return bill_key(derive_holder_key(VAULT_KEY), root)

    def get(self, auth: httpx2.Auth | None, path: str, **headers: str) -> tuple[int, str]:
        """Status, and the reason's code where there is one."""
        response = httpx2.get(self.served.url + path, auth=auth, headers=headers, trust_env=False)
        return response.status_code, code_of(response)

    def pass_of(self, org: str, *words: Any, **more: Any) -> str:
        named: dict[str, Any] = {"network": self.city.node.network, "now": now(), "days": 1}
        return make_pass(signer(f"{org}/key"), org=org, may=words, **(named | more))


def code_of(response: httpx2.Response) -> str:
    found: dict[str, Any] = response.json()
    return str(found.get("code", ""))


def asks(who: str | KeySigner) -> SignedBy:
    return SignedBy(signer(f"{who}/key") if isinstance(who, str) else who, now)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with RealCity(tmp_path_factory.mktemp("asking")) as city:
        with city.office() as office:
            issued = office.issue(city.draft(seed) for seed in (1, 2))
        bills = [city.bill(each.code, each.number) for each in issued]
        with serving(city, toml=TWO_WORKERS) as served:
            yield Town(city, served, bills)


def test_a_captured_request_is_answered_once_by_all_workers_together(town: Town) -> None:
    url = town.served.url + town.path()
    at = now()
    times: dict[str, Any] = {"created": at, "expires": at + 30, "nonce": secrets.token_bytes(16)}
    signed = sign_request("GET", url, {}, b"", signer(f"{HOSPITAL}/key"), **times)

    def send(_: int) -> tuple[int, str]:
        response = httpx2.get(url, headers=signed, trust_env=False)
        return response.status_code, code_of(response)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(32)))
    assert answers.count((200, "")) == 1
    assert set(answers) == {(200, ""), (401, "web.replayed")}


def test_it_is_for_this_path_and_this_host(town: Town) -> None:
    at = now()
    times: dict[str, Any] = {"created": at, "expires": at + 30, "nonce": secrets.token_bytes(16)}
    key = signer(f"{HOSPITAL}/key")
    signed = sign_request("GET", town.served.url + town.path(), {}, b"", key, **times)
    assert town.get(None, town.path(1), **signed) == (401, "web.signature")
    other = sign_request("GET", "http://other.example" + town.path(), {}, b"", key, **times)
    stolen = other | {"host": "other.example"}
    assert town.get(None, town.path(), **stolen) == (401, "web.authority")


def test_who_may_read_a_bill(town: Town) -> None:
    bill = town.path()
    assert town.get(None, bill) == (401, "web.unsigned")
    assert town.get(asks(HOSPITAL), bill) == (200, "")
    assert town.get(asks("finance"), bill) == (200, "")
    assert town.get(asks(OTHER), bill) == (403, "web.forbidden")
    assert town.get(asks(OTHER), town.path().rpartition("/")[0] + "/999") == (403, "web.forbidden")
    assert town.get(asks(signer("nobody")), bill) == (401, "web.key")


def test_a_holder_reads_its_own_bill_by_the_bills_key(town: Town) -> None:
    key = town.key_of(0)
    own = asks(signer_from_seed(key.seed))
    shown = {OPENING_HEADER: show(Shown(bill=town.bills[0].id, salt=key.salt))}
    assert town.get(own, town.path(), **shown) == (200, "")
    assert town.get(own, town.path(1), **shown) == (403, "web.forbidden")
    other = {OPENING_HEADER: show(Shown(bill=town.bills[1].id, salt=key.salt))}
    assert town.get(own, town.path(1), **other) == (403, "web.opening")
    assert town.get(own, town.path()) == (401, "web.key")


def test_a_pass_reads_within_its_grant_and_enters_nothing(town: Town) -> None:
    code = int(town.bills[0].id[:8])
    own = WithPass(town.pass_of(HOSPITAL, BILLS_READ, codes=[code]))
    assert [town.get(own, town.path()) for _ in range(2)] == [(200, "")] * 2
    elsewhere = WithPass(town.pass_of(HOSPITAL, BILLS_READ, codes=[44]))
    for auth in (elsewhere, WithPass(town.pass_of(OTHER, BILLS_READ, LEDGER_READ))):
        assert town.get(auth, town.path()) == (403, "web.forbidden")
    assert town.get(own, "/api/v1/feed/blocks?after=0&size=100") == (403, "web.forbidden")
    for path in ("/api/v1/transactions", "/api/v1/transactions/dry-run"):
        answer = httpx2.post(
            *(town.served.url + path,), auth=own, trust_env=False,
            content=b'{"header":{}}', headers={"content-type": "application/json"},
        )  # fmt: skip
        assert 400 <= answer.status_code < 500
    pass_id = read_pass(town.pass_of(HOSPITAL, BILLS_READ)).id
    with Client(town.served.url, auth=own) as asking, pytest.raises(Rejected) as caught:
        asking.run(revoke(pass_id))
    assert caught.value.reason == "web.forbidden"


def test_a_pass_that_its_organisation_ends_is_ended_at_all_workers_at_once(town: Town) -> None:
    token = town.pass_of(HOSPITAL, BILLS_READ)
    auth, pass_id = WithPass(token), read_pass(token).id
    with client(town.served, INSURER) as other:
        other.run(revoke(pass_id))
    assert town.get(auth, town.path()) == (200, "")
    with client(town.served, HOSPITAL) as own:
        assert own.run(revoke(pass_id)).id == pass_id
    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(lambda _: town.get(auth, town.path()), range(16)))
    assert answers == {(401, "web.pass_ended")}


def test_each_read_of_a_bill_stands_in_its_holders_log(town: Town) -> None:
    bill = town.bills[1].id
    token = town.pass_of("finance", BILLS_READ)
    assert town.get(WithPass(token), town.path(1)) == (200, "")
    assert town.get(asks(OTHER), town.path(1)) == (403, "web.forbidden")
    assert town.get(asks(HOSPITAL), town.path(1)) == (200, "")
    folder: Path = town.city.node.folder / WEB
    found: list[Access] = []
    with closing(AccessLog(folder / "reads.db", now)) as log:
        deadline = time.monotonic() + 10
        while len(found) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
            found = log.of_bill(bill)
    means = f"pass:{read_pass(token).id.hex()}"
    own = f"key:{signer(f'{HOSPITAL}/key').public_key.hex()}"
    assert {(each.who, each.why, each.means) for each in found} == {
        ("finance", "bills.read", means), (HOSPITAL, "issuer", own),
    }  # fmt: skip
    assert token.encode() not in b"".join(each.read_bytes() for each in folder.iterdir())
    assert [each.where for each in reads_of(found)] == ["web", "web"]
