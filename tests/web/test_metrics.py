"""What Prometheus reads: parsed by its own parser, bounded, and true to what was counted."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tallystick.protocol.canonical import decode, encode
from tallystick.web.exchange import Exchange
from tallystick.web.metrics import (
    BUCKETS_MICROSECONDS,
    GAUGES,
    UNROUTED,
    Counts,
    Gauges,
    Snapshot,
    render,
)

ROUTE = "/api/v1/bills/{code}/{number}"


def counted() -> Counts:
    counts = Counts({"tally_http_in_flight": lambda: 3})
    for seconds in (0.0004, 0.001, 0.02, 45.0):
        counts.request(
            Exchange("x", "GET", route=ROUTE, status=200, seconds=seconds, bytes_out=100)
        )
    counts.request(Exchange("x", "POST", route=ROUTE, status=403, reason="web.forbidden"))
    counts.request(Exchange("x", "BREW", status=400, reason="web.malformed", bytes_in=7))
    return counts


LABELS = ("worker", "keeper", "route", "reason", "method", "status", "le")


def samples(data: bytes) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels[each] for each in LABELS if each in sample.labels)): (
            sample.value
        )
        for family in text_string_to_metric_families(data.decode())
        for sample in family.samples
    }


def test_requests_are_counted_by_template_method_and_status() -> None:
    found = samples(render({"1": counted().snapshot()}))
    assert found["tally_http_requests_total", ("1", ROUTE, "GET", "200")] == 4
    assert found["tally_http_requests_total", ("1", ROUTE, "POST", "403")] == 1
    assert found["tally_http_requests_total", ("1", UNROUTED, "other", "400")] == 1
    assert found["tally_http_refused_total", ("1", "web.forbidden")] == 1
    assert found["tally_http_answer_bytes_total", ("1", ROUTE)] == 400
    assert found["tally_http_request_bytes_total", ("1", UNROUTED)] == 7


def test_latency_stands_in_cumulative_buckets() -> None:
    found = samples(render({"1": counted().snapshot()}))
    name = "tally_http_request_seconds"
    assert found[f"{name}_bucket", ("1", ROUTE, "0.001")] == 3  # one of them took no time at all
    assert found[f"{name}_bucket", ("1", ROUTE, "0.025")] == 4
    assert found[f"{name}_bucket", ("1", ROUTE, "30")] == 4
    assert found[f"{name}_bucket", ("1", ROUTE, "+Inf")] == 5
    assert found[f"{name}_count", ("1", ROUTE)] == 5
    assert found[f"{name}_sum", ("1", ROUTE)] == pytest.approx(45.0214)


def test_workers_are_told_apart_and_travel_as_bytes() -> None:
    one, two = counted().snapshot(), Counts().snapshot()
    assert decode(encode(one), Snapshot) == one
    found = samples(render({"1": one, "2": counted().snapshot(), "3": two}))
    assert found["tally_http_in_flight", ("2",)] == 3
    workers = {labels[0] for name, labels in found if name == "tally_http_requests_total"}
    assert workers == {"1", "2"}


def test_gauges_are_read_when_they_are_asked_for() -> None:
    size = [7]
    gauges: Gauges = {
        "tally_ledger_size": lambda: size[0],
        "tally_keeper_lag_blocks": lambda: {"finance": 0, "insurer": 4},
    }
    assert samples(render({}, gauges))["tally_ledger_size", ()] == 7
    size[0] = 8
    found = samples(render({}, gauges))
    assert found["tally_ledger_size", ()] == 8
    assert found["tally_keeper_lag_blocks", ("insurer",)] == 4
    assert ("tally_wal_bytes", ()) not in found


def test_what_promtool_asks_of_names_units_and_help() -> None:
    """Counters end in _total, nothing else does; base units; every metric has help and a type."""
    worker = {name: (lambda: 1) for name, known in GAUGES.items() if known.label == "worker"}
    snapshot = Counts(worker).snapshot()
    snapshot.routes.update(counted().snapshot().routes)
    gauges = {
        name: (lambda label=known.label: {"finance": 1} if label else 1)
        for name, known in GAUGES.items()
        if known.label != "worker"
    }
    data = render({"1": snapshot}, gauges)
    families = list(text_string_to_metric_families(data.decode()))
    assert {family.name for family in families} >= set(GAUGES)
    for family in families:
        assert re.fullmatch(r"tally_[a-z_]+", family.name) and family.documentation.endswith(".")
        assert not re.search(r"(milliseconds|microseconds|kilobytes|_ms|_mb)", family.name)
        assert family.type in {"counter", "gauge", "histogram"}
        for sample in family.samples:
            assert sample.name.endswith("_total") is (family.type == "counter")
            assert all(re.fullmatch(r"[a-z_]+", label) for label in sample.labels)
    assert data.endswith(b"\n") and data.count(b"# TYPE") == len(families)


def test_what_clients_send_makes_no_series() -> None:
    counts = Counts()
    for number in range(200):
        counts.request(Exchange("x", f"M{number}", client=f"10.0.0.{number}", status=404))
    assert list(counts.snapshot().routes) == [UNROUTED]
    assert counts.snapshot().routes[UNROUTED].statuses == [("other", 404, 200)]


def test_buckets_reach_from_a_millisecond_to_half_a_minute() -> None:
    assert BUCKETS_MICROSECONDS[0] == 1_000 and BUCKETS_MICROSECONDS[-1] == 30_000_000
    assert sorted(set(BUCKETS_MICROSECONDS)) == list(BUCKETS_MICROSECONDS)
    assert 15_000 in BUCKETS_MICROSECONDS and 150_000 in BUCKETS_MICROSECONDS  # what is promised
