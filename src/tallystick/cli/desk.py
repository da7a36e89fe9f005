"""Where an act is handed in: a ledger that we open ourselves, or the box of a node that runs.

Invariant: an answer is given only for what is durably on the ledger. See docs/cli.md.
"""

from __future__ import annotations

import logging
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NoReturn

from tallystick.cli.failures import BUSY, Usage, fail
from tallystick.cli.failures import REFUSED as REFUSED_CODE
from tallystick.cli.inputs import load_signer
from tallystick.cli.reading import reading
from tallystick.contracts.kit.reasons import LedgerReason
from tallystick.engines.clock import Clock
from tallystick.engines.witnessing import AskWitness
from tallystick.ledger.engine import Committed
from tallystick.ledger.receipts import SignedParts, read_segment
from tallystick.ledger.records import Segment
from tallystick.ledger.view import View
from tallystick.node import BOX, REFUSED, VALID_SECONDS, Node
from tallystick.protocol.canonical import parse
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.errors import Rejected, TallystickError
from tallystick.protocol.keys import Signer
from tallystick.protocol.transaction import (
    Header,
    Item,
    sign_transaction,
    signing_bytes,
    transaction_id,
)
from tallystick.protocol.values import format_instant
from tallystick.vault import mail

LOG_KEY = Path("keys") / "log.json"
"""Where the log key is looked for unless ``--log-key`` names another file."""
ANSWER_SECONDS_MAX = 120
POLL_SECONDS = 0.05


class Desk(ABC):
    """Takes signed transactions and says what became of them."""

    network: bytes

    @abstractmethod
    def submit(self, data: bytes) -> Future[Committed]:
        """Hand a transaction in; the future gives its answer once it is durable."""

    @abstractmethod
    def view(self) -> AbstractContextManager[View]:
        """What may be asked, as of one moment."""

    @abstractmethod
    def dry_run(self, data: bytes, why: dict[int, str]) -> list[str]:
        """What would become of each item now, and `why`; leaves no trace."""

    @abstractmethod
    def now(self) -> int:
        """Unix seconds."""

    def sign(
        self, signer: Signer, sender: str, action: str, items: Sequence[Item], atomic: bool
    ) -> bytes:
        """A transaction of this network, valid for an hour."""
        with self.view() as view:
            now = max(self.now(), view.head.at)
        return sign_transaction(
            signer,
            network=self.network,
            sender=sender,
            action=action,
            items=items,
            idempotency=secrets.token_bytes(16),
            valid_until=format_instant(now + VALID_SECONDS),
            atomic=atomic,
        )


class NodeDesk(Desk):
    """Our own node over the ledger's folder, for as long as the command lasts."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.network = node.network

    def submit(self, data: bytes) -> Future[Committed]:
        return self._node.submit(data)

    def view(self) -> AbstractContextManager[View]:
        return self._node.view()

    def dry_run(self, data: bytes, why: dict[int, str]) -> list[str]:
        return self._node.dry_run(data, why)

    def now(self) -> int:
        return self._node.clock.now()


class BoxDesk(Desk):
    """The box of a node in another process; answers are read from what it publishes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clock = Clock()
        with reading(folder) as view:
            self.network = view.network

    def submit(self, data: bytes) -> Future[Committed]:
        header = parse(data, SignedParts).header
        tx_id = transaction_id(signing_bytes(header))
        future: Future[Committed] = Future()
        try:
            committed = self._find(header, tx_id)
            if committed is not None:
                committed = committed._replace(repeated=True)
            else:
                for old in self._refusals(tx_id):  # of an earlier try with the same bytes
                    old.unlink(missing_ok=True)
                path = mail.post(self._folder / BOX, data, f"{tx_id}.tx")
                committed = self._answer(path, header, tx_id)
            future.set_result(committed)
        except (TallystickError, Usage) as error:  # the future hands it on, as a node's does
            future.set_exception(error)
        return future

    def view(self) -> AbstractContextManager[View]:
        return reading(self._folder)

    def dry_run(self, data: bytes, why: dict[int, str]) -> list[str]:
        fail(
            *("cli.dry_run_box", "经投递箱不能试算", "a dry run cannot go through the box"),
            todo=(
                "停止节点后以 --dir 试算",
                "run it with --dir while no node has the ledger open",
            ),
        )

    def now(self) -> int:
        return self._clock.now()

    def _find(self, header: Header, tx_id: str) -> Committed | None:
        """The transaction on the ledger, whenever it came there."""
        with self.view() as view:
            seen = view.seen(header.sender, header.idempotency)
            if seen is None or seen[0] != tx_id:
                return None
            return _committed(view, view.segment(seen[1]), tx_id)

    def _refusals(self, tx_id: str) -> list[Path]:
        return list((self._folder / BOX).glob(f"{tx_id}*{REFUSED}"))

    def _answer(self, path: Path, header: Header, tx_id: str) -> Committed:
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while path.exists():
            if time.monotonic() > deadline:
                path.unlink(missing_ok=True)
                fail(
                    *("cli.no_node", "没有节点受理投递箱", "no node takes what is in the box"),
                    todo=("启动 tally node 后重试", "start it with tally node DIR and try again"),
                    detail=str(path.parent),
                    exit_code=BUSY,
                )
            time.sleep(POLL_SECONDS)
        return self._find(header, tx_id) or _not_taken(tx_id, self._refusals(tx_id))


@contextmanager
def open_desk(
    folder: Path, *, box: bool, log_key: Path | None, passphrase_file: Path | None
) -> Iterator[Desk]:
    """The desk of a ledger: its node's box, or a node of our own."""
    logging.getLogger("tallystick").setLevel(logging.CRITICAL)
    if box:
        yield BoxDesk(folder)
        return
    with open_node(folder, log_key=log_key, passphrase_file=passphrase_file) as node:
        yield NodeDesk(node)


@contextmanager
def open_node(
    folder: Path,
    *,
    log_key: Path | None = None,
    passphrase_file: Path | None = None,
    witnesses: Sequence[AskWitness] = (),
    keeper_at: int | None = None,
) -> Iterator[Node]:
    """The node of a folder; its log key is by default the one in the folder's ``keys``."""
    path = log_key or folder / LOG_KEY
    if not path.exists():
        with reading(folder):
            pass  # says better what is missing
        fail(
            *("cli.no_log_key", "缺少账本日志密钥", "the ledger's log key is missing"),
            todo=("以 --log-key 指明", "name its file with --log-key"),
            detail=str(path),
        )
    signer = load_signer(path, passphrase_file)
    try:
        node = Node.open(folder, signer, witnesses=witnesses, keeper_at=keeper_at)
    except ValueError as error:
        fail("cli.not_log_key", "不是该网络的日志密钥", str(error), detail=str(path))
    with node:
        yield node


def _not_taken(tx_id: str, refusals: Sequence[Path]) -> NoReturn:
    for path in refusals:
        reason = path.name.removeprefix(f"{tx_id}.").removesuffix(REFUSED)
        if reason in set(LedgerReason):
            raise Rejected(LedgerReason(reason))
    fail(
        *("cli.box_refused", "节点拒绝受理该交易", "the node did not take the transaction"),
        todo=("查看节点日志中的原因", "its log says why; the file is kept in the box"),
        detail=", ".join(map(str, refusals)) or tx_id,
        exit_code=REFUSED_CODE,
    )


def _committed(view: View, segment: Segment, tx_id: str) -> Committed:
    block = view.block(segment.block)
    return Committed(
        tx_id=tx_id,
        first=segment.first,
        outcomes=read_segment(segment)[2],
        block=segment.block,
        at=block.at if block else 0,
    )


def refused(outcomes: Sequence[str]) -> int:
    """How many items were refused."""
    return sum(each != ACCEPTED for each in outcomes)
