"""Keepers of three members over the wire: a city's receipts, outages, and its operator's loss.

Invariant: every process here is the one that members run; see `kept` and `served`.
"""

from __future__ import annotations

import random
import re
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from acts import public_key
from counter import done, tally
from kept import Kept, keepers_of, policy_of, until
from offices import HOSPITAL, signer
from puppet import Puppet
from served import INSURER, RealCity, client, now
from world import World

from tallystick.cli.serving import keepers_clock
from tallystick.client import wire
from tallystick.client.failures import NotYet
from tallystick.client.signing import SignedBy
from tallystick.client.sync import Client
from tallystick.contracts.members.actions.orgs import Admit
from tallystick.engines.clock import ClockDoubt
from tallystick.engines.remote import blocks
from tallystick.keyring import KeyFile, generate
from tallystick.ledger.feed import FeedBlock
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.portable import export_ledger
from tallystick.node import Node, rules
from tallystick.protocol.canonical import encode
from tallystick.protocol.committed import Committed
from tallystick.protocol.errors import Rejected
from tallystick.protocol.tiles import TileId
from tallystick.protocol.trust import TrustPolicy
from tallystick.serve import Served, figures
from tallystick.verify import Verdict, verify_receipt
from tallystick.web.config import read as config_of
from tallystick.web.server import listening
from tallystick.worker import Settings

GUIDE = Path(__file__).parents[1] / "docs" / "guides" / "operations.md"
READY_SECONDS_MAX = 5.0
"""About a second on a machine of its own; other tests may be busy on this one."""


@dataclass
class Town:
    """A city's node, its server with a policy of two of three, and a keeper of each of three."""

    city: RealCity
    keepers: Sequence[Kept]
    served: Served = field(init=False)
    port: int = 0
    admitted: int = 0

    def policy(self, threshold: int, *required: str) -> TrustPolicy:
        return policy_of(self.city, self.keepers, threshold, *required)

    def settings(self, port: int, trust: TrustPolicy) -> Settings:
        config = config_of("", {"TALLY_LOGS_REQUESTS": "false"})
        return Settings(config=config, authorities=[f"127.0.0.1:{port}"], trust=trust)

    def open(self) -> None:
        """Serve, on the same port as before."""
        sock = listening("127.0.0.1", self.port)
        self.port = sock.getsockname()[1]
        self.served = Served(self.city.node, sock, self.settings(self.port, self.policy(2)))

    def close(self) -> None:
        """The operator is gone."""
        self.served.close()
        self.city.node.close()

    @contextmanager
    def also_under(self, trust: TrustPolicy) -> Iterator[Served]:
        """The same node by another server, which wants more of its receipts."""
        sock = listening("127.0.0.1", 0)
        settings = self.settings(sock.getsockname()[1], trust)
        with Served(self.city.node, sock, settings) as served:
            yield served

    def act(self) -> bytes:
        """A transaction of finance's, signed."""
        self.admitted += 1
        org = f"org-{self.admitted}"
        item = Admit(nonce=self.city.nonce(), org=org, root_key=public_key(f"{org}/root"))
        return self.city.node.sign(signer("finance/key"), "finance", "members.admit/1", [item])

    def submit(self, data: bytes | None = None) -> Committed:
        with client(self.served) as asks:
            return asks.run(wire.submit(data or self.act()))

    def receipt(self, index: int, asks: Client, wait: int = 20) -> bytes:
        return asks.run(wire.receipt(index, wait_seconds=wait))

    def verdict(self, receipt: bytes, trust: TrustPolicy) -> Verdict:
        return verify_receipt(receipt, trust).verdict

    def health(self) -> dict[str, Any]:
        with client(self.served) as asks:
            return asks.run(wire.health())


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with (
        RealCity(tmp_path_factory.mktemp("town")) as city,
        keepers_of(city) as keepers,
    ):
        town = Town(city, keepers)
        town.open()
        for each in keepers:
            each.start(town.served.url, listen=True)
        for each in keepers:
            each.listens()
        yield town
        town.served.close()


@contextmanager
def finance(url: str) -> Iterator[Client]:
    with Client(url, auth=SignedBy(signer("finance/key"), now)) as asks:
        yield asks


# --------------------------------------------------------------------------------- every day


def test_a_receipt_that_meets_the_policy_is_ready_about_a_second_after_the_commit(
    town: Town, record_property: Any
) -> None:
    taken = []
    with client(town.served, "finance") as asks:
        town.receipt(town.submit().first, asks)  # everybody is there
        for _ in range(8):
            found = town.submit()
            started = time.monotonic()
            receipt = town.receipt(found.first, asks)
            taken.append(time.monotonic() - started)
            assert town.verdict(receipt, town.policy(2)) is Verdict.ACCEPTED
    record_property("receipt_ready_seconds", sorted(taken))
    assert sorted(taken)[len(taken) // 2] < READY_SECONDS_MAX


def test_a_keeper_answers_what_it_has_executed_and_takes_nothing_in(town: Town) -> None:
    keeper, found = town.keepers[1], town.submit()
    size = found.first + 2
    until(lambda: keeper.health()["published"] == size)
    with finance(keeper.url) as asks:
        receipt = town.receipt(found.first, asks)
        assert town.verdict(receipt, town.policy(1, HOSPITAL)) is Verdict.ACCEPTED
        assert asks.run(wire.transaction_at(found.first)).first == found.first
        org = f"org-{town.admitted}"
        proven = asks.run(wire.row("members.member", org, proof=True))
        assert proven.row is not None and proven.row["id"] == org and proven.proof is not None
        assert len(asks.run(wire.tile(TileId(0, 0, min(size, 256))))) == 32 * min(size, 256)
        assert b"k/hospital-01" in asks.run(wire.checkpoint())
        with pytest.raises(Rejected, match=town.served.url) as refused:
            asks.run(wire.submit(town.act()))
        assert refused.value.reason == "web.read_only"
    with keeper.client(town.keepers[0].signer) as other:
        assert other.run(blocks(0, size))
    with keeper.client(signer("log")) as operator:
        assert operator.run(blocks(0, size))
    said = keeper.health()
    assert (said["role"], said["name"], said["behind"]) == ("keeper", "k/hospital-01", 0)
    assert said["operator"] == town.served.url and "operator_away_since" not in said


def test_a_keeper_that_is_down_delays_only_what_requires_it_and_shows(town: Town) -> None:
    down, strict = town.keepers[2], town.policy(2, INSURER)
    with town.also_under(strict) as other, client(other, "finance") as asks:
        town.receipt(town.submit().first, asks)
        down.kill()
        found = town.submit()
        with client(town.served, "finance") as others:
            receipt = town.receipt(found.first, others)
        assert town.verdict(receipt, town.policy(2)) is Verdict.ACCEPTED
        with pytest.raises(NotYet):
            asks.once(wire.receipt(found.first), 10)
        until(lambda: town.health()["keepers"]["k/insurer-01"]["behind"] > 0)
        shown = done("keepers", "--from", other.url, "--json").json["keepers"]
        assert sorted(shown) == [each.name for each in town.keepers]
        assert shown["k/insurer-01"]["silent_seconds"] >= 0
        needed = figures(town.city.node, strict)["keepers"]
        assert isinstance(needed, dict)
        assert [name for name, each in needed.items() if each["required"]] == ["k/insurer-01"]
        assert "k/insurer-01" in done("keepers", "--from", town.served.url).out
        down.start(town.served.url, listen=True)
        down.listens()
        receipt = town.receipt(found.first, asks, wait=30)
        assert town.verdict(receipt, strict) is Verdict.ACCEPTED
    until(lambda: town.health()["keepers"]["k/insurer-01"]["behind"] == 0)


def test_keepers_wait_for_an_operator_that_is_away_and_answer_meanwhile(town: Town) -> None:
    found, keeper = town.submit(), town.keepers[0]
    until(lambda: all(each.health()["published"] == found.first + 2 for each in town.keepers))
    town.close()
    try:
        until(lambda: "operator_away_since" in keeper.health())
        with finance(keeper.url) as asks:
            receipt = town.receipt(found.first, asks)
        assert town.verdict(receipt, town.policy(1, "finance")) is Verdict.ACCEPTED
        until(lambda: "the operator does not answer" in keeper.log.read_text())
    finally:
        town.city.node = Node.open(town.city.node.folder, signer("log"), clock=town.city.clock())
        town.open()
    again = town.submit()
    with client(town.served, "finance") as asks:
        assert town.verdict(town.receipt(again.first, asks), town.policy(2)) is Verdict.ACCEPTED
    until(lambda: "operator_away_since" not in keeper.health())
    assert "the operator answers again" in keeper.log.read_text()


def test_a_lost_operator_comes_back_out_of_its_keepers(town: Town) -> None:
    """The drill of docs/guides/operations.md: what no keeper has is lost, and entered again."""
    city, folder = town.city, town.city.folder
    kept = town.submit()
    with client(town.served, "finance") as asks:
        town.receipt(kept.first, asks)
    until(lambda: all(each.health()["published"] == kept.first + 2 for each in town.keepers))
    for each in town.keepers:
        each.kill()
    last = town.act()
    lost = town.submit(last)
    town.close()
    for each in town.keepers:
        each.start(town.served.url, listen=True)
    for each in town.keepers:
        each.listens()
    new, (restore, doctor, keepers) = folder / f"node-{town.admitted}", drill_of(town)
    refused = tally(*restore, "--json")
    assert (refused.code, refused.error["code"]) == (3, "restore.known_loss")
    assert not new.exists()
    said = " ".join(done(*restore, "--accept-loss").out.split())
    assert "LOSS WINDOW: what was acknowledged after" in said
    assert "2 leaves of it are lost" in said
    assert "sound" in done(*doctor).out
    city.node = Node.open(new, signer("log"), clock=city.clock())
    town.open()
    assert city.node.ledger.head.size == lost.first
    again = town.submit(last)
    assert (again.tx_id, again.first, again.repeated) == (lost.tx_id, lost.first, False)
    assert town.submit(last).repeated
    with client(town.served, "finance") as asks:
        receipt = town.receipt(again.first, asks)
    assert town.verdict(receipt, town.policy(2)) is Verdict.ACCEPTED
    assert "k/finance" in done(*keepers).out


def drill_of(town: Town) -> list[list[str]]:
    """The commands of the drill as the guide has them, about this town."""
    folder = town.city.folder
    write_log_key(folder / "log.json")
    here = {
        "https://ledger.example": town.served.url,
        "NETWORK": town.city.node.network.hex(),
        "keys/log.json": str(folder / "log.json"),
        "rescued-checkpoint": str(town.city.node.folder / "feed" / "checkpoint"),
        "new": str(folder / f"node-{town.admitted}"),
    }
    here |= {f"https://keeper-{n}.example": each.url for n, each in enumerate(town.keepers, 1)}
    _, _, drill = GUIDE.read_text(encoding="utf-8").partition("\n## A lost operator\n")
    blocks_ = re.findall(r"^ *```sh\n(.*?)^ *```$", drill.partition("\n## ")[0], re.M | re.S)
    lines = [shlex.split(line) for line in "".join(blocks_).splitlines()]
    assert len(lines) == 3 and all(line[0] == "tally" for line in lines)
    return [[here.get(word, word) for word in line[1:]] for line in lines]


def write_log_key(path: Path) -> None:
    """The city's log key as a file."""
    seed = sha256(b"log").digest()
    file = KeyFile(
        format="tallystick/key/v1", name="log", public=signer("log").public_key, secret=seed
    )
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(encode(file) + b"\n")


# ---------------------------------------------------------------------------- beginning, ending


def test_a_keeper_begins_with_an_export_and_goes_on_after_each_kill(town: Town) -> None:
    for _ in range(12):
        town.submit()
    node = town.city.node
    folder = town.city.folder / "late"
    folder.mkdir()
    with client(town.served) as asks:
        note = asks.run(wire.checkpoint())
    export_ledger(node.folder, folder / "export", note=note)
    town.submit()
    key = town.keepers[0].key
    late = Kept("late", "finance", key, folder / "keeper", node.network)
    chance = random.Random(5)
    more = ("--catch-up", folder / "export", "--once")
    for _ in range(3):
        late.start(town.served.url, *more)
        until(lambda: late.process is None or late.process.poll() is not None or late.log.exists())
        time.sleep(chance.uniform(0.3, 2.5))
        late.kill()
    late.start(town.served.url, *more)
    assert late.wait() == 0, late.log.read_text()
    with Ledger.open(late.folder, rules()) as ledger:
        assert ledger.head == node.ledger.head
    assert not late.folder.with_name(".keeper.growing").exists()


def test_a_keeper_from_nothing_is_told_which_network(town: Town, tmp_path: Path) -> None:
    where = ("keep", "--from", town.served.url, "--dir", tmp_path / "k", "--json", "--once")
    key = ("--key", town.keepers[0].key)
    answer = tally(*where, *key)
    assert (answer.code, answer.error["code"]) == (2, "keeper.no_network")
    answer = tally(*where, *key, "--network", "00" * 32)
    assert (answer.code, answer.error["code"]) == (1, "cli.false")
    assert not (tmp_path / "k").exists()
    network = ("--network", town.city.node.network.hex())
    said = done(*where, *key, *network).json
    assert said["size"] == town.city.node.ledger.head.size
    generate(tmp_path / "nobody.json", name="nobody")
    answer = tally(*where, "--key", tmp_path / "nobody.json", *network)
    assert (answer.code, answer.error["code"]) == (3, "web.key")
    gone = ("keep", "--from", "http://127.0.0.1:1", *where[3:], *key, *network)
    answer = tally(*gone)
    assert (answer.code, answer.error["code"]) == (4, "cli.no_answer")


def test_a_server_that_lies_stops_the_process_with_evidence(tmp_path: Path) -> None:
    world = World(tmp_path / "node")
    world.prepare()
    world.at = int(world.at)
    generate(tmp_path / "key.json", name="key")
    with Puppet(tmp_path / "operator") as operator:
        operator.tell(world)
        false: FeedBlock = operator.blocks[-1]
        operator.blocks[-1] = FeedBlock(
            **{name: getattr(false, name) for name in false.__slots__} | {"state": bytes(32)}
        )
        answer = tally(
            *("keep", "--from", operator.url, "--dir", tmp_path / "k", "--json"),
            *("--key", tmp_path / "key.json", "--network", world.ledger.network.hex()),
        )
    assert (answer.code, answer.error["code"]) == (1, "keeper.contradiction")
    (evidence,) = (tmp_path / "k").glob("evidence-*.json")
    assert str(evidence) in answer.error["detail"]


def test_a_restore_does_not_trust_the_first_answer(tmp_path: Path) -> None:
    key = tmp_path / "log.json"
    write_log_key(key)
    answer = tally(
        "restore", tmp_path / "new", "--from", "http://127.0.0.1:1", "--key", key, "--json"
    )
    assert (answer.code, answer.error["code"]) == (2, "restore.no_network")


def test_the_clock_is_judged_against_a_keepers(town: Town, tmp_path: Path) -> None:
    at = keepers_clock([town.keepers[0].url])
    assert at is not None and abs(at - town.city.clock().now()) <= 5
    assert keepers_clock([]) is None
    world = World(tmp_path / "node")
    world.ledger.close()
    with pytest.raises(ClockDoubt, match="ahead of a keeper's clock"):
        Node.open(world.folder, signer("log"), clock=world.clock(), keeper_at=world.at - 61)
