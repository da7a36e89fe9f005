"""What an operator's monitoring reads: counts of requests, and how the ledger and its work stand.

Each worker counts for itself and hands over a `Snapshot` when it is asked; whoever answers the
scrape (the node, over its hub) renders all of them under a label `worker`. They are not added up:
a worker that starts anew begins at nothing, which Prometheus understands of one series alone.

Invariant: the number of series is bounded by the route table, never by what clients send.
See docs/guides/monitoring.md.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from tallystick.protocol.canonical import Record
from tallystick.web.exchange import Exchange
from tallystick.web.logs import method_of

MEDIA = CONTENT_TYPE_LATEST
UNROUTED = "none"
"""In place of a template: nothing of ours is at that address, or nothing was asked in time."""
BUCKETS_MICROSECONDS = (
    1_000, 2_500, 5_000, 10_000, 15_000, 25_000, 50_000, 100_000, 150_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000,
)  # fmt: skip


class Route(Record):
    """What was answered under one template."""

    statuses: list[tuple[str, int, int]]
    """Method, status, how often."""
    buckets: list[int]
    """How many took no longer than each bound, and the last: longer."""
    microseconds: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


class Snapshot(Record):
    """All that one worker has counted since it began; travels over the hub."""

    routes: dict[str, Route]
    reasons: dict[str, int]
    gauges: dict[str, int]


class _Counted:
    """A route, as long as it grows."""

    __slots__ = ("buckets", "bytes_in", "bytes_out", "microseconds", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[tuple[str, int], int] = {}
        self.buckets = [0] * (len(BUCKETS_MICROSECONDS) + 1)
        self.microseconds = self.bytes_in = self.bytes_out = 0


class Counts:
    """Of one worker: cheap at each request, so that nothing is left out."""

    def __init__(self, gauges: Mapping[str, Callable[[], int]] | None = None) -> None:
        self._routes: dict[str, _Counted] = {}
        self._reasons: dict[str, int] = {}
        self._gauges = dict(gauges or {})

    def gauge(self, name: str, read: Callable[[], int]) -> None:
        """A number of this worker's own, one of `GAUGES`."""
        self._gauges[name] = read

    def request(self, exchange: Exchange) -> None:
        """When an exchange is over."""
        route = exchange.route or UNROUTED
        found = self._routes.get(route)
        if found is None:
            found = self._routes[route] = _Counted()
        key = (method_of(exchange), exchange.status)
        found.statuses[key] = found.statuses.get(key, 0) + 1
        taken = int(exchange.seconds * 1_000_000)
        found.buckets[bisect_left(BUCKETS_MICROSECONDS, taken)] += 1
        found.microseconds += taken
        found.bytes_in += exchange.bytes_in
        found.bytes_out += exchange.bytes_out
        if exchange.reason:
            self._reasons[exchange.reason] = self._reasons.get(exchange.reason, 0) + 1

    def snapshot(self) -> Snapshot:
        """As it stands now."""
        routes = {
            name: Route(
                statuses=[(method, status, n) for (method, status), n in each.statuses.items()],
                buckets=list(each.buckets),
                microseconds=each.microseconds,
                bytes_in=each.bytes_in,
                bytes_out=each.bytes_out,
            )
            for name, each in self._routes.items()
        }
        gauges = {name: read() for name, read in self._gauges.items()}
        return Snapshot(routes=routes, reasons=dict(self._reasons), gauges=gauges)


class Known(NamedTuple):
    """A gauge that this program has, and its label."""

    help: str
    label: str = ""


GAUGES: dict[str, Known] = {
    "tally_ledger_size": Known("Entries and block leaves of the log."),
    "tally_ledger_block": Known("Number of the last block."),
    "tally_ledger_time_seconds": Known("Time of the last block, Unix seconds."),
    "tally_ledger_published_block": Known("Last block that keepers can fetch."),
    "tally_queue_transactions": Known("Transactions that wait for the writer."),
    "tally_wal_bytes": Known("Size of the write-ahead log of the ledger's database."),
    "tally_keeper_lag_blocks": Known("Blocks that a keeper has not signed yet.", "keeper"),
    "tally_keeper_age_seconds": Known("Since a keeper signed last.", "keeper"),
    "tally_receipt_age_seconds": Known("Age of the newest checkpoint that meets the policy."),
    "tally_bodies_owed": Known("Bodies that their receivers have not confirmed yet."),
    "tally_bodies_overdue": Known("Bodies that are owed for longer than allowed."),
    "tally_hooks_waiting": Known("Events that wait for a webhook's receiver."),
    "tally_hooks_dead": Known("Events that were given up; see the dead-letter list."),
    "tally_hooks_stopped": Known("1: webhooks are not delivered; see the log.", "worker"),
    "tally_event_subscribers": Known("Streams of events that are open.", "worker"),
    "tally_http_in_flight": Known("Requests under way.", "worker"),
    "tally_http_connections": Known("Open connections.", "worker"),
    "tally_http_bodies_bytes": Known("Memory held by bodies of requests under way.", "worker"),
    "tally_log_lost_lines": Known("Lines of the log that could not be written.", "worker"),
}
"""Every gauge there is. Those with the label `worker` come out of snapshots."""

Reading = int | float | Mapping[str, float]
"""A number, or one for each value of the label."""
Gauges = Mapping[str, Callable[[], Reading]]


def render(snapshots: Mapping[str, Snapshot], gauges: Gauges | None = None) -> bytes:
    """The answer to a scrape, in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Rendered(snapshots, dict(gauges or {})))
    return generate_latest(registry)


class _Rendered(Collector):
    def __init__(self, snapshots: Mapping[str, Snapshot], gauges: Gauges) -> None:
        self._snapshots = snapshots
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        yield from self._requests()
        yield self._latency()
        yield from self._bytes()
        yield self._refused()
        for name, known in GAUGES.items():
            found = self._gauge(name, known)
            if found.samples:
                yield found

    def _each(self) -> Iterable[tuple[str, str, Route]]:
        for worker, snapshot in self._snapshots.items():
            for name, route in snapshot.routes.items():
                yield worker, name, route

    def _requests(self) -> Iterable[Metric]:
        found = CounterMetricFamily(
            "tally_http_requests",
            "Requests answered, by template of the address.",
            labels=["worker", "route", "method", "status"],
        )
        for worker, name, route in self._each():
            for method, status, count in route.statuses:
                found.add_metric([worker, name, method, str(status)], count)
        yield found

    def _latency(self) -> Metric:
        found = HistogramMetricFamily(
            "tally_http_request_seconds",
            "From the last header of a request to the end of its answer.",
            labels=["worker", "route"],
        )
        bounds = [f"{bound / 1_000_000:g}" for bound in BUCKETS_MICROSECONDS] + ["+Inf"]
        for worker, name, route in self._each():
            total, buckets = 0, []
            for bound, count in zip(bounds, route.buckets, strict=True):
                total += count
                buckets.append((bound, float(total)))
            found.add_metric([worker, name], buckets, route.microseconds / 1_000_000)
        return found

    def _bytes(self) -> Iterable[Metric]:
        came = CounterMetricFamily(
            "tally_http_request_bytes", "Bytes of bodies received.", labels=["worker", "route"]
        )
        went = CounterMetricFamily(
            "tally_http_answer_bytes", "Bytes of bodies answered.", labels=["worker", "route"]
        )
        for worker, name, route in self._each():
            came.add_metric([worker, name], route.bytes_in)
            went.add_metric([worker, name], route.bytes_out)
        yield came
        yield went

    def _refused(self) -> Metric:
        found = CounterMetricFamily(
            "tally_http_refused", "Answers that said no, by reason.", labels=["worker", "reason"]
        )
        for worker, snapshot in self._snapshots.items():
            for reason, count in snapshot.reasons.items():
                found.add_metric([worker, reason], count)
        return found

    def _gauge(self, name: str, known: Known) -> Metric:
        found = GaugeMetricFamily(name, known.help, labels=[known.label] if known.label else [])
        for worker, snapshot in self._snapshots.items():
            if known.label == "worker" and name in snapshot.gauges:
                found.add_metric([worker], snapshot.gauges[name])
        read = self._gauges.get(name)
        if read is None:
            return found
        value = read()
        if isinstance(value, Mapping):
            for label, number in value.items():
                found.add_metric([label], number)
        else:
            found.add_metric([], value)
        return found
