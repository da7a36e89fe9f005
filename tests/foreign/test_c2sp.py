"""Programs that are not ours read our log, and refuse what was changed: Torchwood and Tessera.

They are called by the Go program in tests/foreign/c2sp, over HTTP and through the routes that a
server of ours has. See docs/adr/0021-other-peoples-log-clients.md.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.staticfiles import StaticFiles
from web_server import WebServer
from world import KEEPER, World, signer, until

from tallystick.client.witnesses import WitnessClient
from tallystick.ledger.portable import export_ledger
from tallystick.node import Node, open_keeper
from tallystick.protocol import merkle, tiles
from tallystick.protocol.canonical import encode
from tallystick.protocol.checkpoint import (
    COSIGNATURE_KEY,
    NOTE_KEY,
    Checkpoint,
    VerifierKey,
    cosign,
    format_checkpoint,
    format_note,
    format_vkey,
    parse_checkpoint,
    parse_note,
    sign_note,
)
from tallystick.protocol.receipt import read_receipt
from tallystick.protocol.tlog_proof import TlogProof, tlog_proof_of, write_tlog_proof
from tallystick.web.tiles import is_there, tile_routes
from tallystick.web.witness import Witness, witness_app

SOURCE = Path(__file__).parent / "c2sp"
WITNESS = "witness.example/w1"
READERS = ("torchwood", "tessera")
MUST = bool(os.environ.get("CI")) or os.environ.get("TALLY_REQUIRE_ALL") == "1"
SECONDS = 60


def keyed(name: str, key: str, kind: int = COSIGNATURE_KEY) -> VerifierKey:
    return VerifierKey(name, kind, signer(key).public_key)


@pytest.fixture(scope="session")
def go(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program, built once; Go's own cache makes the next time quick."""
    found = shutil.which("go")
    program, why = tmp_path_factory.mktemp("c2sp") / "c2sp", "Go is not installed"
    if found is not None:
        offline = {"GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
        built = subprocess.run(
            [found, "build", "-buildvcs=false", "-o", program, "."],
            cwd=SOURCE,
            env=os.environ | offline,
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode == 0:
            return program
        why = f"`make foreign` has not fetched all they need: {built.stderr.strip()[-200:]}"
    if MUST:
        pytest.fail(f"other people's log clients must be tried here, but {why}")
    pytest.skip(f"other people's log clients are not tried: {why}")


def run(program: Path, *arguments: object) -> str:
    """What it finds; `Refused` with its reason."""
    done = subprocess.run(
        [program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode:
        assert done.returncode == 1, done.stderr
        raise Refused(done.stderr)
    return done.stdout


class Refused(Exception):
    """The Go program does not believe it."""


@dataclass
class Served:
    """A log as it is served, and what a test makes of it."""

    origin: str
    size: int
    old: bytes
    note: bytes
    leaves: dict[int, bytes]
    """Data of some entries by index."""
    tiles: dict[tuple[int, int], bytes]
    cosigners: list[VerifierKey]
    folder: Path
    proof: TlogProof | None = None
    asked: list[tuple[int, int, int]] = field(default_factory=list)

    def read_tile(self, level: int, index: int, width: int) -> bytes:
        self.asked.append((level, index, width))
        if not is_there(tiles.TileId(level, index, width), self.size):
            raise LookupError("not there")
        return self.tiles[level, index]

    @property
    def signers(self) -> list[str]:
        """Options that name the log's key and who must have co-signed."""
        log = format_vkey(keyed(self.origin, "log", NOTE_KEY))
        return ["-log", log, *(f"-cosigner={format_vkey(each)}" for each in self.cosigners)]

    def read(self, program: Path, by: str) -> str:
        """One reader reads all of it over HTTP."""
        routes = tile_routes(self.read_tile, lambda: self.note)
        with WebServer(Starlette(routes=routes)) as server:
            return self.read_at(program, by, f"http://127.0.0.1:{server.port}/")

    def read_at(self, program: Path, by: str, url: str) -> str:
        """The same of what is served there."""
        old = self.folder / "old"
        old.write_bytes(self.old)
        leaves = [
            f"-leaf={index}={b64encode(data).decode()}" for index, data in self.leaves.items()
        ]
        return run(program, "read", "-by", by, "-url", url, "-old", old, *self.signers, *leaves)


@contextmanager
def our_witness(origin: str, folder: Path) -> Iterator[str]:
    """A witness of ours on its own server: its URL."""
    log = {origin: [keyed(origin, "log", NOTE_KEY)]}
    with (
        Witness(folder, WITNESS, signer("witness"), log, lambda: 1_800_000_000) as witness,
        WebServer(witness_app(witness)) as server,
    ):
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A ledger of a node with bills, over several tiles; a keeper and a witness have signed."""
    folder = tmp_path_factory.mktemp("real")
    world = World(folder / "node")
    world.prepare()
    world.ledger.close()
    origin = world.ledger.origin
    cosigners = [keyed(origin, "log"), keyed(KEEPER, "keeper"), keyed(WITNESS, "witness")]
    with our_witness(origin, folder / "witness") as url:
        client = WitnessClient(url, keyed(WITNESS, "witness"))
        with (
            Node.open(
                world.folder, signer("log"), clock=world.clock(), witnesses=[client.cosign]
            ) as node,
            open_keeper(
                folder / "keeper", world.folder / "feed", signer("keeper"), clock=world.clock()
            ) as keeper,
        ):
            old = until(lambda: notes(node, node.ledger.head.size))
            key = signer("hospital/key")
            for first in (1, 301):
                items = [world.issue_item(number) for number in range(first, first + 300)]
                node.act(key, "hospital", "bills.issue/1", items)
            size = node.ledger.head.size
            names = {each.name for each in cosigners}
            until(lambda: keeper.step() * 0 or names <= signed_by(notes(node, size)))
            served = Served(origin, size, old, notes(node, size), {}, {}, cosigners, folder)
            with node.ledger.store.snapshot() as snapshot:
                for level, index, width in tiles_of(size):
                    served.tiles[level, index] = snapshot.read(level, index, width)
            for index in (0, 255, 256, 511, size - 2):
                receipt = read_receipt(node.receipt(index))
                served.leaves[index] = encode(receipt.entry)
                served.proof = replace(tlog_proof_of(receipt), checkpoint=served.note)
            export_ledger(world.folder, folder / "export", note=served.note)
        client.close()
    return served


def notes(node: Node, size: int) -> bytes:
    try:
        return node.publisher.note(size)
    except LookupError:
        return b""


def signed_by(note: bytes) -> set[str]:
    return {each.name for each in parse_note(note).signatures} if note else set()


def tiles_of(size: int) -> Iterator[tuple[int, int, int]]:
    """Every tile of a log of this size."""
    level = 0
    while size >> 8 * level:
        hashes = size >> 8 * level
        for index in range(-(-hashes // 256)):
            yield level, index, min(256, hashes - index * 256)
        level += 1


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """Seventy thousand leaves of no ledger: three levels of tiles, as our code cuts them."""
    origin, size = "example/large", 70_000
    data = [b"leaf %d" % n for n in range(size)]
    edge = tiles.Edge()
    hashes = merkle.leaf_hashes(data)
    written: dict[tuple[int, int], bytes] = {}
    for start, end in ((0, 300), (300, 65_536), (65_536, size)):
        written |= {(t.level, t.index): t.data for t in edge.extend(hashes[start:end])}
    notes = [
        note_of(origin, length, merkle.root(hashes[:length]), at)
        for length, at in ((300, 1), (size, 2))
    ]
    return Served(
        origin=origin,
        size=size,
        old=notes[0],
        note=notes[1],
        leaves={n: data[n] for n in (0, 299, 300, 65_535, 65_536, size - 1)},
        tiles=written,
        cosigners=[keyed(KEEPER, "keeper")],
        folder=tmp_path_factory.mktemp("large"),
    )  # fmt: skip


def note_of(origin: str, size: int, root: bytes, at: int, *, log: str = "log") -> bytes:
    text = format_checkpoint(Checkpoint(origin, size, root))
    lines = [sign_note(text, origin, signer(log)), cosign(text, KEEPER, signer("keeper"), at)]
    return format_note(text, lines).encode()


@pytest.mark.parametrize("by", READERS)
@pytest.mark.parametrize("log", ["real", "large"])
def test_they_read_checkpoint_tiles_entries_and_growth(
    go: Path, log: str, by: str, request: pytest.FixtureRequest
) -> None:
    served: Served = request.getfixturevalue(log)
    served.asked.clear()
    found = served.read(go, by).splitlines()
    old = parse_checkpoint(parse_note(served.old).text)
    assert f"{by} {served.origin} {old.size} {served.size} {len(served.leaves)}" in found
    if by == "tessera":
        assert [line.split()[1] for line in found if line.startswith("cosigned")] == [
            each.name for each in served.cosigners
        ]
    levels = {level for level, _, _ in served.asked}
    assert levels == set(range(3 if log == "large" else 2))
    assert any(width < 256 for _, _, width in served.asked)
    assert all(is_there(tiles.TileId(*each), served.size) for each in served.asked)


@pytest.mark.parametrize("by", READERS)
def test_an_export_is_read_from_any_server_of_files(go: Path, real: Served, by: str) -> None:
    with WebServer(StaticFiles(directory=real.folder / "export")) as server:
        url = f"http://127.0.0.1:{server.port}/"
        assert f"{by} {real.origin} " in real.read_at(go, by, url)
        changed = replace(real, leaves=real.leaves | {256: real.leaves[255]})
        with pytest.raises(Refused):
            changed.read_at(go, by, url)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def resigned(served: Served, name: str, changed: Sequence[str]) -> bytes:
    """The note with other lines in the place of those of `name`."""
    note = parse_note(served.note)
    lines = [each.line for each in note.signatures if each.name != name]
    return format_note(note.text, [*lines, *changed]).encode()


def spoiled(served: Served, name: str) -> bytes:
    """The note with one bit of a signature of `name` changed."""
    (line, *_) = [each.line for each in parse_note(served.note).signatures if each.name == name]
    dash, who, encoded = line.rstrip().split(" ")
    raw = b64decode(encoded)
    return resigned(
        served, name, [f"{dash} {who} {b64encode(flipped(raw, len(raw) - 1)).decode()}\n"]
    )


def other_root(served: Served) -> bytes:
    return note_of(served.origin, served.size, bytes(32), 3)


CHANGED = {
    "a hash of a leaf's tile": lambda s: replace(
        s, tiles=s.tiles | {(0, 0): flipped(s.tiles[0, 0], 32 * 7)}
    ),
    "a hash of an upper tile": lambda s: replace(
        s, tiles=s.tiles | {(1, 0): flipped(s.tiles[1, 0], 0)}
    ),
    "a shorter tile": lambda s: replace(s, tiles=s.tiles | {(0, 0): s.tiles[0, 0][:-32]}),
    "a tile that is away": lambda s: replace(s, size=255),
    "the size": lambda s: replace(
        s, note=s.note.replace(b"\n%d\n" % s.size, b"\n%d\n" % (s.size - 1))
    ),
    "the origin": lambda s: replace(s, note=s.note.replace(s.origin.encode(), b"example/other")),
    "the root": lambda s: replace(s, note=flipped(s.note, s.note.index(b"\n\n") - 20)),
    "the log's signature": lambda s: replace(
        s, note=note_of(s.origin, s.size, root_of(s), 3, log="x")
    ),
    "a keeper's signature": lambda s: replace(s, note=spoiled(s, KEEPER)),
    "a keeper's line left out": lambda s: replace(s, note=resigned(s, KEEPER, [])),
    "a keeper's line of another checkpoint": lambda s: replace(
        s,
        note=resigned(
            s, KEEPER, [cosign(parse_note(s.old).text, KEEPER, signer("keeper"), 3)]
        ),
    ),
    "a witness's signature": lambda s: replace(s, note=spoiled(s, WITNESS)),
    "a root that the tiles have not": lambda s: replace(
        s, note=other_root(s), cosigners=[keyed(KEEPER, "keeper")]
    ),
    "an older log that was another": lambda s: replace(
        s, old=note_of(s.origin, parse_checkpoint(parse_note(s.old).text).size, bytes(32), 3)
    ),
    "an older log that was larger": lambda s: replace(
        s, old=note_of(s.origin, s.size + 1, bytes(32), 3)
    ),
    "an entry": lambda s: replace(s, leaves=s.leaves | {256: s.leaves[255]}),
    "an entry beyond the end": lambda s: replace(s, leaves={s.size: b"anything"}),
}  # fmt: skip


def root_of(served: Served) -> bytes:
    return parse_checkpoint(parse_note(served.note).text).root


STAYS = ("an older log that was larger", "tessera")
"""Tessera's tracker stays with the larger checkpoint that it knows: there is nothing to refuse."""


@pytest.mark.parametrize(
    ("what", "by"), [(what, by) for what in CHANGED for by in READERS if (what, by) != STAYS]
)
def test_they_refuse_what_was_changed(go: Path, real: Served, what: str, by: str) -> None:
    changed = CHANGED[what](real)
    with pytest.raises(Refused) as refused:
        changed.read(go, by)
    reason = str(refused.value)
    assert reason.startswith("refused:") and "connect" not in reason


def proof_file(served: Served, data: bytes) -> Path:
    path = served.folder / "entry.tlog-proof"
    path.write_bytes(data)
    return path


def test_they_verify_our_proof_offline(go: Path, real: Served) -> None:
    assert real.proof is not None
    found = run(go, "proof", *real.signers, proof_file(real, write_tlog_proof(real.proof)))
    leaf = real.leaves[real.proof.index].decode()
    assert found == f"proof {real.proof.index} {leaf}\n"


def test_they_refuse_a_proof_that_was_changed(go: Path, real: Served) -> None:
    proof = real.proof
    assert proof is not None and proof.leaf is not None
    changed = [
        replace(proof, index=proof.index - 1),
        replace(proof, path=(flipped(proof.path[0], 0), *proof.path[1:])),
        replace(proof, path=proof.path[:-1]),
        replace(proof, leaf=proof.leaf.replace(b"accepted", b"bills.number_used")),
        replace(proof, leaf=None),
        replace(proof, checkpoint=spoiled(real, KEEPER)),
        replace(proof, checkpoint=resigned(real, WITNESS, [])),
        replace(proof, checkpoint=other_root(real)),
        replace(proof, checkpoint=real.old),
    ]
    for each in changed:
        with pytest.raises(Refused):
            run(go, "proof", *real.signers, proof_file(real, write_tlog_proof(each)))


def growth(served: Served, old: int, new: int) -> list[bytes]:
    """The consistency path out of the tiles."""

    class Reader:
        def read(self, level: int, index: int, width: int) -> bytes:
            return served.tiles[level, index]

    return tiles.consistency_path(Reader(), old, new)


def test_their_client_asks_our_witness(go: Path, large: Served, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(large.old)
    new.write_bytes(large.note)
    vkey = format_vkey(keyed(WITNESS, "witness"))
    path = [f"-hash={b64encode(digest).decode()}" for digest in growth(large, 300, large.size)]
    with our_witness(large.origin, tmp_path / "w") as url:
        ask = ("ask", "-url", url, "-witness", vkey)
        said = f"cosigned {WITNESS} 1800000000\n"
        assert run(go, *ask, "-old", 0, old) == said
        with pytest.raises(Refused, match="stale: the witness knows 300"):
            run(go, *ask, "-old", 0, new)
        with pytest.raises(Refused, match="consistency proof invalid"):
            run(go, *ask, "-old", 300, *path[:-1], new)
        assert run(go, *ask, "-old", 300, *path, new) == said
        assert run(go, *ask, "-old", large.size, new) == said
        with pytest.raises(Refused, match="stale: the witness knows 70000"):
            run(go, *ask, "-old", 300, old)
        for text, why in (
            (note_of(large.origin, large.size, bytes(32), 3), "roots do not match"),
            (note_of("example/other", large.size, bytes(32), 3), "unknown log"),
            (note_of(large.origin, large.size, bytes(32), 3, log="x"), "no valid signatures"),
        ):
            new.write_bytes(text)
            with pytest.raises(Refused, match=why):
                run(go, *ask, "-old", large.size, new)


@contextmanager
def their_witness(go: Path, origin: str, name: str, seed: bytes) -> Iterator[str]:
    """transparency-dev's witness in a process of its own: its URL."""
    public = signer("their witness").public_key
    number = format_vkey(VerifierKey(name, NOTE_KEY, public)).split("+")[1]
    secret = f"PRIVATE+KEY+{name}+{number}+{b64encode(bytes([1]) + seed).decode()}"
    log = format_vkey(keyed(origin, "log", NOTE_KEY))
    command = [str(go), "witness", "-log", log, "-secret", secret]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        yield running.stdout.readline().strip()
    finally:
        running.kill()
        running.wait()
        assert running.stdout is not None
        running.stdout.close()


def test_their_witness_answers_us(go: Path, large: Served) -> None:
    name = "witness.example/theirs"
    seed = sha256(b"their witness").digest()
    with their_witness(go, large.origin, name, seed) as url:
        client = WitnessClient(url, keyed(name, "their witness"))
        (line,) = client.cosign(lambda old: growth(large, old, 300), large.old)
        assert line.startswith(f"— {name} ")
        assert client.cosign(lambda old: growth(large, old, large.size), large.note)
        again = WitnessClient(url, keyed(name, "their witness"))  # it is told where to begin
        (line,) = again.cosign(lambda old: growth(large, old, large.size), large.note)
        both = replace(large, note=format_note(parse_note(large.note).text, [
            *(each.line for each in parse_note(large.note).signatures), line,
        ]).encode(), cosigners=[*large.cosigners, keyed(name, "their witness")])  # fmt: skip
        for by in READERS:
            assert by in both.read(go, by)
        client.close()
        again.close()
