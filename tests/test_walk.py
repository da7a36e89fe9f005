"""The walk of docs/architecture.md as a story: begin reading here.

A hospital issues a bill. Each step is the code that does it in a real network: an operator's node,
a keeper and an archive in folders of their own, and at the end a reader who has nothing but a file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vaults import VAULT_KEY, business_of, check_content, prepare, record_of, root_of
from world import KEEPER, World, signer, until

from tallystick.contracts.bills.items.bills import Archived, Issue
from tallystick.contracts.bills.records.bills import Bill
from tallystick.contracts.bills.views.bills import find_issuer
from tallystick.contracts.kit.context import slot_key
from tallystick.keyring import delivery_key_from_seed
from tallystick.ledger.engine import Committed
from tallystick.node import Node, open_keeper
from tallystick.protocol.values import format_instant
from tallystick.vault import Archive, Expected, Head, Letter, Prepared, Vault, seal_delivery
from tallystick.vault.post import Message
from tallystick.vault.store import Recorded
from tallystick.verify import Verdict, verify_receipt

NUMBER = 7
DELIVERY = delivery_key_from_seed(bytes(range(32)))


def issue_item(world: World, body: Prepared) -> Issue:
    """The record of a sealed body: its open fields, its root, and no word of the rest."""
    shown: dict[str, Any] = dict(record_of(body))
    names = ("total", "account", "cash", "self_pay", "self_expense", "code", "number")
    return Issue(
        nonce=world.nonce(),
        level=3,
        first=1,
        type_version=1,
        issued_at=shown["issued_at"],
        currency=shown["currency"],
        root=root_of(body),
        holder=b"h" * 32,
        **{name: shown.get(name, 0) for name in names},
    )


def test_a_bill_is_born_vouched_for_archived_and_verified_by_a_stranger(tmp_path: Path) -> None:
    # A network was founded; finance defined a type and allotted numbers to the hospital.
    world = World(tmp_path / "node")
    world.prepare()
    world.ledger.close()

    with (
        Node.open(tmp_path / "node", signer("log"), clock=world.clock()) as node,
        Vault.open(tmp_path / "hospital", VAULT_KEY) as vault,
    ):
        # 1 seal: the whole bill goes into the hospital's own vault, under a root that hides it.
        body = prepare(
            NUMBER,
            number=NUMBER,
            issuer="hospital",
            network=node.network,
            issued_at=format_instant(world.at),
        )
        vault.put_many([body])

        # 2 sign: the record says no more than a root and the amounts that caps need.
        item = issue_item(world, body)
        data = node.sign(signer("hospital/key"), "hospital", "bills.issue/1", [item])
        assert b"\xe7\xa4\xba\xe8\x8c\x83" in body.body  # the hospital's name is in the body only
        assert b"\xe7\xa4\xba\xe8\x8c\x83" not in data

        # 3 to 7 submit, check, admit, execute, commit: the answer comes after the fsync.
        assert node.dry_run(data) == ["accepted"]
        committed = node.submit(data).result(60)
        assert committed.outcomes == ["accepted"]
        recorded = Recorded(body.code, NUMBER, committed.first, committed.tx_id, 0)
        vault.mark_recorded([recorded], at=world.at)

        # 8 checkpoint, 9 keepers: finance executes every block again, and only then co-signs.
        keep(tmp_path, node, world)

        # 10 deliver: the body goes to finance's archive, which checks it and says so on the ledger.
        archive_it(tmp_path, node, vault, body, committed)
        item_ = Archived(nonce=world.nonce(), issuer="hospital", below=committed.first + 1)
        node.act(signer("finance/key"), "finance", "bills.archived/1", [item_])
        with node.view() as view:
            issuer = find_issuer(view, "hospital")
            assert issuer is not None
            assert issuer.below == committed.first + 1

        # 11 receipt: of the entry, under the note that the keeper signed.
        until(lambda: node.publisher.note_for(committed.first)[1])
        receipt = node.receipt(committed.first)

    # 12 verify: offline, with nothing but the receipt and the reader's own policy.
    verified = verify_receipt(receipt, world.policy(), status=False, now=world.at)
    assert verified.verdict is Verdict.ACCEPTED
    assert verified.keepers == (KEEPER,)
    assert verified.item is not None
    assert verified.item["number"] == NUMBER
    assert len(receipt) < 4096


def keep(tmp_path: Path, node: Node, world: World) -> None:
    """A keeper in a folder of its own, which comes to the same rows and roots by itself."""
    with open_keeper(
        tmp_path / "keeper",
        tmp_path / "node" / "feed",
        signer("keeper"),
        network=node.network,
        clock=world.clock(),
    ) as keeper:
        until(lambda: keeper.step() or keeper.signed[0] == node.ledger.head.size)
        assert keeper.ledger.head == node.ledger.head


def archive_it(
    tmp_path: Path, node: Node, vault: Vault, body: Prepared, committed: Committed
) -> None:
    """The hospital's outbox, finance's archive, and what it owes afterwards: nothing."""
    head = Head(
        network=node.network,
        tx=committed.tx_id,
        n=0,
        to=DELIVERY.public_key,
        purpose="archive",
    )
    letter = Letter(body.code, body.number, body.body, body.secret)
    message = Message(body.code, body.number, "finance", seal_delivery(head, letter))
    vault.outbox.put([message], at=0)

    with node.view() as view:
        row = view.get(slot_key(body.code, body.number), Bill)
    assert row is not None
    assert row.root is not None
    expected = Expected(
        entry=committed.first,
        network=node.network,
        issuer="hospital",
        tx_id=committed.tx_id,
        n=0,
        code=body.code,
        number=body.number,
        root=row.root,
    )
    with Archive.open(
        tmp_path / "archive",
        bytes(32),
        delivery_keys={DELIVERY.public_key: DELIVERY.private_key},
        fetch_record=lambda one: record_of(body),
        check=check_content,
        business=business_of,
    ) as archive:
        archive.expect([expected], size=committed.first + 1)
        statuses = []
        vault.outbox.send_together(
            lambda sent: statuses.extend(archive.receive([one.data for one in sent], at=1)), at=1
        )
        assert [each.status for each in statuses] == ["archived"]
        assert archive.get(body.code, body.number)[0] == body.body
        assert vault.outbox.owed() == []
        assert archive.watermark("hospital").below == committed.first + 1
