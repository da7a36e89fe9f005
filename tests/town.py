"""A city that is served whole: two processes, finance's keeper, its archive, bills of every sort.

    town.get(HOSPITAL, town.path())     asks as an organisation's key; None: as nobody

Invariant: nothing here is a stand-in; a test that breaks something has a town of its own.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
from acts import founder
from offices import ARCHIVE_KEY, HOSPITAL, VAULT_KEY, signer
from served import INSURER, RealCity, code, now, serving

from tallystick.apps.bills.access import Shown, show
from tallystick.apps.bills.acts import Issued, Reversal
from tallystick.apps.bills.catalogue import TYPES
from tallystick.apps.bills.holders import BillKey, bill_key, derive_holder_key
from tallystick.cli.founding import make_policy
from tallystick.client.passes import WithPass, make_pass
from tallystick.client.signing import OPENING_HEADER, SignedBy
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.items.bills import Issue
from tallystick.contracts.bills.items.claims import Lock, Settle
from tallystick.contracts.bills.records.bills import Bill
from tallystick.contracts.bills.records.claims import Terms
from tallystick.contracts.kit.grants import find_grant
from tallystick.contracts.members.actions.keepers import AddKeeper
from tallystick.contracts.members.actions.orgs import Suspend
from tallystick.durable import write_new
from tallystick.keyring import KeyFile, KeySigner, signer_from_seed, vault_key_from_seed
from tallystick.node import FEED, open_keeper
from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.keys import Signer
from tallystick.protocol.transaction import Item, sign_transaction
from tallystick.protocol.trust import TrustedKeeper, TrustPolicy
from tallystick.protocol.values import format_instant
from tallystick.serve import Served

KEEPER = "keeper/finance"
SUSPENDED, RIGHTLESS = "hospital-03", "insurer-02"
CODE = code()
BILLS = 6
CLAIMED, REVERSED = 1, 2
"""Which of the bills has a claim of the insurer's, and which is reversed."""
TWO_WORKERS = "[listen]\nworkers = 2\n"
READY_SECONDS = 20
STATUS_AGE_SECONDS = 3_600

Who = str | Signer | httpx2.Auth | None


@dataclass
class Town:
    """What tests ask of."""

    city: RealCity
    served: Served
    policy: TrustPolicy
    drafts: list[Body]
    issued: list[Issued]
    red: Issued
    http: httpx2.Client = field(repr=False)

    # ----------------------------------------------------------------------------- asking

    def ask(
        self,
        who: Who,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        media: str = "application/json",
        **headers: str,
    ) -> httpx2.Response:
        """As an organisation's first key, any other key, with a pass, or as nobody."""
        if body is not None:
            headers["content-type"] = media
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, path, content=body, headers=named, auth=auth_of(who))

    def get(self, who: Who, path: str, **headers: str) -> httpx2.Response:
        return self.ask(who, "GET", path, **headers)  # type: ignore[arg-type]  # no header "body"

    def code(self, who: Who, path: str, **headers: str) -> tuple[int, str]:
        """Status and code of a GET."""
        return problem_of(self.get(who, path, **headers))

    def submit(self, data: bytes) -> httpx2.Response:
        return self.ask(None, "POST", "/api/v1/transactions", body=data)

    # ----------------------------------------------------------------------------- making

    def path(self, n: int = 0, more: str = "") -> str:
        """Of a bill."""
        return f"/api/v1/bills/{self.issued[n].code}/{self.issued[n].number}{more}"

    def bill(self, n: int = 0) -> Bill:
        return self.city.bill(self.issued[n].code, self.issued[n].number)

    def key_of(self, n: int) -> BillKey:
        root = self.bill(n).root
        assert root is not None
        return bill_key(derive_holder_key(VAULT_KEY), root)

    def holder(self, n: int) -> tuple[KeySigner, dict[str, str]]:
        """The key of a bill's holder, and the header that shows what it opens."""
        key = self.key_of(n)
        shown = show(Shown(bill=self.bill(n).id, salt=key.salt))
        return signer_from_seed(key.seed), {OPENING_HEADER.replace("-", "_"): shown}

    def pass_of(self, org: str, *words: Any, **more: Any) -> WithPass:
        named: dict[str, Any] = {"network": self.city.node.network, "now": now(), "days": 1}
        return WithPass(make_pass(signer(f"{org}/key"), org=org, may=words, **(named | more)))

    def sign(self, sender: str, action: str, *items: Item, **changes: Any) -> bytes:
        """A signed transaction of this network."""
        named: dict[str, Any] = {
            "network": self.city.node.network,
            "sender": sender,
            "action": action,
            "items": items,
            "idempotency": secrets.token_bytes(16),
            "valid_until": format_instant(now() + 3_600),
        }
        key = changes.pop("key", f"{sender}/key")
        return sign_transaction(signer(key), **(named | changes))

    def issue_item(self, **fields: Any) -> Issue:
        return issue_item(**fields)

    def issue(self, count: int = 1, **changes: Any) -> bytes:
        """A transaction of as many bills, of numbers that nobody else takes."""
        items = [self.issue_item(number=next_number()) for _ in range(count)]
        return self.sign(HOSPITAL, "bills.issue/1", *items, **changes)


def issue_item(**fields: Any) -> Issue:
    """A bill whose body nobody has."""
    named: dict[str, Any] = {
        "nonce": secrets.token_bytes(16),
        "total": 35_000,
        "account": 100,
        "cash": 34_900,
        "self_pay": 35_000,
        "code": CODE,
        "level": 3,
        "first": 1,
        "type_version": 1,
        "issued_at": format_instant(now()),
        "currency": "CNY",
        "root": secrets.token_bytes(32),
        "holder": secrets.token_bytes(32),
    }
    return Issue(**(named | fields))


_numbers = iter(range(1_000, 10_000))
_taking = threading.Lock()


def next_number() -> int:
    """Beyond those that the office takes."""
    with _taking:
        return next(_numbers)


def auth_of(who: Who) -> httpx2.Auth | None:
    if who is None or isinstance(who, httpx2.Auth):
        return who
    return SignedBy(signer(f"{who}/key") if isinstance(who, str) else who, now)


def problem_of(response: httpx2.Response) -> tuple[int, str]:
    """Status, and the reason's code where there is one."""
    if not response.headers.get("content-type", "").startswith("application/problem+json"):
        return response.status_code, ""
    found: dict[str, Any] = response.json()
    assert found["status"] == response.status_code
    assert found["type"] == f"urn:tallystick:reason:{found['code']}"
    return response.status_code, str(found["code"])


def eventually(holds: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.05)


class TownCity(RealCity):
    """With a keeper of finance's, a suspended hospital, an insurer without rights."""

    def __init__(self, folder: Path) -> None:
        claims = TYPES["outpatient"].rules.claims
        assert claims is not None
        rules = replace(
            TYPES["outpatient"].rules, claims=replace(claims, paper_presented=False), paper=None
        )
        more = [founder(SUSPENDED, "bills.issue", "bills.read"), founder(RIGHTLESS)]
        super().__init__(folder, more=more, scenes={"outpatient": rules})
        key = signer("keeper").public_key
        self.act(
            "finance",
            "members.add_keeper",
            AddKeeper(nonce=self.nonce(), name=KEEPER, org="finance", key=key),
        )
        self.act(
            "finance",
            "members.suspend",
            Suspend(nonce=self.nonce(), org=SUSPENDED, version=1, reason="violation"),
        )

    def policy(self) -> TrustPolicy:
        """Finance's keeper must have signed."""
        plain: TrustPolicy = make_policy(
            *(self.node.ledger.genesis, self.node.network),
            threshold=0,
            required=[],
            status_max_age_seconds=STATUS_AGE_SECONDS,
            names={},
        )
        keeper = TrustedKeeper(name=KEEPER, org="finance", key=signer("keeper").public_key)
        return replace(plain, keepers=[keeper], threshold=1, required=["finance"])

    def claim(self, bill: str, amount: int) -> None:
        """The insurer locks, and settles at once."""
        with self.node.view() as view:
            grant = find_grant(view, INSURER, "bills.statute", now())
        assert grant is not None
        terms = Terms(
            purpose="claim",
            basis="cash_account",
            benefit="indemnity",
            right="statute",
            right_id=grant.grant_id,
        )
        named: dict[str, Any] = {
            "bill": bill,
            "claim": self.nonce(),
            "terms": terms,
            "amount": amount,
        }
        until = format_instant(now() + 3_600)
        self.act(INSURER, "bills.lock", Lock(nonce=self.nonce(), until=until, **named))
        decision = sha256(b"yes").digest()
        self.act(INSURER, "bills.settle", Settle(nonce=self.nonce(), decision=decision, **named))

    def populate(self) -> tuple[list[Body], list[Issued], Issued]:
        """Bills whose bodies finance has archived; one is claimed, one reversed."""
        drafts = [self.draft(seed, check_code=f"Ab{seed:04}") for seed in range(1, BILLS + 1)]
        with self.office() as office, self.archive() as archive:
            issued = office.issue(drafts)
            assert all(each.accepted for each in issued), issued
            (red,) = office.reverse(
                [Reversal(issued[REVERSED].code, issued[REVERSED].number, "wrong_payer")]
            )
            office.deliver(self.box)
            archive.run_once()
        claimed = issued[CLAIMED]
        self.claim(f"{claimed.code}:{claimed.number:010}", 500)
        return drafts, issued, red

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Finance's keeper follows and signs."""
        done = threading.Event()
        folder, feed = self.folder / "keeper", self.node.folder / FEED
        with open_keeper(folder, feed, signer("keeper"), clock=self.clock()) as keeper:

            def follow() -> None:
                while not done.wait(0.05):
                    with suppress(FileNotFoundError):
                        keeper.step()

            thread = threading.Thread(target=follow)
            thread.start()
            try:
                yield
            finally:
                done.set()
                thread.join()


def with_archive(folder: Path, more: str = "") -> str:
    """Settings by which check code and payer's name are compared with finance's archive."""
    path, key = folder / "archive.key.json", vault_key_from_seed(ARCHIVE_KEY)
    file = KeyFile(
        format="tallystick/vault-key/v1", name="archive", public=key.public_key, secret=key.secret
    )
    write_new(path, encode(file))
    return f'{TWO_WORKERS}[check]\narchive = "{folder}/archive"\nkey_file = "{path}"\n{more}'


@contextmanager
def open_town(folder: Path, *, toml: str = TWO_WORKERS, trust: bool = True) -> Iterator[Town]:
    """A town until the `with` ends."""
    with TownCity(folder) as city:
        made = city.populate()
        policy = city.policy()
        with (
            city.keeping(),
            serving(city, trust=policy if trust else None, toml=toml) as served,
            httpx2.Client(base_url=served.url, trust_env=False, timeout=40) as http,
        ):
            town = Town(city, served, policy, *made, http)
            size = city.node.ledger.head.size
            eventually(lambda: town.get("finance", f"/api/v1/receipts/{size - 2}").is_success)
            yield town
