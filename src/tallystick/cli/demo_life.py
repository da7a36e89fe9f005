"""What becomes of a few bills of the demo: held, reimbursed, taken back, put on paper, shown.

A patient gives a hospital the address of a wallet; from there the bills come by themselves, and
each step is done by whoever would do it, with its own key, vault or book.

Invariant: what was to be refused must be refused, or the demo fails. See docs/cli.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from tallystick.apps.bills.acts import Reversal
from tallystick.apps.bills.claim_book import ClaimBook
from tallystick.apps.bills.claim_orders import (
    Answer,
    LockOrder,
    Release,
    Return,
    Settlement,
)
from tallystick.apps.bills.generate import make_draft
from tallystick.apps.bills.presentation import verify_presentation
from tallystick.apps.bills.presenting import Basis, present, prove_right
from tallystick.apps.bills.reimburser import Reimburser
from tallystick.apps.bills.sending import new_nonce
from tallystick.apps.bills.slip import make_slip, verify_slip
from tallystick.apps.bills.wallet import Wallet
from tallystick.apps.bills.wallet_acts import Made
from tallystick.cli.demo_bills import Market
from tallystick.cli.demo_page import Told
from tallystick.cli.reading import make_proofs
from tallystick.contracts.bills.amounts import format_amount
from tallystick.contracts.bills.items.claims import RequestReversal
from tallystick.contracts.bills.items.paper import ConfirmPrinted, Exchange
from tallystick.contracts.bills.records.bills import Bill, format_bill_id
from tallystick.contracts.bills.views.bills import find_bill
from tallystick.ledger.view import View
from tallystick.protocol.canonical import replace
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.errors import VerificationFailed
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import format_instant
from tallystick.vault.letterbox import WALLETS

VISITS = 4
FIRST, SECOND = "insurer-01", "insurer-02"
HOSPITAL, RELAY = 0, "hospital-02"
"""The office that the patient visits, and a member that has nothing to do with it."""
FIELDS = ("total", "issued_at", "payer/name", "items/*")
IDENTITY = "11010519491231002X"
"""The example of the standard that defines such numbers, GB 11643."""
PAPER_FIRST = 1
MONTH = 30 * 86_400
WAIT_SECONDS = 90.0


@dataclass(slots=True)
class Life:
    """A patient, the bills of four visits, and the story so far."""

    market: Market
    wallet: Wallet
    bills: list[str] = field(default_factory=list)
    mandate: str = ""
    told: list[Told] = field(default_factory=list)

    def say(self, zh: str, en: str, found: str) -> None:
        """One more step."""
        self.told.append(Told(zh, en, found))

    def bill(self, n: int) -> Bill:
        """A visit's bill, as the ledger has it now."""
        with self.market.node.view() as view:
            found = find_bill(view, self.bills[n])
        if found is None:
            raise RuntimeError(f"the demo's own bill {self.bills[n]} is gone")
        return found

    def now(self) -> int:
        """Unix seconds."""
        return self.market.node.clock.now()

    def act(self, sender: str, action: str, item: Item) -> None:
        """One item that must be accepted."""
        signer = self.market.world.signers[sender]
        outcomes = self.market.node.act(signer, sender, action, [item]).outcomes
        if list(outcomes) != [ACCEPTED]:
            raise RuntimeError(f"the demo's own {action} was refused: {outcomes}")

    def relay(self, made: Made) -> None:
        """What the holder signed, entered by a member that has no part in it."""
        self.act(RELAY, made.action, made.item)

    def path(self, name: str) -> Path:
        """A file of the story, for whoever wants to try it."""
        folder = self.market.world.folder / "life"
        folder.mkdir(exist_ok=True)
        return folder / name


@contextmanager
def begin_life(market: Market, folder: Path) -> Iterator[Life]:
    """A wallet, its address at one hospital, and the bills of four visits: no act for any."""
    hospital, office = market.offices[HOSPITAL]
    with Wallet.create(folder, market.world.network) as wallet:
        life = Life(market, wallet)
        now = life.now()
        seeds = range(10_000_000, 10_000_000 + VISITS)
        drafts = [
            make_draft(n, "outpatient", institution=hospital.institution, issued_at=now)
            for n in seeds
        ]
        payer = replace(drafts[0].payer, id_type="resident_id", id_number=IDENTITY)
        address = wallet.address(hospital.org, at=now)
        market.addresses.register(payer, address, at=now)
        answers = office.issue([replace(each, payer=payer) for each in drafts])
        life.bills = [format_bill_id(one.code, one.number) for one in answers]
        office.deliver(market.mailbox, limit=10_000)
        with market.node.view() as view:
            received = wallet.receive(market.mailbox / WALLETS, view, at=now)
        if sorted(received.bills) != sorted(life.bills):
            raise RuntimeError(f"the wallet received {received}")
        life.say(
            "票据自动送达钱包，患者无需操作",
            "delivered to a wallet, without an act of the patient",
            f"{len(received.bills)}",
        )
        yield life


def give_mandate(life: Life) -> None:
    """Signed once, relayed by a member that has no part in it: covers every bill of the wallet."""
    made = life.wallet.acts.mandate(
        reader=FIRST,
        purpose="claim",
        fields=FIELDS,
        until=format_instant(life.now() + 12 * MONTH),
        now=life.now(),
    )
    life.relay(made)
    life.mandate = made.act
    life.say("长期授权，由无关单位转交", "a mandate, relayed by another member", made.act[:16])


def tell_life(life: Life) -> None:
    """All of it, once finance has archived the bills."""
    give_mandate(life)
    with desk_of(life, FIRST) as first, desk_of(life, SECOND) as second:
        reimburse(life, first, second)
        refund_locked(life, first)
        claw_back(life, first, second)
        exchange(life, first)
    show(life)


# -------------------------------------------------------------------------- reimbursement


@contextmanager
def desk_of(life: Life, org: str) -> Iterator[Reimburser]:
    """An insurer's desk, with its book of claims."""
    market = life.market
    folder = market.world.folder / "claims" / org
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    book = ClaimBook.make(folder, org=org, network=market.world.network)
    try:
        yield Reimburser(
            folder,
            book,
            signer=market.world.signers[org],
            submit=market.node.submit,
            view=market.node.view,
            clock=market.node.clock.now,
        )
    finally:
        book.close()


def reimburse(life: Life, first: Reimburser, second: Reimburser) -> None:
    """Two insurers in sequence, each with what the other left; a double claim is refused."""
    bill = life.bill(0)
    own = bill.amounts["account"] + bill.amounts["cash"]
    share = own * 6 // 10
    locked = _one(first.lock([_mandated(life, 0, share)]))
    _fine(locked, first.settle([_settlement(locked, share)]))
    life.say(f"{FIRST} 按授权锁定并赔付", f"{FIRST} locks and settles", format_amount(share))
    _slip(life, 0, "slip-1.json")
    consent = life.wallet.acts.consent(
        bill,
        reader=SECOND,
        purpose="claim",
        fields=FIELDS,
        until=format_instant(life.now() + MONTH),
        now=life.now(),
    )
    life.relay(consent)
    order = LockOrder(
        bill=bill.id, purpose="claim", amount=own, right="consent", right_id=consent.act,
        basis="cash_account",
    )  # fmt: skip
    double = _one(second.lock([order]))
    if double.accepted or double.left is None:
        raise RuntimeError(f"a double claim was not refused with what is left: {double}")
    life.say(
        f"{SECOND} 重复报销全额，被拒",
        f"{SECOND} claims all of it again: {double.outcome}",
        f"left {format_amount(double.left)}",
    )
    again = _one(second.lock([dataclasses.replace(order, amount=double.left)]))
    _fine(again, second.settle([_settlement(again, double.left)]))
    life.say(
        f"{SECOND} 按分割单赔付余额", f"{SECOND} settles what is left", format_amount(double.left)
    )
    _slip(life, 0, "slip-2.json")


def refund_locked(life: Life, first: Reimburser) -> None:
    """A lock makes a legal refund wait for an answer, and never stops it."""
    bill = life.bill(1)
    locked = _one(first.lock([_mandated(life, 1, bill.amounts["cash"])]))
    hospital, office = life.market.offices[HOSPITAL]
    code, number = _number(bill.id)
    refused = office.reverse([Reversal(code, number, "refund")])[0]
    if refused.accepted:
        raise RuntimeError("a locked bill was reversed at once")
    request = RequestReversal(
        nonce=new_nonce(), bill=bill.id, version=life.bill(1).version, reason="refund"
    )
    life.act(hospital.org, "bills.reversal_request/1", request)
    if len(first.answer_reversals()) != 1 or locked.claim is None:
        raise RuntimeError("the insurer did not see that its lock is asked for")
    _one(first.release([Release(locked.claim, "refund")]))
    reversed_ = office.reverse([Reversal(code, number, "refund")])[0]
    if not reversed_.accepted:
        raise RuntimeError(f"a legal refund was stopped: {reversed_.outcome}")
    life.say(
        "锁定中的票据退费：待冲红、解锁、冲红",
        f"a refund on a locked bill: {refused.outcome}, asked, released",
        life.bill(1).state,
    )


def claw_back(life: Life, first: Reimburser, second: Reimburser) -> None:
    """A reimbursed bill is reversed: the duties are there in the same step, last settled first."""
    code, number = _number(life.bills[0])
    answer = life.market.offices[HOSPITAL][1].reverse([Reversal(code, number, "refund")])[0]
    if not answer.accepted:
        raise RuntimeError(f"a settled bill could not be reversed: {answer.outcome}")
    due = life.bill(0).amounts["due"]
    for desk in (second, first):
        for kept in desk.due():
            amount = kept.due
            decision = sha256(b"returned").digest()
            _one(desk.claw_back([Return(kept.id, amount, "recovered", decision)]))
    if life.bill(0).amounts["due"]:
        raise RuntimeError("something is still due")
    life.say("已报销票据冲红，两家追回归零", "a reimbursed bill reversed: clawed back",
             f"{format_amount(due)} → 0.00")  # fmt: skip


# ------------------------------------------------------------------------------- on paper


def exchange(life: Life, first: Reimburser) -> None:
    """One live form: whoever claims must have it in hand, and it comes back before a reversal."""
    bill, hospital = life.bill(2), life.market.offices[HOSPITAL][0].org
    code = life.market.code("paper")
    item = Exchange(
        nonce=new_nonce(), bill=bill.id, version=bill.version, code=code, level=3,
        first=PAPER_FIRST, number=PAPER_FIRST, type_version=1,
    )  # fmt: skip
    life.act(hospital, "bills.exchange/1", item)
    paper = format_bill_id(code, PAPER_FIRST)
    confirm = ConfirmPrinted(nonce=new_nonce(), bill=bill.id, paper=paper)
    life.act(hospital, "bills.confirm_printed/1", confirm)
    without = _one(first.lock([_mandated(life, 2, 100)]))
    if without.accepted:
        raise RuntimeError("a bill on paper was claimed without the paper")
    life.say("换开纸质票据；无纸质票据不得报销",
             f"exchanged to paper; a claim without it: {without.outcome}", paper)  # fmt: skip


# -------------------------------------------------------------------------- presentations


def show(life: Life) -> None:
    """Chosen fields of a bill for one reader and one purpose, in one file; nobody else's."""
    life.relay(life.wallet.acts.bind(life.bill(3), now=life.now()))
    bill, world = life.bill(3), life.market.world
    until = format_instant(life.now() + MONTH)
    made = life.wallet.acts.consent(
        bill, reader=SECOND, purpose="claim", fields=FIELDS, until=until, now=life.now()
    )
    life.relay(made)
    basis = Basis(consent=made.act, fields=life.wallet.acts.fields(made.act))

    def prove(view: View, note: bytes) -> bytes:
        proofs = prove_right(view, note, bill.id, basis, audience=SECOND)
        private = life.wallet.private(bill.id)
        chosen = ["total", "items/0"]
        return present(private, proofs, chosen, audience=SECOND, purpose="claim")

    data = proven(life, prove)
    shown = verify_presentation(
        data, world.policy, audience=SECOND, purpose="claim", now=life.now()
    )
    try:
        verify_presentation(data, world.policy, audience=FIRST, purpose="claim", now=life.now())
    except VerificationFailed:
        pass
    else:
        raise RuntimeError("a presentation to one was good for another")
    path = life.path("presentation.json")
    path.write_bytes(data)
    life.say(
        "出示部分内容，仅对一家一用途有效",
        f"shown to {SECOND} alone: 1 line of {len(shown.lines)} and the total; verified",
        f"{len(data):,} bytes",
    )


def proven(life: Life, prove: Callable[[View, bytes], bytes]) -> bytes:
    """What `prove` makes of the ledger's head, once the keepers have signed it."""
    world = life.market.world
    return make_proofs(
        world.ledger,
        prove,
        keepers_min=2,
        wait_seconds=WAIT_SECONDS,
        log_signer=world.log,
    )


def _slip(life: Life, n: int, name: str) -> None:
    """The split slip after a settlement, checked as the next insurer would."""
    bill = life.bills[n]
    data = proven(life, lambda view, note: make_slip(view, note, bill))
    slip = verify_slip(data, life.market.world.policy, now=life.now())
    life.path(name).write_bytes(data)
    life.say(
        "分割单：已报销、余额",
        "split slip: reimbursed so far, left",
        f"{format_amount(slip.sums.settled)} / {format_amount(slip.sums.left_cash_account)}",
    )


def _mandated(life: Life, n: int, amount: int) -> LockOrder:
    bill = life.bill(n)
    key = life.wallet.key(bill, life.now())
    if key is None:
        raise RuntimeError("the wallet has no key of its own bill")
    return LockOrder(
        bill=bill.id, purpose="claim", amount=amount, right="mandate", right_id=life.mandate,
        basis="cash_account", opening=key.opening,
    )  # fmt: skip


def _settlement(locked: Answer, amount: int) -> Settlement:
    if locked.claim is None:
        raise RuntimeError(f"the demo's own claim was refused: {locked.outcome} {locked.detail}")
    return Settlement(locked.claim, amount, sha256(b"decision").digest())


def _fine(locked: Answer, settled: list[Answer]) -> None:
    if not locked.accepted or not settled[0].accepted:
        raise RuntimeError(f"the demo's own claim was refused: {locked} {settled}")


def _one(answers: list[Answer]) -> Answer:
    return answers[0]


def _number(bill_id: str) -> tuple[int, int]:
    code, _, number = bill_id.partition(":")
    return int(code), int(number)
