"""The ledger's own entries, asked of real processes: who may, what is proven, what is refused."""

from __future__ import annotations

import io
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from offices import HOSPITAL, signer
from served import INSURER, OTHER, now
from town import (
    CLAIMED,
    CODE,
    RIGHTLESS,
    SUSPENDED,
    Town,
    TownCity,
    next_number,
    open_town,
    problem_of,
)

from tallystick.client.passes import BILLS_READ, LEDGER_READ
from tallystick.contracts.bills.items.holders import Act, GiveConsent, SaidConsent
from tallystick.contracts.kit.acts import act_message
from tallystick.ledger.feed import read_blocks, read_frame
from tallystick.ledger.store import read_beside
from tallystick.protocol.canonical import decode, encode, parse
from tallystick.protocol.checkpoint import parse_checkpoint, parse_note
from tallystick.protocol.trust import verify_checkpoint
from tallystick.protocol.values import format_instant
from tallystick.verify import Verdict, Verifier
from tallystick.web.ledger_records import HealthAnswer

TRANSACTIONS = "/api/v1/transactions"
WAIT = "wait=20"


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with open_town(tmp_path_factory.mktemp("town")) as town:
        yield town


@pytest.fixture(scope="module")
def sent(town: Town) -> tuple[bytes, dict[str, Any]]:
    """A transaction of two bills and a refused one, and its answer."""
    items = [town.issue_item(number=next_number()) for _ in range(2)]
    items.append(town.issue_item(number=1))
    data = town.sign(HOSPITAL, "bills.issue/1", *items)
    answer = town.submit(data)
    assert answer.status_code == 200
    return data, answer.json()


def taken(town: Town, data: bytes) -> dict[str, Any]:
    answer = town.submit(data)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def size_of(town: Town) -> int:
    return int(town.get("finance", "/api/v1/head").json()["size"])


# ------------------------------------------------------------------------------------ acts


def test_each_item_has_its_own_fate_and_its_reason(sent: tuple[bytes, dict[str, Any]]) -> None:
    _, told = sent
    assert (told["count"], told["refused"]) == (3, {"2": "bills.number_used"})
    assert "repeated" not in told and len(told["tx_id"]) == 64


def test_the_same_bytes_again_have_the_old_answer(
    town: Town, sent: tuple[bytes, dict[str, Any]]
) -> None:
    data, told = sent
    before = size_of(town)
    with ThreadPoolExecutor(8) as pool:
        again = list(pool.map(lambda _: taken(town, data), range(16)))
    told = {name: value for name, value in told.items() if name != "why"}
    assert all(each == told | {"repeated": True} for each in again)
    assert size_of(town) == before


def test_the_key_of_an_act_is_good_for_one_content(town: Town) -> None:
    key = b"k" * 16
    told = taken(town, town.issue(idempotency=key))
    other = town.submit(town.issue(idempotency=key))
    assert problem_of(other) == (409, "ledger.idempotency_conflict")
    path = f"{TRANSACTIONS}?sender={HOSPITAL}&idempotency={key.hex()}"
    assert town.get(HOSPITAL, path).json() == told | {"repeated": True}


@pytest.mark.parametrize(
    ("named", "status", "code"),
    [
        ({"key": "stranger"}, 403, "ledger.key_unknown"),
        ({"key": f"{OTHER}/key"}, 403, "ledger.key_not_senders"),
        ({"valid_until": format_instant(now() - 7_200)}, 422, "ledger.expired"),
        ({"network": bytes(32)}, 422, "web.false"),
    ],
)
def test_what_is_not_ordered_says_why(
    town: Town, named: dict[str, Any], status: int, code: str
) -> None:
    data = town.issue(**named)
    found = problem_of(town.submit(data))
    assert found[0] in (status, 400) if code == "web.false" else found == (status, code)
    rehearsed = town.ask(None, "POST", f"{TRANSACTIONS}/dry-run", body=data)
    assert problem_of(rehearsed) == found


def test_a_false_signature_and_other_bytes_are_refused_before_the_writer(town: Town) -> None:
    parts = decode(town.issue(), dict[str, Any])
    signature = bytearray(b64decode(parts["signature"]))
    signature[5] ^= 1
    false = encode(parts | {"signature": b64encode(bytes(signature)).decode()})
    assert problem_of(town.submit(false)) == (422, "web.false")
    spaced = town.issue().replace(b'"items":', b'"items": ')
    for data in (spaced, b"", b"{}", b"null", b"[" * 100_000, b"\xff", b'{"a":1,"a":2}'):
        assert problem_of(town.submit(data)) == (400, "web.malformed")


def test_a_body_of_another_type_or_size_is_not_read(town: Town) -> None:
    plain = town.ask(None, "POST", TRANSACTIONS, body=b"{}", media="text/plain")
    assert problem_of(plain) == (415, "web.unsupported_media")
    large = town.ask(None, "POST", TRANSACTIONS, body=b"[" + b" " * 600_000)
    assert problem_of(large) == (413, "web.too_large")


def test_who_is_suspended_is_refused_item_by_item(town: Town) -> None:
    told = taken(town, town.sign(SUSPENDED, "bills.issue/1", town.issue_item(number=9_999)))
    assert told["refused"] == {"0": "kit.suspended"}
    told = taken(town, town.sign(RIGHTLESS, "bills.issue/1", town.issue_item(number=9_999)))
    assert told["refused"]["0"] == "kit.no_grant"


def test_a_dry_run_says_what_would_be_and_leaves_no_trace(town: Town) -> None:
    before = size_of(town), town.get("finance", f"/api/v1/slots/{CODE}?first=1&last=9999").content
    number = next_number()
    items = [town.issue_item(number=number), town.issue_item(number=number)]
    data = town.sign(HOSPITAL, "bills.issue/1", *items)
    for _ in range(3):
        answer = town.ask(None, "POST", f"{TRANSACTIONS}/dry-run", body=data)
        assert answer.json()["outcomes"] == ["accepted", "bills.number_used"]
    after = size_of(town), town.get("finance", f"/api/v1/slots/{CODE}?first=1&last=9999").content
    assert after == before
    path = f"{TRANSACTIONS}?sender={HOSPITAL}&idempotency="
    idempotency = decode(data, dict[str, Any])["header"]["idempotency"]
    unknown = path + b64decode(idempotency).hex()
    assert town.code(HOSPITAL, unknown) == (404, "web.not_found")
    assert taken(town, data)["refused"] == {"1": "bills.number_used"}
    assert town.get(HOSPITAL, unknown).status_code == 200


# -------------------------------------------------------------------------------- receipts


def test_a_receipt_of_each_item_verifies_under_the_keepers_policy(
    town: Town, sent: tuple[bytes, dict[str, Any]]
) -> None:
    _, told = sent
    verifier = Verifier(town.policy)
    for n, verdict in enumerate([Verdict.ACCEPTED, Verdict.ACCEPTED, Verdict.REFUSED]):
        index = told["first"] + n
        answer = town.get(HOSPITAL, f"/api/v1/receipts/{index}?{WAIT}")
        verified = verifier.receipt(answer.content)
        assert (verified.index, verified.verdict) == (index, verdict)
        assert verified.orgs == ("finance",) and verified.tx_id == told["tx_id"]


def test_a_batch_receipt_proves_all_items_at_once(
    town: Town, sent: tuple[bytes, dict[str, Any]]
) -> None:
    data, told = sent
    path = f"{TRANSACTIONS}/at/{told['first'] + 1}/receipt?{WAIT}"
    proven = Verifier(town.policy).batch(data, town.get(HOSPITAL, path).content)
    assert proven.outcomes == ("accepted", "accepted", "bills.number_used")
    assert (proven.first, proven.tx_id) == (told["first"], told["tx_id"])


def test_a_receipt_shows_a_rows_state_to_whoever_may_read_the_row(town: Town) -> None:
    entry, verifier = town.bill(0).entry, Verifier(town.policy)
    of_it = f"bills.bill/{town.bill(0).id}"
    answer = town.get(HOSPITAL, f"/api/v1/receipts/{entry}?row={of_it}&{WAIT}")
    verified = verifier.receipt(answer.content, status=True, now=now(), about=town.bill(0).id)
    assert verified.verdict is Verdict.GOOD
    told = taken(town, town.sign(OTHER, "bills.issue/1", town.issue_item(number=9_998)))
    own = f"/api/v1/receipts/{told['first']}"
    assert town.code(OTHER, f"{own}?{WAIT}") == (200, "")
    assert town.code(OTHER, f"{own}?row={of_it}&{WAIT}") == (403, "web.forbidden")
    assert town.code(OTHER, f"{own}?row=bills.claim/x&{WAIT}") == (403, "web.forbidden")
    assert town.code(OTHER, f"{own}?row=none.such/x&{WAIT}") == (404, "web.not_found")
    assert town.code(OTHER, f"{own}?row=x&{WAIT}") == (400, "web.malformed")


def test_who_may_not_learns_nothing_of_entries(
    town: Town, sent: tuple[bytes, dict[str, Any]]
) -> None:
    index = sent[1]["first"]
    for path in (
        f"/api/v1/receipts/{index}",
        f"{TRANSACTIONS}/at/{index}",
        f"{TRANSACTIONS}/at/{index}/receipt",
    ):
        assert town.code(None, path) == (401, "web.unsigned")
        for who in (OTHER, RIGHTLESS, SUSPENDED):
            assert town.code(who, path) == (403, "web.forbidden"), path
        assert town.code(town.pass_of(HOSPITAL, LEDGER_READ), path) == (403, "web.forbidden")
        narrow = town.pass_of(HOSPITAL, BILLS_READ, codes=[44])
        assert town.code(narrow, path) == (403, "web.forbidden")
        wide = town.pass_of(HOSPITAL, BILLS_READ, codes=[33])
        assert town.code(wide, f"{path}?wait=20" if "receipt" in path else path) == (200, "")
        assert town.code(signer("keeper"), path) == (200, "")


def test_a_pass_that_is_not_for_bills_finds_no_transaction(town: Town) -> None:
    key = b"p" * 16
    taken(town, town.issue(idempotency=key))
    path = f"{TRANSACTIONS}?sender={HOSPITAL}&idempotency={key.hex()}"
    assert town.code(town.pass_of(HOSPITAL, BILLS_READ), path) == (200, "")
    assert town.code(town.pass_of(HOSPITAL, BILLS_READ, codes=[44]), path)[0] == 403
    assert town.code(OTHER, path) == (403, "web.forbidden")
    assert town.code("finance", path) == (200, "")
    assert town.code(OTHER, path.replace(HOSPITAL, OTHER)) == (404, "web.not_found")
    assert town.code(OTHER, f"{TRANSACTIONS}?sender={OTHER}") == (400, "web.malformed")


def test_a_dry_run_tells_nothing_of_bills_that_its_sender_may_not_read(town: Town) -> None:
    """Else any member could ask, without a trace, which numbers of any hospital are used."""
    key = signer("of no bill")

    def consent(bill: str) -> GiveConsent:
        said = SaidConsent(
            nonce=bytes(16),
            bill=bill,
            bound=0,
            reader=RIGHTLESS,
            purpose="claim",
            fields=bytes(32),
            until=format_instant(now() + 3_600),
        )
        message = act_message(town.city.node.network, "bills.consent/1", said)
        act = Act(key=key.public_key, salt=bytes(32), signature=key.sign(message))
        return GiveConsent(nonce=bytes(16), said=said, act=act)

    bills = (town.bill(0).id, town.bill(CLAIMED).id, f"{CODE}:0000009990")
    told = {}
    for sender in (RIGHTLESS, "finance"):
        data = town.sign(sender, "bills.consent/1", *map(consent, bills))
        answer = town.ask(None, "POST", f"{TRANSACTIONS}/dry-run", body=data)
        told[sender] = answer.json()["outcomes"]
    assert told[RIGHTLESS] == ["web.forbidden"] * 3
    assert told["finance"] == ["bills.holder_key", "bills.holder_key", "bills.bill_unknown"]


def test_what_is_not_there_or_is_no_entry(town: Town) -> None:
    leaf = size_of(town) - 1  # of the last block
    assert town.code("finance", f"/api/v1/receipts/{leaf}") == (404, "web.not_found")
    for index in ("999999", "9007199254740993", "9" * 40, "1" * 3_000, "-1", "1.0", "%31x", "x"):
        assert town.code("finance", f"/api/v1/receipts/{index}") == (404, "web.not_found"), index
    assert town.code("finance", f"/api/v1/receipts/{'1' * 5_000}") == (414, "web.address_too_long")


def test_how_long_to_wait_is_bounded(town: Town) -> None:
    path = f"/api/v1/receipts/{town.bill(0).entry}"
    assert town.code(HOSPITAL, f"{path}?wait=30") == (200, "")
    for wait in ("31", "-1", "1.0", "1e1", "null", "", "07", "9007199254740993", "9" * 400):
        assert town.code(HOSPITAL, f"{path}?wait={wait}") == (400, "web.malformed"), wait
    assert town.code(HOSPITAL, f"{path}?wait=1&wait=2") == (400, "web.malformed")
    assert town.code(HOSPITAL, f"{path}?wait=1&other=2") == (400, "web.malformed")


def test_before_the_keepers_have_signed_it_is_not_yet(town: Town) -> None:
    """At once after its block no entry is under a note that meets the policy."""
    told = taken(town, town.issue())
    answer = town.get(HOSPITAL, f"/api/v1/receipts/{told['first']}")
    assert problem_of(answer) == (202, "web.not_yet")
    assert answer.headers["retry-after"] == "1"
    assert town.code(HOSPITAL, f"/api/v1/receipts/{told['first']}?{WAIT}") == (200, "")


# ------------------------------------------------------------------------------------ rows


def test_a_row_is_proven_and_so_is_its_absence(town: Town) -> None:
    verifier, there = Verifier(town.policy), "members.member/insurer-01"
    for name, absent in ((there, False), ("members.member/nobody", True)):
        answer = town.get(OTHER, f"/api/v1/rows/{name}?proof=1").json()
        verified = verifier.state(encode(answer["proof"]), now=now(), about=name)
        assert (verified.absent, answer.get("row") is None) == (absent, absent)
        assert verified.state is not None and verified.state.key == name
        assert town.get(OTHER, f"/api/v1/rows/{name}").json().get("row") == answer.get("row")
    free = f"bills.bill/{CODE}:0000009990"
    answer = town.get("finance", f"/api/v1/rows/{free}?proof=1").json()
    assert verifier.state(encode(answer["proof"]), now=now(), about=free).absent


def test_rows_are_listed_to_whoever_may_read_each(town: Town) -> None:
    found = town.get(OTHER, "/api/v1/rows/members.member").json()["rows"]
    names = [each["id"] for each in found]
    assert names == sorted(names) and {HOSPITAL, OTHER, INSURER, SUSPENDED} <= set(names)
    one = town.get(OTHER, "/api/v1/rows/members.member?prefix=hospital-&limit=1").json()
    assert ([each["id"] for each in one["rows"]], one["after"]) == ([HOSPITAL], HOSPITAL)
    rest = town.get(OTHER, f"/api/v1/rows/members.member?prefix=hospital-&after={HOSPITAL}").json()
    assert [each["id"] for each in rest["rows"]] == [OTHER, SUSPENDED] and "after" not in rest
    assert town.get(OTHER, "/api/v1/rows/bills.claim").json() == {}
    assert len(town.get(INSURER, "/api/v1/rows/bills.claim").json()["rows"]) == 1


def test_slots_are_those_of_bills_that_the_caller_may_read(town: Town) -> None:
    path = f"/api/v1/slots/{CODE}?first=1&last=6"
    assert len(town.get(HOSPITAL, path).json()["rows"]) == 6
    first = town.get(HOSPITAL, f"{path}&limit=2").json()
    assert first["after"] == f"{CODE}:0000000002"
    assert town.get(RIGHTLESS, path).json() == {}
    for code in ("1", "999999999", "9007199254740993", "9" * 100):
        assert town.code("finance", f"/api/v1/slots/{code}?first=1&last=6")[0] == 404
    for query in (
        "first=0&last=6",
        "first=1&last=10000000000",
        "first=1",
        "first=1&last=2&limit=0",
    ):
        assert town.code("finance", f"/api/v1/slots/{CODE}?{query}") == (400, "web.malformed")


def test_no_page_tells_that_there_are_bills_beyond_what_may_be_read(town: Town) -> None:
    holder, shown = town.holder(0)
    own = town.issued[0].number
    for last in (own, own + 1, 9_999):
        path = f"/api/v1/slots/{CODE}?first={own}&last={last}&limit=1"
        found = town.get(holder, path, **shown).json()
        assert [each["id"] for each in found["rows"]] == [town.bill(0).id]
        assert "after" not in found
    whole = town.get(HOSPITAL, f"/api/v1/slots/{CODE}?first={own}&last={own + 1}&limit=1").json()
    assert whole["after"] == town.bill(0).id
    assert isinstance(town.city, TownCity)
    town.city.claim(town.bill(3).id, 400)
    assert town.code("finance", f"/api/v1/receipts/{size_of(town) - 2}?{WAIT}") == (200, "")
    holder, shown = town.holder(CLAIMED)
    found = town.get(holder, "/api/v1/rows/bills.claim?limit=1", **shown).json()
    assert [each["id"] for each in found["rows"]] == [f"{town.bill(CLAIMED).id}/0"]
    assert "after" not in found


def test_rows_that_no_one_may_name(town: Town) -> None:
    for path in (
        "/api/v1/rows/none.such/x",
        "/api/v1/rows/none.such",
        f"/api/v1/rows/bills.bill/{CODE}:1",
        f"/api/v1/rows/bills.bill/{CODE}:{'9' * 30}",
        f"/api/v1/rows/bills.bill/{CODE}:%C2%B2%C2%B2",
        "/api/v1/rows/bills.bill/x",
        "/api/v1/rows/",
        "/api/v1/rows",
    ):
        assert town.code("finance", path) == (404, "web.not_found"), path


# ------------------------------------------------------------------------- public and feed


def test_anyone_may_know_which_network_it_is(town: Town) -> None:
    network = town.get(None, "/api/v1/network").json()
    assert b64decode(network["network"]) == town.city.node.network
    assert network["takes_transactions"] is True
    genesis = town.get(None, "/api/v1/genesis").content
    assert genesis == (town.city.node.folder / "genesis.json").read_bytes()
    health = parse(town.get(None, "/api/v1/health").content, HealthAnswer)
    assert health.state in ("ok", "starting")
    note = parse_note(town.get(None, "/checkpoint").content)
    assert parse_checkpoint(note.text).size > 20


def test_blocks_are_for_keepers_and_by_grant(town: Town) -> None:
    size = parse_checkpoint(parse_note(town.get(None, "/checkpoint").content).text).size
    path = f"/api/v1/feed/blocks?after=0&size={size}"
    assert town.code(None, path) == (401, "web.unsigned")
    for who in (HOSPITAL, OTHER, RIGHTLESS):
        assert town.code(who, path) == (403, "web.forbidden") or who == HOSPITAL
    answer = town.get(signer("keeper"), path)
    assert answer.headers["content-type"] == "application/octet-stream"
    file = io.BytesIO(answer.content)
    blocks = [each.block for each in iter(lambda: read_frame(file), None)]
    assert blocks == list(range(1, len(blocks) + 1)) and blocks
    assert town.get("finance", path).content == answer.content
    for query in ("after=-1&size=1", "after=0", "after=0&size=9007199254740993", "after=0&size=x"):
        assert town.code("finance", f"/api/v1/feed/blocks?{query}") == (400, "web.malformed")
    far = f"/api/v1/feed/blocks?after={2**53 - 1}&size={2**53 - 1}"
    assert town.get("finance", far).content == b""


def test_a_cosignature_proves_itself(town: Town) -> None:
    note = town.get(None, "/checkpoint").content
    lone = note.partition(b"\n\n")[0] + b"\n\n" + note.partition(b"\n\n")[2].split(b"\n")[0] + b"\n"
    posted = {
        note: (200, ""),
        lone: (422, "web.false"),
        note.replace(b"example/city", b"example/town"): (422, "web.false"),
        b"": (400, "web.malformed"),
        b"\x00" * 100: (400, "web.malformed"),
    }
    for body, expected in posted.items():
        answer = town.ask(None, "POST", "/api/v1/cosignatures", body=body, media="text/plain")
        assert problem_of(answer) == expected
    large = town.ask(None, "POST", "/api/v1/cosignatures", body=b"x" * 20_000, media="text/plain")
    assert problem_of(large) == (413, "web.too_large")


def test_a_problem_is_told_in_two_languages_and_what_to_do(town: Town) -> None:
    answer = town.get(OTHER, town.path())
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    document = answer.json()
    assert document["title"] == "whoever asks has no right to see this"
    assert document["title_zh"] == "无权查询此内容"
    assert document["todo"] and document["todo_zh"]
    missing = town.get(OTHER, f"{TRANSACTIONS}?sender=x")
    assert missing.json()["path"].startswith("query")
    unsigned = town.get(None, town.path())
    assert unsigned.headers["www-authenticate"] == "Signature, Bearer"


# --------------------------------------------------------------------------------- moments


def test_moments_keep_up_with_a_stream_of_submissions(town: Town) -> None:
    """What is proven is never older than two seconds or so, and of the one history."""
    ends, verifier = time.monotonic() + 4, Verifier(town.policy)
    times: list[tuple[int, float]] = []

    def stream() -> None:
        while time.monotonic() < ends:
            told = taken(town, town.issue())
            times.append((told["first"], time.monotonic()))

    threads = [threading.Thread(target=stream) for _ in range(3)]
    for each in threads:
        each.start()
    seen, lags = dict[int, bytes](), list[float]()
    while time.monotonic() < ends:
        asked = time.monotonic()
        answer = town.get("finance", "/api/v1/rows/members.member/finance?proof=1")
        assert answer.status_code == 200, answer.text
        note = answer.json()["proof"]["checkpoint"].encode()
        verifier.state(encode(answer.json()["proof"]), now=now())
        verify_checkpoint(town.policy, parse_note(note))
        checkpoint = parse_checkpoint(parse_note(note).text)
        assert seen.setdefault(checkpoint.size, checkpoint.root) == checkpoint.root
        uncovered = [at for first, at in list(times) if first >= checkpoint.size]
        lags.append(asked - min(uncovered, default=asked))
        time.sleep(0.02)
    for each in threads:
        each.join()
    assert len(seen) >= 2 and len(times) > 50
    assert sorted(lags)[len(lags) * 9 // 10] < 2.5, sorted(lags)[-5:]
    assert max(lags) < 6
    index = max(first for first, _ in times)
    assert max(seen) <= index + 3
    with read_beside(town.city.node.folder) as snapshot:
        roots = {each.size: each.root for each in read_blocks(snapshot, 1)}
    assert {size: roots[size] for size in seen} == seen
