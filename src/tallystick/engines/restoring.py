"""A lost operator out of its keepers: what they have executed and signed, executed once more.

1. founding file of the network that was asked for    2. each keeper's newest checkpoint, of a log
key, and of one history with all the others    3. the largest one's blocks, executed again to its
very root    4. no live keeper is left unheard, unless it is named: it may have more
5. the folder is there, whole; its publisher begins above everything that was heard.

What is lost is what no keeper has: it is named as closely as it can be. See docs/spec/keeper.md.

Invariant: a restored operator goes on with the log that its keepers have signed, or there is none.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from tallystick.client import wire
from tallystick.client.failures import Missing, NotYet
from tallystick.client.history import PROOF, History
from tallystick.client.sync import Client
from tallystick.durable import write_file
from tallystick.engines.following import TROUBLE
from tallystick.engines.keeper import FindKeepers
from tallystick.engines.publisher import COSIGNED, KeeperKey
from tallystick.engines.remote import RemoteSource
from tallystick.ledger.feed import FeedBlock
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.records import Head
from tallystick.ledger.regrow import Progress, growing, grown, signed_checkpoint
from tallystick.ledger.replay import Difference
from tallystick.ledger.rules import Rules
from tallystick.protocol.canonical import encode
from tallystick.protocol.checkpoint import (
    Checkpoint,
    parse_checkpoint,
    parse_note,
    verify_cosignature,
)
from tallystick.protocol.equivocation import policy_keys, prove_equivocation
from tallystick.protocol.errors import TallystickError, VerificationFailed
from tallystick.protocol.genesis import Genesis, log_origin, read_genesis
from tallystick.protocol.trust import TrustPolicy
from tallystick.protocol.values import format_instant

RESTORED_FILE = "restored.json"
"""In the restored folder: out of whose words it was made, and what may be lost."""

_log = logging.getLogger("tallystick.restore")


class KnownLoss(TallystickError):
    """The old operator has signed more than any keeper has: to go on without it is a decision."""

    def __init__(self, beyond: Mapping[str, int], size: int) -> None:
        told = ", ".join(f"{where}: size {each}" for where, each in sorted(beyond.items()))
        super().__init__(f"{told}; keepers have {size}")


class Unheard(TallystickError):
    """Live keepers that were not asked, or did not answer: they may have signed more."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(", ".join(names))
        self.names = tuple(names)


@dataclass(frozen=True, slots=True)
class Heard:
    """What one keeper answered."""

    url: str
    client: Client
    name: str
    """As it says itself; believed once its line verifies."""
    note: bytes
    checkpoint: Checkpoint


class _Words(NamedTuple):
    """All that was heard, the largest checkpoint last, and what is restored."""

    heard: Sequence[Heard]
    last: Heard
    """The largest that somebody trusted has signed."""
    beyond: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Vouched:
    """A keeper on the restored ledger, and its newest word."""

    name: str
    url: str
    size: int
    at: int
    """Unix seconds: then it knew of nothing newer."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored, and what is known of the rest."""

    head: Head
    keepers: Sequence[Vouched]
    without: Sequence[str]
    """Live keepers that were left out."""
    beyond: Mapping[str, int]
    """Words of the old operator about more than any keeper has: where from, and which size."""

    @property
    def lost_from(self) -> int:
        """Unix seconds: what was acknowledged after this may be lost."""
        return max((each.at for each in self.keepers if each.size == self.head.size), default=0)


class Restoring:
    """One attempt at a folder; what was cut off is gone on with by the next one."""

    def __init__(
        self,
        folder: Path,
        clients: Sequence[Client],
        rules: Rules,
        find_keepers: FindKeepers,
        *,
        network: bytes,
        trust: TrustPolicy | None = None,
    ) -> None:
        """`clients` sign with a log key of the network; `trust` says whose lines are believed.

        Without `trust` the keepers of the restored ledger itself are.
        """
        self.folder = folder
        self.work = folder.with_name(f"{folder.name}.restoring")
        """Where a proof lies if keepers contradict each other."""
        self._clients = clients
        self._rules = rules
        self._find_keepers = find_keepers
        self._network = network
        self._trust = trust
        self._told_by = ""
        self._genesis_bytes = self._ask_genesis()
        self.genesis: Genesis = read_genesis(self._genesis_bytes)[0]
        self.origin = log_origin(self.genesis.name, network)

    def run(
        self,
        feed: str,
        *,
        seen: Mapping[str, bytes],
        without: Sequence[str] = (),
        accept_loss: bool = False,
        now: int,
        progress: Progress | None = None,
    ) -> Restored:
        """Restore; `seen` are notes of the log from elsewhere, by where they come from.

        `VerificationFailed`: somebody told what is not so. `Equivocation`: the log has signed two
        histories. `Unheard`: ask those, too, or name them in `without`. `KnownLoss`: `seen` shows
        more than keepers have; `accept_loss` goes on without it.
        """
        heard = sorted(self._hear(), key=lambda each: each.checkpoint.size)
        believed = [each for each in heard if self._is_believed(each)]
        if not believed:
            raise VerificationFailed("no keeper showed a checkpoint that somebody trusted signed")
        last = believed[-1]
        beyond = self._compare(heard, last, seen)
        if beyond and not accept_loss:
            raise KnownLoss(beyond, last.checkpoint.size)
        try:
            words = _Words(heard, last, beyond)
            found = self._grow(feed, words, without, now, progress)
        except Difference as error:
            raise VerificationFailed(f"{self._told_by}: {error}") from error
        shutil.rmtree(self.work, ignore_errors=True)
        return found

    def _grow(
        self,
        feed: str,
        words: _Words,
        without: Sequence[str],
        now: int,
        progress: Progress | None,
    ) -> Restored:
        heard, last = words.heard, words.last
        with (
            growing(self.folder) as beside,
            grown(
                *(beside, self._genesis_bytes, self._rules, self._blocks(heard, last)),
                target=last.checkpoint,
                progress=progress,
            ) as ledger,
        ):
            vouched, left = self._vouched(ledger, last, heard, without)
            found = Restored(ledger.head, vouched, left, words.beyond)
            self._publish(ledger, beside / feed, last, heard)
            write_file(beside / RESTORED_FILE, encode(self._record(found, now)))
        return found

    # --------------------------------------------------------------------------- internals

    def _ask_genesis(self) -> bytes:
        failure: TallystickError = VerificationFailed("nobody was asked")
        for client in self._clients:
            try:
                data = client.run(wire.genesis())
            except TROUBLE as error:
                failure = error
                continue
            if sha256(data).digest() != self._network:
                raise VerificationFailed(f"{client.server.url} is of another network")
            return data
        raise failure

    def _hear(self) -> Iterator[Heard]:
        """The newest checkpoint of each that answers, of a log key of the network."""
        for client in self._clients:
            url = client.server.url
            try:
                note, said = client.run(wire.checkpoint()), client.run(wire.health())
            except (Missing, NotYet):
                _log.warning("%s has signed nothing yet", url)
                continue
            except TROUBLE as error:
                _log.warning("%s does not answer: %s", url, error)
                continue
            checkpoint = signed_checkpoint(parse_note(note), self.genesis, self._network)
            yield Heard(url, client, str(said.get("name", "")), note, checkpoint)

    def _is_believed(self, heard: Heard) -> bool:
        """Whether a keeper of the given trust policy has signed it; without one the ledger says."""
        if self._trust is None:
            return True
        keys = [KeeperKey(each.name, each.key) for each in self._trust.keepers]
        return bool(_signers(heard.note, keys))

    def _compare(
        self, heard: Sequence[Heard], last: Heard, seen: Mapping[str, bytes]
    ) -> dict[str, int]:
        """All of one history, or `Equivocation`; of larger ones than keepers have: their sizes."""
        policy, beyond, larger = self._policy(), dict[str, int](), dict[int, bytes]()
        with History(self.work, policy) as history:
            before = history.newest
            if before is not None and before.size > heard[-1].checkpoint.size:
                raise VerificationFailed(
                    f"an attempt before heard of size {before.size}, now nobody has more than "
                    f"{heard[-1].checkpoint.size}: ask that keeper again"
                )
            for each in heard:
                each.client.follow(history.examine(each.note))
            for where, data in seen.items():
                checkpoint = signed_checkpoint(parse_note(data), self.genesis, self._network)
                if checkpoint.size <= heard[-1].checkpoint.size:
                    heard[-1].client.follow(history.examine(data))
                if checkpoint.size <= last.checkpoint.size:
                    continue
                beyond[where] = checkpoint.size
                other = larger.setdefault(checkpoint.size, data)
                if parse_checkpoint(parse_note(other).text) != checkpoint:
                    proof = prove_equivocation(other, data, policy_keys(policy))
                    write_file(self.work / PROOF, proof, mode=0o600)
                    history.guard()
        return beyond

    def _policy(self) -> TrustPolicy:
        """Whose log it is; who counts as keeper is looked at later, on the ledger."""
        if self._trust is not None:
            return self._trust
        return TrustPolicy(
            format="tallystick/trust/v1",
            version=1,
            network=self._network,
            origin=self.origin,
            log_keys=list(self.genesis.log_keys),
            keepers=[],
            threshold=0,
            required=[],
            status_max_age_seconds=1,
        )

    def _blocks(self, heard: Sequence[Heard], last: Heard) -> Callable[[int], Iterator[FeedBlock]]:
        """Blocks from whoever has them, the one that is believed first."""
        others = [each for each in reversed(heard) if each is not last]
        sources = [RemoteSource(each.client) for each in (last, *others)]

        def blocks(after: int) -> Iterator[FeedBlock]:
            failure: TallystickError | None = None
            for source in sources:
                got, self._told_by = False, source.url
                try:
                    for block in source.blocks(after, last.checkpoint.size):
                        got = True
                        yield block
                except TROUBLE as error:
                    _log.warning("%s does not give blocks: %s", source.url, error)
                    failure = error
                if got:
                    return  # asked again from where this ended
            if failure is not None:
                raise failure

        return blocks

    def _vouched(
        self, ledger: Ledger, last: Heard, heard: Sequence[Heard], without: Sequence[str]
    ) -> tuple[list[Vouched], list[str]]:
        """Who of the live keepers has said how much; and who was left out on purpose."""
        live = self._find_keepers(ledger)
        if self._trust is None and not _signers(last.note, live):
            raise VerificationFailed(f"no keeper of the ledger has signed what {last.url} shows")
        vouched = [word for keeper in live if (word := _word_of(keeper, heard)) is not None]
        for each in vouched:
            if each.size > ledger.head.size and each.name not in without:
                raise VerificationFailed(
                    f"{each.name} has signed size {each.size}, and no keeper that is trusted: "
                    "trust it, or leave it out"
                )
        missing = [each.name for each in live if each.name not in [v.name for v in vouched]]
        unheard = [name for name in missing if name not in without]
        if unheard:
            raise Unheard(unheard)
        return vouched, missing

    def _publish(self, ledger: Ledger, feed: Path, last: Heard, heard: Sequence[Heard]) -> None:
        """What the publisher finds, as if it had signed and gathered that itself."""
        (feed / COSIGNED).mkdir(parents=True, exist_ok=True)
        write_file(feed / "checkpoint", last.note)
        keys = {each.name: each.key for each in self._find_keepers(ledger)}
        for each in heard:
            if each.name in keys:
                name = sha256(keys[each.name]).hexdigest()[:16]
                write_file(feed / COSIGNED / name, each.note)

    def _record(self, found: Restored, now: int) -> dict[str, object]:
        """What stays in the folder, for whoever asks later what became of an acknowledgement."""
        return {
            "format": "tallystick/restored/v1",
            "network": self._network.hex(),
            "restored_at": format_instant(now),
            "block": found.head.block,
            "size": found.head.size,
            "root": found.head.root.hex(),
            "at": format_instant(found.head.at),
            "lost_from": format_instant(found.lost_from),
            "keepers": [
                {"name": each.name, "size": each.size, "at": format_instant(each.at)}
                for each in found.keepers
            ],
            "without": list(found.without),
            "beyond": dict(found.beyond),
        }


def _signers(note: bytes, keepers: Sequence[KeeperKey]) -> dict[str, int]:
    """Which of these have signed a note, and when."""
    found, parsed = dict[str, int](), parse_note(note)
    for keeper in keepers:
        with suppress(VerificationFailed):
            found[keeper.name] = verify_cosignature(parsed, keeper.name, keeper.key)
    return found


def _word_of(keeper: KeeperKey, heard: Sequence[Heard]) -> Vouched | None:
    """A keeper's newest word, from itself: others may show an older one of it."""
    for each in heard:
        at = _signers(each.note, [keeper]).get(keeper.name)
        if each.name == keeper.name and at is not None:  # anybody may say that name
            return Vouched(keeper.name, each.url, each.checkpoint.size, at)
    return None
