"""How numbers and bodies of the demo end: a block accounted for and audited, a body erased.

Invariant: the audit reads one file and the trust policy, nothing of the operator's.
See docs/cli.md.
"""

from __future__ import annotations

import io
from hashlib import sha256

from tallystick.apps.bills.acts import Reversal
from tallystick.apps.bills.audit import AuditVerdict, audit_file
from tallystick.apps.bills.audit_file import write_block
from tallystick.apps.bills.catalogue import Scene
from tallystick.apps.bills.checks import RecordHalf, business_keys_of, check_content
from tallystick.apps.bills.erasing import Eraser, erasure_status
from tallystick.apps.bills.generate import make_draft
from tallystick.apps.bills.sending import new_nonce
from tallystick.cli.demo_bills import LEVEL, Market
from tallystick.cli.demo_life import HOSPITAL, Life, proven
from tallystick.contracts.bills.items.accounts import AcceptAccount, AccountBlock, OrderErasure
from tallystick.contracts.bills.items.bills import Allot, Block, GiveBack, VoidNumbers
from tallystick.contracts.bills.records.bills import Allotment, parse_bill_id
from tallystick.contracts.bills.views.accounts import tally_block
from tallystick.contracts.bills.views.bills import find_allotment
from tallystick.ledger.view import View
from tallystick.protocol.body import encoded_root
from tallystick.vault import Archive, Expected, Kept, Vault

NUMBERS = 20
BILLS = 16
"""Of a block of 20: these, one red bill, one number void, two given back."""


def prepare_life(life: Life) -> None:
    """Numbers, and bills that use them up."""
    allot_small(life)
    use_block(life.market)


def end_life(life: Life) -> None:
    """A block is closed."""
    account_block(life)


def allot_small(life: Life) -> None:
    """A block of check-up bills and one of paper forms for the first hospital."""
    hospital = life.market.offices[HOSPITAL][0].org
    scenes: tuple[Scene, ...] = ("checkup", "paper")
    for scene in scenes:
        code = life.market.code(scene)
        whole = Allot(
            nonce=new_nonce(), code=code, level=0, first=1, last=NUMBERS, holder="finance"
        )
        part = Allot(
            nonce=new_nonce(), code=code, level=LEVEL, first=1, last=NUMBERS, holder=hospital,
            parent=Block(level=0, first=1),
        )  # fmt: skip
        life.act("finance", "bills.allot/1", whole)
        life.act("finance", "bills.allot/1", part)


def use_block(market: Market) -> None:
    """Check-ups, one of them reversed."""
    hospital, office = market.offices[HOSPITAL]
    now = market.node.clock.now()
    office.refresh()  # it has new numbers
    drafts = [
        make_draft(20_000_000 + n, "checkup", institution=hospital.institution, issued_at=now)
        for n in range(BILLS)
    ]
    answers = office.issue(drafts)
    first = answers[0]
    answers += office.reverse([Reversal(first.code, first.number, "refund")])
    refused = [each for each in answers if not each.accepted]
    if refused:
        raise RuntimeError(
            f"the demo's own check-up was refused: {refused[0].outcome} {refused[0].detail}"
        )
    office.deliver(market.mailbox, limit=10_000)


def account_block(life: Life) -> None:
    """Every number of the block is explained, both sides count alike, and a stranger recounts."""
    hospital = life.market.offices[HOSPITAL][0].org
    code = life.market.code("checkup")
    named = {"code": code, "level": LEVEL, "first": 1}
    row = _block(life, code)
    void = VoidNumbers(nonce=new_nonce(), **named, start=row.next, end=row.next, reason="misfeed")
    life.act(hospital, "bills.void_numbers/1", void)
    back = GiveBack(nonce=new_nonce(), **named, start=row.next + 1, end=NUMBERS, reason="year_end")
    life.act(hospital, "bills.give_back/1", back)
    with life.market.node.view() as view:
        tally = tally_block(view, _block(life, code))
    life.act(
        hospital, "bills.account_block/1", AccountBlock(nonce=new_nonce(), **named, tally=tally)
    )
    accept = AcceptAccount(nonce=new_nonce(), account=row.id, version=1, tally=tally)
    life.act("finance", "bills.accept_account/1", accept)

    def write(view: View, note: bytes) -> bytes:
        file = io.BytesIO()
        write_block(view, note, _block(life, code), file)
        return file.getvalue()

    data = proven(life, write)
    life.path("block.audit").write_bytes(data)
    audit = audit_file(io.BytesIO(data), life.market.world.policy)
    if audit.verdict is not AuditVerdict.EXPLAINED:
        raise RuntimeError(f"the demo's own block is {audit.verdict.text}")
    counted = audit.tally
    life.say(
        "号段核销，离线审计",
        "a block accounted for; audited offline, every number explained",
        f"{counted.blue} + {counted.red} red + {counted.void} void + 2 returned = {NUMBERS}",
    )


def _block(life: Life, code: int) -> Allotment:
    with life.market.node.view() as view:
        row = find_allotment(view, code, LEVEL, 1)
    if row is None:
        raise RuntimeError("the demo's own block is gone")
    return row


# -------------------------------------------------------------------------------- erasure


def erase(life: Life) -> None:
    """A court orders a body's erasure: each vault that has it destroys it and says so.

    The patient's own copy is nobody else's to erase, and still proves itself.
    """
    bill = life.bill(3)
    market, hospital = life.market, life.market.offices[HOSPITAL]
    order = OrderErasure(
        nonce=new_nonce(),
        bill=bill.id,
        basis="legal_order",
        order=sha256(b"order of a court").digest(),
        reason="court_order",
        copies=["finance", hospital[0].org],
    )
    life.act("finance", "bills.order_erasure/1", order)
    _carry_out(life, hospital[1].vault, hospital[0].org)
    with _archive(life) as archive:
        _carry_out(life, archive, "finance")
    with market.node.view() as view:
        status = erasure_status(view, bill.id)
    place = parse_bill_id(bill.id)
    if status is None or status.done != status.known or _readable(hospital[1].vault, place):
        raise RuntimeError(f"the demo's own erasure is at {status}")
    own = life.wallet.private(bill.id)
    if encoded_root(own.body, own.secret) != bill.root:
        raise RuntimeError("the holder's own copy proves nothing any more")
    life.say(
        "销毁票据内容：各库执行并确认，患者自持副本仍可自证",
        "a body erased: every vault acknowledges; the patient's own copy still proves itself",
        f"{status.done} of {status.known}",
    )


def _carry_out(life: Life, kept: Kept, org: str) -> None:
    node = life.market.node
    eraser = Eraser(
        kept,
        org=org,
        network=life.market.world.network,
        signer=life.market.world.signers[org],
        submit=node.submit,
        view=node.view,
        clock=node.clock.now,
        boxes=[life.market.mailbox],
    )
    done = eraser.run_once()
    if len(done.acknowledged) != 1:
        raise RuntimeError(f"{org} did not erase: {done}")


def _archive(life: Life) -> Archive[RecordHalf]:
    """Finance's archive, whose own process has ended."""
    world = life.market.world

    def none(_: Expected) -> RecordHalf:
        raise LookupError("no letter is taken here")

    return Archive.open(
        world.folder / "archive" / "bodies",
        world.archive_key.secret,
        delivery_keys={},
        fetch_record=none,
        check=check_content,
        business=business_keys_of,
    )


def _readable(vault: Vault, place: tuple[int, int]) -> bool:
    try:
        vault.get(*place)
    except KeyError:
        return False
    return True
