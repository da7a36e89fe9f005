"""A hospital's gateway over a real served city, and tills that speak nothing but HTTP and JSON.

Invariant: nothing here is a stand-in; the ledger is taken away by stopping its processes.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import uvloop
from offices import HOSPITAL, VAULT_KEY, signer
from served import INSURER, RealCity, now, serving

from tallystick.apps.bills.catalogue import TYPES
from tallystick.apps.bills.gateway.config import Config, read
from tallystick.apps.bills.gateway.house import House, Keys
from tallystick.apps.bills.gateway.server import GatewayServer
from tallystick.apps.bills.gateway.tokens import RIGHTS, Right
from tallystick.apps.bills.generate import DEMO_HOSPITAL
from tallystick.cli.founding import make_policy
from tallystick.contracts.bills.items.bills import Allot, Block
from tallystick.durable import write_new
from tallystick.keyring import KeyFile
from tallystick.protocol.canonical import builtins, encode, replace
from tallystick.protocol.trust import TrustPolicy
from tallystick.serve import Served
from tallystick.web.server import listening

CODE = TYPES["registration"].code(2026)
MEDICAL = TYPES["outpatient"].code(2026)
RESERVE_FIRST = 50_001
RESERVE_LAST = 50_200
TOML = """
[ledger]
url = "{url}"
[answers]
seconds = {seconds}
away_seconds = 1.5
probe_seconds = 0.2
batch_seconds = 0.02
[issuer]
name = "{name}"
credit_code = "{credit}"
[[types]]
type = 330613
template = "{template}"
purpose = "registration"
"""
RESERVE = f"""
[[reserve]]
code = {CODE}
level = 3
first = {RESERVE_FIRST}
"""


class Town(RealCity):
    """A city that can be taken away, and comes back at the same address."""

    def __init__(self, folder: Path, **named: Any) -> None:
        rules = {scene: each.rules for scene, each in TYPES.items()}
        rules["registration"] = replace(rules["registration"], ack="record")
        super().__init__(folder, scenes=rules, **named)
        reserve = Allot(
            nonce=self.nonce(),
            code=CODE,
            level=3,
            first=RESERVE_FIRST,
            last=RESERVE_LAST,
            holder=HOSPITAL,
            parent=Block(level=0, first=1),
            offline_days=7,
        )
        self.act("finance", "bills.allot", reserve)
        self._up: ExitStack | None = None
        self.url = ""

    def up(self) -> Served:
        """Answer, where it answered before."""
        port = int(self.url.rpartition(":")[2]) if self.url else 0
        with ExitStack() as stack:
            served = stack.enter_context(serving(self, port=port))
            self._up = stack.pop_all()
        self.url = served.url
        return served

    def down(self) -> None:
        """Answer nobody."""
        if self._up is not None:
            self._up.close()
            self._up = None

    def __exit__(self, *_: object) -> None:
        self.down()
        super().__exit__()

    def policy(self) -> TrustPolicy:
        """The log's own signature is enough."""
        made: TrustPolicy = make_policy(
            self.node.ledger.genesis,
            self.node.network,
            threshold=0,
            required=[],
            status_max_age_seconds=3600,
            names={},
        )
        return made

    def config(self, more: str = "", *, seconds: float = 8.0) -> Config:
        """Of a gateway of this city; answers are waited for patiently, for slow machines."""
        return read(self.toml(more, seconds=seconds))

    def toml(self, more: str = "", *, seconds: float = 8.0) -> str:
        """The same, as a file has it."""
        said = TOML.format(
            url=self.url,
            seconds=seconds,
            name=DEMO_HOSPITAL.block.name,
            credit=DEMO_HOSPITAL.block.credit_code,
            template=TYPES["registration"].entry.template,
        )
        return said + more

    def furnish(self, folder: Path, more: str = "", who: str = HOSPITAL) -> Path:
        """A folder as `tally gateway run` has it."""
        folder.mkdir(mode=0o700)
        (folder / "trust.json").write_bytes(encode(self.policy()))
        seed = sha256(f"{who}/key".encode()).digest()
        public = signer(f"{who}/key").public_key
        key = KeyFile(format="tallystick/key/v1", name=who, public=public, secret=seed)
        write_new(folder / "key.json", encode(key))
        (folder / "gateway.toml").write_text(self.toml(more), encoding="utf-8")
        return folder

    def house(self, folder: Path, config: Config, who: str = HOSPITAL) -> House:
        """The gateway in a folder; not started."""
        folder.mkdir(mode=0o700, exist_ok=True)
        key = signer(f"{who}/key")
        reserves = {each.code: key for each in config.reserve}
        return House(folder, config, Keys(key, VAULT_KEY, self.policy(), reserves), now)


@dataclass(frozen=True, slots=True)
class Said:
    """What a till was told."""

    status: int
    json: Any
    headers: dict[str, str]


class Till:
    """Speaks HTTP and JSON."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url
        self._token = token

    def get(self, path: str, **headers: str) -> Said:
        return self.ask("GET", path, None, **headers)

    def post(self, path: str, body: Any, **headers: str) -> Said:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask("POST", path, data, **headers)

    def ask(self, method: str, path: str, body: bytes | None, **headers: str) -> Said:
        request = urllib.request.Request(self.url + path, body, method=method)
        if body is not None:
            request.add_header("Content-Type", "application/json")
        if self._token is not None:
            request.add_header("Authorization", f"Bearer {self._token}")
        for name, value in headers.items():
            request.add_header(name, value)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as response:
                return _said(response.status, response.read(), dict(response.headers))
        except urllib.error.HTTPError as error:
            with error:
                return _said(error.code, error.read(), dict(error.headers))


def _said(status: int, body: bytes, headers: dict[str, str]) -> Said:
    kind = {name.lower(): value for name, value in headers.items()}.get("content-type", "")
    return Said(status, json.loads(body) if "json" in kind else body.decode(), headers)


class Running:
    """A house that answers."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.server = GatewayServer(house, listening("127.0.0.1", 0))
        self.url = self.server.url
        self._up = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._thread = threading.Thread(target=lambda: uvloop.run(self._run()))

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await self.server.run(self._stop, self._up.set)

    def __enter__(self) -> Self:
        self.house.start()
        self._thread.start()
        assert self._up.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive()
        self.house.close()

    def till(self, *may: Right, name: str = "till-1", place: str | None = None) -> Till:
        """A till with a token of its own."""
        return Till(self.url, self.house.tokens.add(name, may or RIGHTS, place))


@contextmanager
def running(town: Town, folder: Path, config: Config, who: str = HOSPITAL) -> Iterator[Running]:
    """A gateway that answers and, unless the ledger is away, has found it."""
    with Running(town.house(folder, config, who)) as gateway:
        if town._up is not None:
            until(lambda: gateway.house.writer.office is not None)
        yield gateway


def until(holds: Callable[[], object], seconds: float = 20) -> None:
    """Wait for what another thread does."""
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.02)


def order(ref: str, amount: int = 1_200, **more: Any) -> dict[str, Any]:
    """A registration, as an old system says it."""
    return {
        "ref": ref,
        "code": CODE,
        "payer": {"party": "person", "name": "林知夏"},
        "items": [{"code": "13", "name": "挂号费", "amount": amount}],
        "sources": {"cash": amount},
        **more,
    }


def medical(town: Town, ref: str, seed: int) -> dict[str, Any]:
    """A whole draft in the shape of a body."""
    made: dict[str, Any] = builtins(town.draft(seed))
    left_out = ("network", "number", "issuer")
    return {"ref": ref} | {name: value for name, value in made.items() if name not in left_out}


__all__ = ["INSURER", "Running", "Said", "Till", "Town", "medical", "order", "running", "until"]
