"""An insurer's claims engine asks a ledger over the wire: lock, decide, settle or reject.

    python examples/insurer_engine.py URL TRUST KEY FOLDER CASES

CASES has a case a line, as `synthea_claiming.Case` is written: the bill, what is asked, which right
the patient gave. Run it again at any time: what was done is not done twice, and what had to wait
for an insurer of an earlier rank is tried again.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from tallystick.apps.bills.access import Shown, show
from tallystick.apps.bills.claim_book import ClaimBook
from tallystick.apps.bills.claim_ledger import ANSWERED
from tallystick.apps.bills.claim_orders import (
    Answer,
    LockOrder,
    Rejection,
    Settlement,
    ShareOrder,
)
from tallystick.apps.bills.reimburser import Reimburser
from tallystick.apps.bills.remote import Options, connect
from tallystick.apps.bills.synthea_claiming import Case
from tallystick.apps.bills.synthea_claims import read_kept
from tallystick.apps.bills.synthea_wallets import PURPOSE
from tallystick.contracts.kit.keys import find_key
from tallystick.keyring import load
from tallystick.protocol.canonical import encode
from tallystick.protocol.trust import read_trust


def main(url: str, trust: Path, key: Path, folder: Path, cases: Path) -> Counter[str]:
    """One round over all cases; how many came to which end."""
    signer, ours = load(key), dict[str, Case]()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def shown(bill: str) -> str | None:
        """Who reads a bill by a holder's word shows which."""
        case = ours.get(bill)
        if case is None or not case.right_id:
            return None
        opening = case.opening
        return show(Shown(bill=bill, right=case.right_id, key=opening.key, nonce=opening.nonce))

    policy, options = read_trust(trust.read_bytes()), Options(show=shown)
    with connect(url, policy, signer, folder / "log", options=options) as way:
        with way.view() as view:
            row = find_key(view, signer.public_key)
        if row is None or row.org is None:
            raise SystemExit("this is no member's key")
        mine = [each for each in read_kept(cases, Case) if each.ask.reimburser == row.org]
        ours |= {each.ask.bill: each for each in mine}
        book = open_book(folder, row.org, way.network)
        try:
            desk = Reimburser(
                folder,
                book,
                signer=signer,
                submit=way.submit,
                view=way.view,
                clock=way.clock,
            )
            desk.resolve()  # what was under way when this last stopped
            return decide(desk, [each for each in mine if not is_answered(book, each)])
        finally:
            book.close()


def is_answered(book: ClaimBook, case: Case) -> bool:
    return any(each.state in ANSWERED for each in book.of_bill(case.ask.bill))


def decide(desk: Reimburser, cases: Sequence[Case]) -> Counter[str]:
    """Lock first, then pay or refuse: never the other way round."""
    ends: Counter[str] = Counter()
    waived = [each for each in cases if each.ask.answer == "waive"]
    shares = [ShareOrder(each.ask.bill, PURPOSE, each.ask.reason or "none") for each in waived]
    ends.update("waived" if each.accepted else each.outcome for each in desk.waive(shares))

    asked = [each for each in cases if each.ask.answer != "waive"]
    locks = desk.lock([lock_of(each) for each in asked])
    held = [(case, lock) for case, lock in zip(asked, locks, strict=True) if lock.state == "locked"]
    ends.update(done(lock) for lock in locks if lock.state != "locked")

    settled = desk.settle(
        Settlement(lock.claim or 0, case.ask.amount, decision_of(case), case.ask.reason)
        for case, lock in held
        if case.ask.answer == "settle"
    )
    rejected = desk.reject(
        Rejection(lock.claim or 0, case.ask.reason or "not_covered", decision_of(case))
        for case, lock in held
        if case.ask.answer == "reject"
    )
    ends.update(done(each) for each in [*settled, *rejected])
    return ends


def lock_of(case: Case) -> LockOrder:
    """What is asked for, under the right that the patient gave."""
    return LockOrder(
        bill=case.ask.bill,
        purpose=PURPOSE,
        amount=case.ask.asked,
        right="mandate",
        right_id=case.right_id,
        opening=case.opening,
        ref=case.ask.claim[:40],
    )


def decision_of(case: Case) -> bytes:
    """Of the insurer's own paper; the ledger has its hash alone."""
    return sha256(encode(case.ask)).digest()


def done(answer: Answer) -> str:
    return answer.state if answer.accepted else answer.outcome


def open_book(folder: Path, org: str, network: bytes) -> ClaimBook:
    try:
        return ClaimBook.open(folder)
    except FileNotFoundError:
        return ClaimBook.make(folder, org=org, network=network)


if __name__ == "__main__":
    if len(sys.argv) != 6:
        raise SystemExit(__doc__)
    for end, count in sorted(main(sys.argv[1], *map(Path, sys.argv[2:])).items()):
        print(f"{count} {end}")
