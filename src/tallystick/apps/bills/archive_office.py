"""Finance's archive at work: follows the ledger, judges what is delivered, says what is archived.

A process of its own with two folders: its archive, and the letter box that issuers post into. What
is on the ledger it reads out of the ledger of finance's keeper. A round is: read what is new there,
take the letters, judge those again that came before their record, and say for each issuer how far
its bodies are checked.

Invariant: `archived` is proposed only for what is durably checked and stored, and no record is
taken that our own keeper has not executed.
See docs/spec/archive.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tallystick.apps.bills.accepted import KeptLedger, Moment
from tallystick.apps.bills.checks import RecordHalf
from tallystick.apps.bills.sending import new_nonce
from tallystick.contracts.bills.items.bills import Archived
from tallystick.contracts.bills.records.bills import EXCEPTION_CODES_MAX, EXCEPTIONS_MAX, Exceptions
from tallystick.contracts.bills.views.bills import find_issuer
from tallystick.protocol.keys import Signer
from tallystick.protocol.transaction import sign_transaction
from tallystick.protocol.values import format_instant
from tallystick.vault import Archive, Outcome, mail

MESSAGES_AT_ONCE = 500
"""Of one durable step; a file is taken whole."""
ISSUERS_AT_ONCE = 50
"""Items of one transaction: each may be as long as an item can be."""
PATIENCE_SECONDS = 600
"""How long a body may keep back all after it, before it is named as an exception."""
VALID_SECONDS = 600


@dataclass(frozen=True, slots=True)
class IssuerKnown:
    """What the ledger says of an issuer's bodies, and whether there are newer ones."""

    org: str
    newest: int
    """Log index of its newest bill."""
    below: int
    exceptions: list[Exceptions]


@dataclass(slots=True)
class Round:
    """What one round did."""

    behind: int = 0
    """Entries that the ledger lacks of what was read before; then nothing else was done."""
    records: int = 0
    archived: int = 0
    wrong: int = 0
    waiting: int = 0
    turned_away: int = 0
    proposed: int = 0
    details: list[str] = field(default_factory=list)
    """Why deliveries were turned away or found wrong."""


class ArchiveOffice:
    """Finance's side of every issuer's bodies. For one thread."""

    def __init__(
        self,
        archive: Archive[RecordHalf],
        ledger: KeptLedger,
        *,
        org: str,
        signer: Signer,
        box: Path,
        submit: Callable[[bytes], object],
        clock: Callable[[], int],
        patience_seconds: int = PATIENCE_SECONDS,
    ) -> None:
        """`archive` is opened with `ledger.record`, `check_content` and `business_keys_of`.

        `submit` takes a signed transaction; nobody waits for its answer, the ledger will show it.
        """
        self.archive = archive
        self._ledger = ledger
        self._org = org
        self._signer = signer
        self._box = box
        self._submit = submit
        self._clock = clock
        self._patience = patience_seconds
        self._stuck: dict[str, tuple[int, int]] = {}
        self._proposed: dict[str, tuple[int, list[Exceptions], int]] = {}
        box.mkdir(mode=0o700, parents=True, exist_ok=True)

    def run_once(self) -> Round:
        """One round; everything that it says is durable.

        `VerificationFailed`: the ledger is of another history than what was read before.
        """
        done = Round()
        with self._ledger.moment() as moment:
            self._follow(moment, done)
            if not done.behind:
                self._take_letters(done)
                for outcome in self.archive.retry():
                    _count(done, outcome)
                self._propose(moment, done)
        return done

    def _follow(self, moment: Moment, done: Round) -> None:
        size, root = self.archive.told
        head = moment.view.head
        if head.size < size:  # the keeper came out of a backup: it will catch up
            done.behind = size - head.size
            return
        moment.check_history(size, root)
        if head.size == size:
            return
        for news in moment.news(size):
            self.archive.expect(
                news.expected, reversed=news.reversed, size=news.size, root=news.root
            )
            done.records += len(news.expected)

    def _take_letters(self, done: Round) -> None:
        letters: list[mail.Letter] = []
        messages: list[bytes] = []
        for letter in mail.collect(self._box):
            letters.append(letter)
            messages += mail.unpack(letter.data)
            if len(messages) >= MESSAGES_AT_ONCE:
                self._take(letters, messages, done)
                letters, messages = [], []
        self._take(letters, messages, done)

    def _take(self, letters: list[mail.Letter], messages: list[bytes], done: Round) -> None:
        for outcome in self.archive.receive(messages, at=self._clock()):
            _count(done, outcome)
        mail.remove(self._box, letters)

    def _propose(self, moment: Moment, done: Round) -> None:
        now = self._clock()
        items = [item for known in self._issuers(moment) if (item := self._next(known, now))]
        for start in range(0, len(items), ISSUERS_AT_ONCE):
            self._submit(self._sign(items[start : start + ISSUERS_AT_ONCE], now))
        done.proposed = len(items)

    def _issuers(self, moment: Moment) -> Iterator[IssuerKnown]:
        for org, newest in self.archive.issuers():
            row = find_issuer(moment.view, org)
            yield IssuerKnown(org, newest, row.below if row else 0, row.exceptions if row else [])

    def _next(self, known: IssuerKnown, now: int) -> Archived | None:
        """What is to be said of an issuer, or None: nothing new."""
        below, exceptions = self._progress(known, now)
        if below < known.below or (below, exceptions) == (known.below, known.exceptions):
            return None
        # Time alone moves the size of the log: only bodies, or named ones, are worth an entry.
        if exceptions == known.exceptions and known.newest < known.below:
            return None
        said = self._proposed.get(known.org)
        if said and said[:2] == (below, exceptions) and now < said[2] + VALID_SECONDS:
            return None
        self._proposed[known.org] = (below, exceptions, now)
        return Archived(nonce=new_nonce(), issuer=known.org, below=below, exceptions=exceptions)

    def _progress(self, known: IssuerKnown, now: int) -> tuple[int, list[Exceptions]]:
        """How far all is checked; past a body that has been missing for too long, with its name."""
        whole = self.archive.watermark(known.org, exceptions_max=0)
        if not known.exceptions:
            since = self._stuck.get(known.org)
            if since is None or since[0] != whole.below:
                since = self._stuck[known.org] = (whole.below, now)
            if whole.below > known.below or now < since[1] + self._patience:
                return whole.below, []
        named = self.archive.watermark(
            known.org, exceptions_max=EXCEPTIONS_MAX, codes_max=EXCEPTION_CODES_MAX
        )
        return named.below, _grouped(named.exceptions)

    def _sign(self, items: Sequence[Archived], now: int) -> bytes:
        return sign_transaction(
            self._signer,
            network=self._ledger.network,
            sender=self._org,
            action="bills.archived/1",
            items=items,
            idempotency=new_nonce(),
            valid_until=format_instant(now + VALID_SECONDS),
        )


def _grouped(bills: Sequence[tuple[int, int]]) -> list[Exceptions]:
    """By code, both ascending, as the ledger asks for it."""
    codes: dict[int, list[int]] = {}
    for code, number in sorted(bills):
        codes.setdefault(code, []).append(number)
    return [Exceptions(code=code, numbers=numbers) for code, numbers in codes.items()]


def _count(done: Round, outcome: Outcome) -> None:
    match outcome.status:
        case "archived":
            done.archived += 1
        case "wrong":
            done.wrong += 1
        case "waiting":
            done.waiting += 1
        case "turned_away":
            done.turned_away += 1
    if outcome.detail:
        done.details.append(outcome.detail)
