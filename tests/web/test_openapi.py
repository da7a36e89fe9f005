"""The API document is valid, whole and true: schemathesis asks real processes what it says.

`HYPOTHESIS_PROFILE=explore` asks longer, and otherwise each time.
"""

from __future__ import annotations

import os
import re
import secrets
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from offices import HOSPITAL, signer
from schemathesis.engine import events, from_schema
from served import now
from town import CODE, TWO_WORKERS, Town, open_town

from tallystick.client.signing import sign_request
from tallystick.protocol.keys import Signer
from tallystick.web.endpoint import Access
from tallystick.web.openapi import STATUSES
from tallystick.worker import ENDPOINTS

EXPLORE = os.environ.get("HYPOTHESIS_PROFILE") == "explore"
EXAMPLES, SEED = (300, secrets.randbits(32)) if EXPLORE else (6, 5)
LETTERS = '[bodies]\nbox = "letters"\nreceivers = ["finance"]\nwallets = true\n'
REFUSED = [400, 401, 403, 404, 405, 406, 413, 414, 415, 422, 431]
SAYS_LESS = {
    "POST /api/v1/bills/check",
    "POST /api/v1/cosignatures",
    "POST /api/v1/hooks",
    "POST /api/v1/transactions",
    "POST /api/v1/transactions/dry-run",
    "POST /api/v1/deliveries",
    "POST /api/v1/boxes",
}
"""Whose bodies no schema can describe whole: they are signed, sealed, or name an address."""


class Signing(requests.auth.AuthBase):
    """Signs what schemathesis sends, as it is sent."""

    def __init__(self, key: Signer) -> None:
        self._key = key

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        body = r.body or b""
        r.body = body.encode() if isinstance(body, str) else body
        at, nonce = now(), secrets.token_bytes(16)
        named: dict[str, Any] = {"created": at, "expires": at + 30, "nonce": nonce}
        assert r.method is not None and r.url is not None and isinstance(r.body, bytes)
        added = sign_request(r.method, r.url, {}, r.body, self._key, **named)
        r.headers.update(added)
        return r


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with open_town(tmp_path_factory.mktemp("town"), toml=TWO_WORKERS + LETTERS) as town:
        yield town


@pytest.fixture(scope="module")
def document(town: Town) -> dict[str, Any]:
    found: dict[str, Any] = town.get(None, "/api/v1/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_it_is_valid_openapi(document: dict[str, Any]) -> None:
    schemathesis.openapi.from_dict(document).validate()
    for name, schema in document["components"]["schemas"].items():
        whole = schema | {"components": document["components"]}
        jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        assert re.fullmatch(r"[A-Za-z]+", name), "two records have one name"


def test_every_entry_is_in_it_with_an_id_of_its_own_and_who_may_ask(
    document: dict[str, Any],
) -> None:
    found = {(method, path): each for method, path, each in operations(document)}
    names = Counter(each["operationId"] for each in found.values())
    assert [name for name, count in names.items() if count > 1] == []
    for each in ENDPOINTS:
        operation = found[each.method, re.sub(r":\w+\}", "}", each.path)]
        signed: list[Any] = [{"signature": []}, {"pass": []}]
        signed = signed if each.access is Access.SIGNED else []
        assert operation["security"] == signed
        assert operation["summary"] and ("requestBody" in operation) == (each.body is not None)
        assert {"401", "403", "429"} <= set(operation["responses"]) or not signed
    beside = {"/", "/verify", "/checkpoint", "/tile/{level}/{index}", "/api/v1/openapi.json"}
    assert beside <= {path for _, path in found}
    assert {"/api/v1/events", "/api/v1/bills/check", "/api/v1/boxes"} <= {p for _, p in found}


def test_each_status_has_its_meaning(document: dict[str, Any]) -> None:
    told = {status for _, _, each in operations(document) for status in each["responses"]}
    assert told <= {"200", "204"} | {str(status) for status in STATUSES}
    for status in ("202", "429", "503"):
        assert "Retry-After" in document["components"]["responses"][status]["headers"]


def test_no_other_method_is_taken(town: Town, document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        allowed = {each.upper() for each in methods}
        allowed |= {"HEAD"} if "GET" in allowed else set()
        where = re.sub(r"\{\w+\}", "1", path).replace("/tile/1/1", "/tile/0/000")
        for method in {"GET", "PUT", "PATCH", "DELETE", "POST", "TRACE"} - allowed:
            answer = town.ask(None, method, where)
            assert answer.status_code == 405, (method, where)
            assert set(answer.headers["allow"].split(", ")) == allowed


def test_what_it_says_is_so(town: Town) -> None:
    """Examples that fit and that do not, boundaries, other methods: no answer but as described."""
    config = schemathesis.Config.from_dict(
        {
            "seed": SEED,
            "max-failures": 100,
            "checks": {"negative_data_rejection": {"expected-statuses": REFUSED}},
            "phases": {"stateful": {"enabled": False}},
            "generation": {"max-examples": EXAMPLES, "mode": "all", "database": "none"},
        }
    )
    schema = schemathesis.openapi.from_url(
        f"{town.served.url}/api/v1/openapi.json", config=config
    ).exclude(path="/api/v1/events")  # which does not end
    schema.auth.set_from_requests(Signing(signer("finance/key")))
    failures, asked, checked = list[str](), Counter[str](), Counter[str]()
    for event in from_schema(schema).execute():
        assert not isinstance(event, events.FatalError | events.NonFatalError), event
        if not isinstance(event, events.ScenarioFinished):
            continue
        for name, checks in event.recorder.checks.items():
            for check in checks:
                checked[check.name] += 1
                if check.failure_info is not None:
                    failures += _failure(event.recorder, name, check.failure_info.failure)
            asked[str(event.label)] += 1
    assert sorted(set(failures)) == []
    assert len(asked) > 35 and sum(asked.values()) > 800
    assert checked["response_schema_conformance"] > 500


def _failure(recorder: Any, name: str, failure: Any) -> Iterator[str]:
    rejected = type(failure).__name__ == "RejectedPositiveData"
    if rejected and failure.operation in SAYS_LESS:
        return
    response = recorder.interactions[name].response
    told = response.content[:300] if response is not None else b""
    yield f"{failure.operation}: {failure.title}: {failure.message[:300]}: {told!r}"


@given(
    totals=st.lists(st.integers(-5, 2**53 + 5) | st.integers(1, 50_000), min_size=1, max_size=6),
    more=st.fixed_dictionaries(
        {},
        optional={
            "currency": st.sampled_from(["CNY", "USD", "cny"]),
            "type_version": st.integers(0, 3),
            "level": st.integers(0, 9),
            "first": st.integers(0, 20_000),
            "code": st.sampled_from([CODE, CODE + 100, 1, 99_999_999]),
        },
    ),
    first=st.integers(1, 11_000),
    atomic=st.booleans(),
)
@settings(
    max_examples=EXAMPLES * 10,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_what_is_signed_and_of_the_form_is_entered_as_described(
    town: Town, totals: list[int], first: int, more: dict[str, Any], atomic: bool
) -> None:
    """Whatever it says: each item is accepted or has its reason, and the dry run said so before."""
    items = [
        town.issue_item(number=first + n, total=each, account=0, cash=each, self_pay=each, **more)
        for n, each in enumerate(totals)
    ]
    data = town.sign(HOSPITAL, "bills.issue/1", *items, atomic=atomic)
    rehearsed = town.ask(None, "POST", "/api/v1/transactions/dry-run", body=data)
    entered = town.submit(data)
    schemas = town.get(None, "/api/v1/openapi.json").json()["components"]["schemas"]
    if entered.status_code != 200:
        assert (entered.status_code, rehearsed.status_code) == (400, 400)
        jsonschema_rs.validate(schemas["Problem"], entered.json())
        return
    told = entered.json()
    jsonschema_rs.validate(schemas["Told"], told)
    jsonschema_rs.validate(schemas["DryRun"], rehearsed.json())
    outcomes = [told.get("refused", {}).get(str(n), "accepted") for n in range(told["count"])]
    assert rehearsed.json()["outcomes"] == outcomes
    held = town.get(HOSPITAL, f"/api/v1/transactions/at/{told['first']}").json()
    jsonschema_rs.validate(schemas["Held"], held)
