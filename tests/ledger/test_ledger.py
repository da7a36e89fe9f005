"""Admission, idempotency, time, dry runs: what stands before and beside the execution of a block.

Invariant tested: what is not admitted leaves no trace, and nothing is ordered twice.
"""

from __future__ import annotations

import stat
from hashlib import sha256
from pathlib import Path

import pytest
from probe import Set, probe_founders, probe_rules
from world import World, genesis_file, signer

from tallystick.contracts.members.actions.keys import AddKey, RevokeKey
from tallystick.contracts.members.records import NewKey
from tallystick.durable import Locked
from tallystick.ledger.ledger import Ledger, Seen
from tallystick.ledger.portable import export_ledger
from tallystick.protocol.errors import Damaged, Malformed, Rejected, VerificationFailed
from tallystick.protocol.values import format_instant

DAY = 86_400


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, probe_rules(), genesis_file(probe_founders("other")))


def put(world: World, cell: str = "a", then: str = "") -> Set:
    return Set(nonce=world.nonce(), cell=cell, value=1, then=then)


def judge(world: World, *transactions: bytes) -> list[str]:
    """What admission says of each: ``fine``, ``seen <entry>`` or a reason."""
    checked = [world.ledger.check(data) for data in transactions]
    said = []
    for admission in world.ledger.admit(world.at, checked):
        match admission:
            case Rejected():
                said.append(admission.reason.value)
            case Seen(first):
                said.append(f"seen {first}")
            case None:
                said.append("fine")
    return said


def test_a_ledger_is_its_owners_alone(tmp_path: Path) -> None:
    """Rows say which till took how much when: no business of other accounts of the machine."""
    World(tmp_path / "ledger").ledger.close()
    export_ledger(tmp_path / "ledger", tmp_path / "export")
    for folder in ("ledger", "export"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700


# -------------------------------------------------------------------------------- idempotency


def test_the_same_bytes_give_the_old_place_and_other_content_a_conflict(world: World) -> None:
    world.accept("other", "probe.set", put(world))
    key = world.nonce()
    data = world.transaction("other", "probe.set", put(world), idempotency=key)
    other = world.transaction("other", "probe.set", put(world), idempotency=key)
    theirs = world.transaction("finance", "probe.set", put(world), idempotency=key)
    executed = world.block(data)
    assert judge(world, data) == [f"seen {executed.first}"]
    assert judge(world, other) == ["ledger.idempotency_conflict"]
    assert judge(world, theirs) == ["fine"]  # each sender has its own keys
    world.restart()
    assert judge(world, data, other) == [f"seen {executed.first}", "ledger.idempotency_conflict"]


def test_one_key_is_taken_once_within_a_block(world: World) -> None:
    key = world.nonce()
    data = world.transaction("other", "probe.set", put(world), idempotency=key)
    other = world.transaction("other", "probe.set", put(world), idempotency=key)
    assert judge(world, data, other) == ["fine", "ledger.idempotency_conflict"]
    assert judge(world, data, data) == ["fine", "ledger.idempotency_conflict"]
    refused = world.transaction("other", "probe.later", put(world), idempotency=key)
    assert judge(world, refused, data) == ["ledger.action_inactive", "fine"]


def test_a_refused_item_takes_the_key_of_its_transaction_all_the_same(world: World) -> None:
    data = world.transaction("other", "probe.set", put(world, then="refuse"))
    world.block(data)
    assert judge(world, data) == ["seen 0"]


def test_keys_are_kept_until_the_day_of_expiry_has_passed_and_then_dropped(world: World) -> None:
    short = world.transaction("other", "probe.set", put(world), valid_seconds=3600)
    long = world.transaction("other", "probe.set", put(world), valid_seconds=2 * DAY)
    world.block(short, long)
    assert len(world.ledger.store.days()) == 2
    expired = world.at + 3601
    world.at = expired
    assert judge(world, short, long) == ["seen 0", "seen 1"]  # expired, but the day is not over
    world.at = (expired // DAY + 1) * DAY
    world.accept("other", "probe.set", put(world))  # the block at whose end the day is dropped
    assert judge(world, short, long) == ["ledger.expired", "seen 1"]
    world.at += 3 * DAY
    world.accept("other", "probe.set", put(world))
    assert len(world.ledger.store.days()) == 1


# ---------------------------------------------------------------------------------- admission


def test_a_transaction_lives_until_an_instant_and_at_most_three_days(world: World) -> None:
    data = world.transaction("other", "probe.set", put(world), valid_seconds=10)
    assert judge(world, data) == ["fine"]
    world.at += 9
    assert judge(world, data) == ["fine"]
    world.at += 1
    assert judge(world, data) == ["ledger.expired"]
    for seconds, said in ((3 * DAY, "fine"), (3 * DAY + 1, "ledger.valid_too_long")):
        data = world.transaction("other", "probe.set", put(world), valid_seconds=seconds)
        assert judge(world, data) == [said]


def test_only_a_live_key_of_the_sender_that_may_do_this_signs(world: World) -> None:
    def said(sender: str, action: str, key: str) -> str:
        return judge(world, world.transaction(sender, action, put(world), key=key))[0]

    assert said("other", "probe.set", "stranger") == "ledger.key_unknown"
    assert said("other", "probe.set", "keeper") == "ledger.key_unknown"
    assert said("other", "probe.set", "log") == "ledger.key_unknown"
    assert said("other", "probe.set", "finance/key") == "ledger.key_not_senders"
    assert said("other", "probe.set", "other/root") == "ledger.key_action"
    assert said("other", "probe.set", "other/key") == "fine"


def test_a_revoked_key_signs_until_the_block_ends_and_never_after(world: World) -> None:
    new = NewKey(key=signer("other/second").public_key, actions=["*"])
    add = world.transaction(
        "other", "members.add_key", AddKey(nonce=world.nonce(), new=new), key="other/root"
    )
    early = world.transaction("other", "probe.set", put(world), key="other/second")
    assert judge(world, add, early) == ["fine", "ledger.key_unknown"]  # from the next block on
    world.block(add)
    assert judge(world, early) == ["fine"]
    revoke = world.transaction(
        "other",
        "members.revoke_key",
        RevokeKey(nonce=world.nonce(), key=signer("other/second").public_key, reason="compromised"),
        key="other/root",
    )
    executed = world.block(revoke, early)
    assert [list(each) for each in executed.outcomes] == [["accepted"], ["accepted"]]
    late = world.transaction("other", "probe.set", put(world), key="other/second")
    assert judge(world, late) == ["ledger.key_ended"]
    assert judge(world, early) == ["seen 3"]  # what was signed in time stays


def test_a_version_of_an_action_holds_from_and_until_a_block(world: World) -> None:
    def said() -> list[str]:
        later = world.transaction("other", "probe.later", put(world))
        before = world.transaction("other", "probe.before", put(world))
        return judge(world, later, before)

    for block, now in ((1, ["ledger.action_inactive", "fine"]), (2, None), (3, None)):
        assert world.ledger.head.block + 1 == block
        assert said() == (now or said())
        world.accept("other", "probe.set", put(world))
    assert said() == ["fine", "ledger.action_inactive"]


def test_check_refuses_what_is_not_authentic(world: World) -> None:
    data = world.transaction("other", "probe.set", put(world))
    assert world.ledger.check(data).header.sender == "other"
    with pytest.raises(VerificationFailed):
        world.ledger.check(data.replace(b'"sender":"other"', b'"sender":"ether"'))
    with pytest.raises(Malformed):
        world.ledger.check(data + b" ")
    with pytest.raises(Malformed, match="no action"):
        world.ledger.check(world.transaction("other", "bills.issue", put(world)))


# --------------------------------------------------------------------------------------- time


def test_time_never_goes_back_and_may_stand_still(world: World) -> None:
    world.accept("other", "probe.set", put(world))
    world.accept("other", "probe.set", put(world))
    checked = [world.ledger.check(world.transaction("other", "probe.set", put(world)))]
    with pytest.raises(ValueError, match="went back"):
        world.ledger.execute(world.ledger.head.at - 1, checked)
    with pytest.raises(ValueError, match="no block"):
        world.ledger.execute(world.at, [])
    with pytest.raises(ValueError, match="no block was executed"):
        world.ledger.commit()
    world.check()


# ------------------------------------------------------------------------------------ dry run


def test_a_dry_run_says_what_the_block_will_say_and_leaves_no_trace(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.prepare()
    world.issue(1)
    items = [world.issue_item(2), world.issue_item(1), world.issue_item(3), world.issue_item(3)]
    data = world.transaction("hospital", "bills.issue", *items)
    files = sorted(tmp_path.glob("ledger.db*"))
    before = [sha256(path.read_bytes()).digest() for path in files if "shm" not in path.name]
    rows, head = world.rows(), world.ledger.head
    why: dict[int, str] = {}
    told = world.ledger.dry_run(data, world.at, why)
    assert told == world.ledger.dry_run(data, world.at - 1000)  # time does not go back
    assert told.count("accepted") == 2
    assert [why[n].partition(":")[0] for n in sorted(why)] == ["number", "number"]
    after = [sha256(path.read_bytes()).digest() for path in files if "shm" not in path.name]
    assert (after, world.rows(), world.ledger.head) == (before, rows, head)
    assert world.ledger.store.head() == head
    world.check()
    done = world.block(data)
    assert (list(done.outcomes[0]), done.why[0]) == (told, why)


def test_a_dry_run_of_what_would_not_be_ordered_says_why(world: World) -> None:
    data = world.transaction("other", "probe.set", put(world))
    world.at += DAY
    with pytest.raises(Rejected) as refusal:
        world.ledger.dry_run(data, world.at)
    assert refusal.value.reason.value == "ledger.expired"


def test_a_dry_run_of_what_was_done_before_runs_as_if_it_were_new(world: World) -> None:
    data = world.transaction("other", "probe.set", put(world))
    world.block(data)
    assert world.ledger.dry_run(data, world.at) == ["accepted"]


# ------------------------------------------------------------------------------------- folder


def test_a_ledger_is_founded_once_and_opened_by_one_process(world: World, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        Ledger.found(tmp_path, genesis_file(seed=1), world.rules)
    assert (tmp_path / "genesis.json").read_bytes() == world.genesis
    with pytest.raises(Locked):
        Ledger.open(tmp_path, world.rules)
    with pytest.raises(FileNotFoundError):
        Ledger.open(tmp_path / "nowhere", world.rules)
    world.restart()
    world.check()


def test_a_foreign_founding_file_or_a_torn_edge_is_damage(world: World, tmp_path: Path) -> None:
    world.accept("other", "probe.set", put(world))
    world.ledger.close()
    (tmp_path / "genesis.json").write_bytes(genesis_file(probe_founders("other"), seed=1))
    with pytest.raises(Damaged, match="is not the ledger of"):
        Ledger.open(tmp_path, world.rules)
    (tmp_path / "genesis.json").write_bytes(world.genesis)
    ledger = Ledger.open(tmp_path, world.rules)
    ledger.store.db.execute("UPDATE tiles SET data = zeroblob(64)")
    ledger.close()
    with pytest.raises(Damaged, match="right edge"):
        Ledger.open(tmp_path, world.rules)


def test_the_founding_has_rows_and_no_entry(world: World) -> None:
    head = world.ledger.head
    assert (head.block, head.size) == (0, 0)
    assert format_instant(head.at) == world.ledger.genesis.founded_at
    world.check()
    with world.ledger as ledger:
        assert ledger.checkpoint.size == 0
