"""A gateway from end to end: tills, a ledger that goes away and comes back, and nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from gateways import CODE, Running, Town, medical, order, running


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with Town(tmp_path_factory.mktemp("town")) as town:
        town.up()
        yield town


@pytest.fixture(scope="module")
def gateway(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("gateway")
    with running(town, folder, town.config()) as gateway:
        yield gateway


def test_a_till_issues_its_first_bill(gateway: Running, town: Town) -> None:
    till = gateway.till()
    said = till.post("/v1/bills", order("HIS-1", cashier_shift="A", place_code="W03"))
    assert said.status == 200, said.json
    assert said.json["state"] == "issued" and said.json["said_zh"] == "已开具"
    assert said.json["hand_over"] and said.json["bill"].startswith(f"{CODE}:")
    assert town.bill(CODE, int(said.json["bill"].partition(":")[2])).entry == said.json["entry"]


def test_a_whole_draft_is_issued_and_counts_once_it_is_archived(
    gateway: Running, town: Town
) -> None:
    till = gateway.till()
    said = till.post("/v1/bills", medical(town, "HIS-2", 2))
    assert said.status == 200, said.json
    assert (said.json["state"], said.json["said_zh"]) == ("issuing", "开具中")
    seen = till.get(f"/v1/bills/{said.json['bill']}?receipt=true")
    assert seen.status == 200, seen.json
    assert seen.json["fresh"] and seen.json["ledger_state"] == "issued"
    assert seen.json["receipt"]["format"].startswith("tallystick/receipt/")
    assert till.get("/v1/bills?ref=HIS-2").json["bill"] == said.json["bill"]


def test_the_same_ref_is_the_same_bill_and_other_content_is_refused(gateway: Running) -> None:
    till = gateway.till()
    first, again = (till.post("/v1/bills", order("HIS-3")) for _ in range(2))
    assert first.json["bill"] == again.json["bill"] and again.json["repeated"]
    other = till.post("/v1/bills", order("HIS-3", 1_300))
    assert (other.status, other.json["code"]) == (409, "gateway.ref_taken")
    assert other.json["title_zh"] and other.json["todo"] and other.json["path"] == "ref"


def test_a_refused_draft_leaves_its_ref_free(gateway: Running) -> None:
    till = gateway.till()
    wrong = till.post("/v1/bills", order("HIS-4", total=9_999))
    assert wrong.status == 422 and wrong.json["code"].startswith("bills.")
    right = till.post("/v1/bills", order("HIS-4"))
    assert right.status == 200 and "repeated" not in right.json
    missing = till.post("/v1/bills", {"ref": "HIS-5", "code": CODE})
    assert (missing.status, missing.json["code"]) == (400, "web.malformed")


def test_several_in_one_request_each_fail_alone(gateway: Running) -> None:
    till = gateway.till()
    said = till.post("/v1/bills", [order("L-1"), order("L-2", total=1), order("L-3"), order("L-1")])
    assert said.status == 200, said.json
    first, wrong, third, again = said.json["bills"]
    assert (first["status"], third["status"], again["status"]) == (200, 200, 200)
    assert again["bill"]["bill"] == first["bill"]["bill"] != third["bill"]["bill"]
    assert (wrong["status"], wrong["ref"]) == (422, "L-2")
    assert wrong["problem"]["code"].startswith("bills.") and "bill" not in wrong


def test_sixty_four_tills_at_once_each_get_their_own(gateway: Running, town: Town) -> None:
    till = gateway.till()
    size = town.node.ledger.head.size

    def ask(n: int) -> tuple[str, str]:
        said = till.post("/v1/bills", order(f"C-{n % 60}"))
        assert said.status in (200, 202), said.json
        return f"C-{n % 60}", said.json["bill"]

    with ThreadPoolExecutor(64) as pool:
        found = list(pool.map(ask, range(64)))
    assert len(set(found)) == len({bill for _, bill in found}) == 60
    assert town.node.ledger.head.size - size < 60 + 40  # they travelled together: few blocks


def test_a_bill_is_reversed_and_replaced(gateway: Running, town: Town) -> None:
    till = gateway.till()
    blue = till.post("/v1/bills", order("R-1")).json["bill"]
    asked = {"ref": "R-1-back", "reason": "refund"}
    red, again = (till.post(f"/v1/bills/{blue}/reverse", asked) for _ in range(2))
    assert red.status == 200, red.json
    assert red.json["reverses"] == blue and again.json["bill"] == red.json["bill"]
    assert till.get(f"/v1/bills/{blue}").json["ledger_state"] == "reversed"
    twice = till.post(f"/v1/bills/{blue}/reverse", {"ref": "R-1-twice", "reason": "refund"})
    assert (twice.status, twice.json["code"]) == (422, "bills.rev_ended")

    old = till.post("/v1/bills", order("R-2")).json["bill"]
    draft = {name: value for name, value in order("-", 1_500).items() if name != "ref"}
    new = till.post(f"/v1/bills/{old}/replace", {"ref": "R-3", "reason": "wrong", "draft": draft})
    assert new.status == 200, new.json
    seen = till.get(f"/v1/bills/{new.json['bill']}").json
    assert (seen["total"], seen["replaces"], seen["ref"]) == (1_500, old, "R-3")
    assert till.get(f"/v1/bills/{new.json['red']}").json["reversal_of"] == old
    assert town.bill(CODE, int(old[9:])).state == "reversed"


def test_paper_is_printed_confirmed_and_spoilt_as_asked(gateway: Running, town: Town) -> None:
    till = gateway.till()
    bill, other = (
        till.post("/v1/bills", medical(town, f"P-{n}", 40 + n)).json["bill"] for n in range(2)
    )
    first = till.post(f"/v1/bills/{bill}/paper/next", {})
    assert (first.status, first.json["state"]) == (200, "printing"), first.json
    assert till.post(f"/v1/bills/{bill}/paper/next", {}).json["form"] == first.json["form"]
    assert till.post(f"/v1/bills/{bill}/paper/confirm", {}).json["state"] == "live"
    spoilt = till.post(f"/v1/bills/{other}/paper/next", {}).json["form"]
    assert till.post(f"/v1/bills/{other}/paper/spoil", {}).json["state"] == "none"
    assert spoilt != till.post(f"/v1/bills/{other}/paper/next", {}).json["form"]
    assert till.get(f"/v1/bills/{bill}").json["paper"] == first.json["form"]


def test_a_token_may_do_what_it_is_for_until_it_ends(gateway: Running) -> None:
    assert gateway.till().get("/v1/waiting").status == 200
    nobody = gateway.till()
    nobody._token = None
    said = nobody.post("/v1/bills", order("T-1"))
    assert (said.status, said.json["code"]) == (401, "gateway.token")
    reader = gateway.till("read", name="reader")
    said = reader.post("/v1/bills", order("T-1"))
    assert (said.status, said.json["code"]) == (403, "gateway.may_not")
    assert reader.get("/v1/waiting").status == 200
    assert gateway.house.tokens.revoke("reader")
    assert reader.get("/v1/waiting").status == 401
    here = gateway.till("issue", "reverse", "read", name="w03", place="W03")
    there = gateway.till("issue", "reverse", name="w04", place="W04")
    bill = here.post("/v1/bills", order("T-2")).json["bill"]
    wrong = here.post("/v1/bills", order("T-3", place_code="W09"))
    assert (wrong.status, wrong.json["code"]) == (403, "gateway.other_place")
    foreign = there.post(f"/v1/bills/{bill}/reverse", {"ref": "T-4", "reason": "refund"})
    assert (foreign.status, foreign.json["code"]) == (403, "gateway.other_place")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"ref":"H-1","total":12.30}', "gateway.fraction"),
        (b'{"ref":"H-1","total":1e3}', "gateway.fraction"),
        (b'{"ref":"H-1","total":NaN}', "gateway.fraction"),
        (b'{"ref":"H-1","total":1,"total":2}', "gateway.twice"),
        (b'{"ref":"H-1","total":' + b"9" * 5_000 + b"}", "web.malformed"),
        (b"[" * 100_000, "web.malformed"),
        (b'{"ref":"\xff"}', "web.malformed"),
        (b"", "web.malformed"),
        (b'"text"', "web.malformed"),
        (b"[]", "web.malformed"),
        (b'{"ref":"H-1","number":7}', "web.malformed"),
        (b'{"ref":"H 1","code":33061326}', "web.malformed"),
        (b" " * 5_000_000, "web.too_large"),
    ],
)
def test_hostile_json_is_told_what_is_wrong(gateway: Running, body: bytes, code: str) -> None:
    till = gateway.till()
    said = till.post("/v1/bills", body)
    assert said.json["code"] == code and 400 <= said.status < 500, said.json
    assert till.post("/v1/bills", order("after-" + str(len(body)))).status == 200


def test_other_hosts_and_other_kinds_of_bodies_are_refused(gateway: Running) -> None:
    till = gateway.till()
    said = till.get("/v1/waiting", Host="evil.example")
    assert (said.status, said.json["code"]) == (421, "gateway.host")
    assert till.get("/", Host="evil.example").status == 421
    said = till.ask("POST", "/v1/bills", b"{}", **{"Content-Type": "text/plain"})
    assert said.status in (400, 415)


def test_the_page_and_the_figures_name_nobody(gateway: Running) -> None:
    till = gateway.till()
    till._token = None
    page = till.get("/?lang=zh")
    assert page.status == 200 and "账本已连接" in page.json and 'lang="zh-CN"' in page.json
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.json and "林知夏" not in page.json and "HIS-" not in page.json
    assert "The ledger answers" in till.get("/?lang=en&still=1").json
    assert "http-equiv" not in till.get("/?lang=en&still=1").json
    health = till.get("/v1/health")
    assert (health.status, health.json["state"]) == (200, "ok")
    metrics = till.get("/metrics").json
    assert "tally_gateway_ledger_up 1" in metrics and 'route="/v1/bills"' in metrics
    api = till.get("/v1/openapi.json").json
    assert api["components"]["securitySchemes"].keys() == {"token"}
    assert api["paths"]["/v1/bills"]["post"]["security"] == [{"token": []}]
    assert api["paths"]["/v1/health"]["get"]["security"] == []
