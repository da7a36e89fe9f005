"""Over HTTP: bills in batches and one by one, statuses, receipts, a keeper's lag, the SDK.

A server with its processes, a client in a process of its own, all on this machine's cores. Where a
figure is a share of another, both are taken in turn, window by window.

Invariant: everything is signed beforehand; an answer that refuses anything ends the measurement.
See docs/benchmarks.md.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import wait
from contextlib import suppress
from pathlib import Path
from random import Random
from statistics import median
from typing import NamedTuple

from benchmarks import js_verify, load, references
from benchmarks.cases import BATCH, Ground
from benchmarks.driver import Done, Plan, drive, percentile, request
from benchmarks.figures import Figure, Figures
from benchmarks.load import Load
from benchmarks.proving import Numbers
from benchmarks.served import Site, empty_site, keeper_of, node_site
from benchmarks.showing import note_of
from tallystick.client import wire
from tallystick.client.history import History
from tallystick.client.passes import make_pass
from tallystick.client.signing import SignedBy
from tallystick.client.submitting import Submitter
from tallystick.client.sync import Client
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.proving import Prover
from tallystick.node import rules
from tallystick.protocol.canonical import decode, encode
from tallystick.protocol.trust import TrustPolicy

CLIENTS = 64
SENDERS = 4
"""Connections that bring batches."""
WORKERS = 2
WINDOWS = 5
SUBMIT = "/api/v1/transactions"
MICRO = 1_000_000


class Cost(NamedTuple):
    """CPU-seconds and what was done in them."""

    worker: float
    node: float
    done: Done

    @property
    def server(self) -> float:
        """Of all its processes."""
        return self.worker + self.node


def measured(site: Site, requests: Sequence[bytes], connections: int, **named: float) -> Cost:
    """Send, and see what it cost the server."""
    worker, node = site.cpu()
    done = drive(Plan(site.host, site.port, requests, connections, **named))  # type: ignore[arg-type]  # flags
    later = site.cpu()
    return Cost(later[0] - worker, later[1] - node, done)


def submissions(site: Site, load: Load, count: int, size: int) -> list[bytes]:
    """So many transactions of so many bills, signed now."""
    now = int(time.time()) - 1
    return [request("POST", site.name, SUBMIT, load.bills(size, now)) for _ in range(count)]


# ------------------------------------------------------------------------------------ writing


def batches(folder: Path, figures: Figures, count: int) -> None:
    """http_batch: what 1,000 bills cost all processes of the server, against one thread at hand."""
    served, bills = load.found(folder / "served", int(time.time()))
    served.close()
    ground, each = Ground(folder), max(count // BATCH // WINDOWS, 1)
    rates, ratios, walls, clients = list[float](), list[float](), list[float](), list[float]()
    with node_site(folder / "served", WORKERS) as site:
        for _ in range(WINDOWS + 1):
            cost = measured(site, submissions(site, bills, each, BATCH), SENDERS)
            in_process = ground.grow(each * BATCH)
            rates.append(each * BATCH / cost.server)
            walls.append(each * BATCH / cost.done.seconds)
            clients.append(cost.done.cpu_seconds / each / BATCH)
            ratios.append(rates[-1] / in_process.cpu)
    with ground.engine() as engine:
        by_engine = median(ground.grow_by_engine(engine, each * BATCH) for _ in range(WINDOWS))
    ground.ledger.close()
    wall = median(walls[1:])  # the first window fills caches
    figures.add(
        Figure(
            *("http_batch", median(rates[1:]), "bills/CPU-s", median(ratios[1:]), "in process"),
            *(0.5, 0.65),
        ),
        Figure("http_batch_wall", wall, "bills/s", wall / by_engine, "in process"),
        Figure("http_batch_client", median(clients[1:]) * MICRO, "us of the client a bill"),
    )


def singles(folder: Path, figures: Figures, count: int) -> None:
    """http_single: one signed bill a request, 64 clients."""
    ledger, bills = load.found(folder, int(time.time()))
    ledger.close()
    each, costs, ratios = max(count // WINDOWS, CLIENTS), list[Cost](), list[float]()
    with node_site(folder, WORKERS) as site:
        measured(site, submissions(site, bills, CLIENTS * 10, 1), CLIENTS)
        for _ in range(WINDOWS):
            costs.append(measured(site, submissions(site, bills, each, 1), CLIENTS))
            ratios.append(each / costs[-1].done.seconds / references.verifying())
    latencies = [one for cost in costs for one in cost.done.latencies]
    figures.add(
        Figure(
            *("http_single", median(each / cost.done.seconds for cost in costs), "bills/s"),
            *(median(ratios), "R3", 0.5),
        ),
        _milliseconds("http_single_p99", latencies, 150),
        *_parts("http_single", costs, each),
    )


def _parts(name: str, costs: Sequence[Cost], each: int) -> list[Figure]:
    """Microseconds of CPU a request, by who spends them."""
    return [
        Figure(f"{name}_{who}", median(spent) / each * MICRO, "us of CPU a request")
        for who, spent in (
            ("worker", [cost.worker for cost in costs]),
            ("node", [cost.node for cost in costs]),
            ("client", [cost.done.cpu_seconds for cost in costs]),
        )
    ]


def _milliseconds(name: str, latencies: Sequence[float], minimum: float | None = None) -> Figure:
    p99 = percentile(latencies, 0.99) * 1_000
    return Figure(name, p99, "ms", minimum=minimum, lower_is_better=True)


# ------------------------------------------------------------------------------------ reading


def statuses(folder: Path, figures: Figures, count: int) -> None:
    """http_status: numbers at random over a ledger that is there, against R5 in turn."""
    with Ledger.open(folder, rules()) as ledger, ledger.view() as view:
        numbers, network = Numbers(view, Random(5)), ledger.network
    each, rates = max(count // WINDOWS, CLIENTS), list[float]()
    costs, ratios, empty = list[Cost](), list[float](), list[float]()
    token = make_pass(
        load.signer("finance"),
        network=network,
        org="finance",
        may=["bills.read"],
        now=int(time.time()) - 10,
        days=1,
    )
    with node_site(folder, WORKERS) as site, empty_site() as nothing:
        nothings = [request("POST", nothing.name, "/", bytes(1_000))] * each
        for _ in range(WINDOWS + 1):
            requests = [
                request(
                    *("GET", site.name),
                    f"/api/v1/bills/{load.CODE}/{number}/status?wait=5",
                    headers=[("Authorization", f"Bearer {token}")],
                )
                for number in numbers.draw(each)
            ]
            costs.append(measured(site, requests, CLIENTS))
            empty.append(each / measured(nothing, nothings, CLIENTS).server)
            rates.append(each / costs[-1].worker)
            ratios.append(rates[-1] / empty[-1])
    latencies = [one for cost in costs[1:] for one in cost.done.latencies]
    figures.add(
        Figure("R5", median(empty[1:]), "empty POSTs/CPU-s"),
        Figure(
            *("http_status", median(rates[1:]), "statuses/CPU-s", median(ratios[1:]), "R5"),
            *(0.4, 0.6),
        ),
        Figure("http_status_wall", median(each / one.done.seconds for one in costs[1:]), "/s"),
        _milliseconds("http_status_p99", latencies, 15),
        Figure("http_status_bills", numbers.issued, "bills on that ledger"),
    )


def browsers(folder: Path, figures: Figures, count: int) -> None:
    """js_verify: the page's own modules in Node and in Chromium, beside Python, one core each."""
    with Ledger.open(folder, rules()) as ledger, ledger.view() as view:
        prover, policy = Prover(view, note_of(ledger)), load.trust(ledger)
        random, receipts = Random(11), list[bytes]()
        while len(receipts) < count:
            with suppress(LookupError):  # a block's leaf has no receipt
                receipts.append(prover.receipt(random.randrange(view.head.size)))
    found = js_verify.measure(receipts, encode(policy))
    python = found["python"] or 0.0
    for name, program in (("js_verify", "chromium"), ("js_verify_node", "node")):
        rate = found[program]
        if rate is None:
            figures.say(f"{name}: there is no {program} here")
        else:
            figures.add(Figure(name, rate, "receipts/s", rate / python, "Python"))


# ------------------------------------------------------------------- a keeper over HTTP, the SDK


def keeping(folder: Path, figures: Figures, count: int) -> None:
    """receipt_ready_p99, keeper_lag_p99 at half load, sdk_issue: a keeper follows all along."""
    ledger, bills = load.found(folder / "followed", int(time.time()))
    trust = load.trust(ledger)
    ledger.close()
    with (
        node_site(folder / "followed", WORKERS, trust) as site,
        keeper_of(site, folder / "keeper") as keeper,
    ):
        figures.add(_milliseconds("receipt_ready_p99", _ready(site, bills, 100)))
        full = measured(site, submissions(site, bills, count // BATCH, BATCH), SENDERS)
        rate = count / full.done.seconds
        half = measured(
            site, submissions(site, bills, count // BATCH, BATCH), SENDERS, every=2 * BATCH / rate,
            keep=True,
        )  # fmt: skip
        time.sleep(2)
        ratio = _sdk(site, bills, trust, folder / "known", count // BATCH)
        keeper.send(None)
        lags = _lags(half.done, keeper.recv())
    figures.add(
        _milliseconds("keeper_lag_p99", lags),
        Figure("sdk_issue", ratio * rate, "bills/s", ratio, "the raw API", 0.4),
    )


def _ready(site: Site, bills: Load, count: int) -> list[float]:
    """Seconds from an answer to a receipt that meets the policy; one bill at a time."""
    found, signer = [], load.signer("finance")
    with Client(site.url, auth=SignedBy(signer, lambda: int(time.time()))) as client:
        for n in range(count):
            entered = client.run(wire.submit(bills.bills(1, int(time.time()) - 1)))
            start = time.monotonic()
            client.run(wire.receipt(entered.first, wait_seconds=30))
            found.append(time.monotonic() - start)
            time.sleep((n * 37 % 100) / 500)  # at any moment of the round of checkpoints
    return found


def _lags(done: Done, steps: Sequence[tuple[float, int]]) -> list[float]:
    """Of each batch, seconds from its answer to the keeper's signature over it."""
    found = []
    for answered, data in zip(done.ended, done.answers, strict=True):
        told = decode(data, dict[str, object])
        end = int(str(told["first"])) + int(str(told["count"]))
        signed = next(at for at, size in steps if size >= end)
        found.append(max(signed - answered, 0.0))
    return found


def _sdk(site: Site, bills: Load, trust: TrustPolicy, known: Path, count: int) -> float:
    """Batches by the SDK, each proven, over the same number by bare requests: by wall time."""
    known.mkdir()
    made = [bills.bills_of(0, BATCH, int(time.time()) - 1) for _ in range(count)]
    signer = load.signer(load.hospital_name(0))
    with (
        Client(site.url, auth=SignedBy(signer, lambda: int(time.time()))) as client,
        History(known, trust) as history,
        Submitter(client, history, connections=SENDERS) as submitter,
    ):
        start = time.monotonic()
        answers = [submitter.submit(data) for data in made]
        wait(answers)
        took = time.monotonic() - start
        if any(set(answer.result().outcomes) != {"accepted"} for answer in answers):
            raise RuntimeError("a bill of the load was refused")
    bare = [
        request("POST", site.name, SUBMIT, bills.bills_of(0, BATCH, int(time.time()) - 1))
        for _ in range(count)
    ]
    return measured(site, bare, SENDERS).done.seconds / took
