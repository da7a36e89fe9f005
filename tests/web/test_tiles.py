"""Checkpoint and tiles over HTTP: what C2SP's clients ask for is there, and nothing else is.

See docs/spec/log.md.
"""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from tallystick.protocol.errors import Malformed
from tallystick.protocol.merkle import leaf_hash
from tallystick.protocol.tiles import Edge, TileId, edge_tiles
from tallystick.web.tiles import (
    FULL_TILE_CACHE,
    PARTIAL_TILE_CACHE,
    is_there,
    parse_tile_path,
    tile_routes,
)

SIZE = 70_000
"""The standard's own example: 273 full tiles and one of 112, one full and one of 17, one of 1."""
NOTE = b"the newest note\n"


class Served:
    """A log of `SIZE` leaves, and what is shown of it."""

    def __init__(self) -> None:
        edge = Edge()
        written = edge.extend([leaf_hash(b"%d" % n) for n in range(SIZE)])
        self.tiles = {(each.level, each.index): each.data for each in written}
        self.note: bytes | None = NOTE
        self.asked: list[tuple[int, int, int]] = []
        app = Starlette(routes=tile_routes(self.read, lambda: self.note))
        self.client = TestClient(app, raise_server_exceptions=True)

    def read(self, level: int, index: int, width: int) -> bytes:
        self.asked.append((level, index, width))
        if not is_there(TileId(level, index, width), SIZE):
            raise LookupError("not there")
        return self.tiles[level, index]


@pytest.fixture(scope="module")
def served() -> Served:
    return Served()


def test_the_checkpoint_is_served_as_the_standard_says(served: Served) -> None:
    answer = served.client.get("/checkpoint")
    assert (answer.status_code, answer.content) == (200, NOTE)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=1"
    assert served.client.head("/checkpoint").status_code == 200
    assert served.client.post("/checkpoint").status_code == 405
    served.note = None
    assert served.client.get("/checkpoint").status_code == 404
    served.note = NOTE


@pytest.mark.parametrize(
    ("path", "width"),
    [
        ("tile/0/000", 256),
        ("tile/0/272", 256),
        ("tile/0/273.p/112", 112),
        ("tile/0/273.p/111", 111),
        ("tile/0/000.p/1", 1),
        ("tile/1/000", 256),
        ("tile/1/001.p/17", 17),
        ("tile/2/000.p/1", 1),
    ],
)
def test_tiles_are_served_with_long_lives(served: Served, path: str, width: int) -> None:
    answer = served.client.get(f"/{path}")
    assert answer.status_code == 200
    assert len(answer.content) == 32 * width
    tile = parse_tile_path(path)
    assert tile.path == path
    assert answer.content == served.tiles[tile.level, tile.index][: 32 * width]
    assert answer.headers["content-type"] == "application/octet-stream"
    long = FULL_TILE_CACHE if width == 256 else PARTIAL_TILE_CACHE
    assert answer.headers["cache-control"] == long


def test_all_tiles_at_the_edge_of_a_size_are_there(served: Served) -> None:
    for size in (1, 255, 256, 257, 65_535, 65_536, SIZE):
        for tile in edge_tiles(size):
            assert served.client.get(f"/{tile.path}").status_code == 200
            assert is_there(tile, size)
            assert not is_there(TileId(tile.level, tile.index, tile.width + 1), size)


REFUSED = [
    "tile/entries/000",
    "tile/data/000",
    "tile/",
    "tile/0",
    "tile/0/",
    "tile/0/0",
    "tile/0/0000",
    "tile/0/000/",
    "tile/0/000.p",
    "tile/0/000.p/",
    "tile/0/000.p/0",
    "tile/0/000.p/256",
    "tile/0/000.p/01",
    "tile/0/000.p/-1",
    "tile/00/000",
    "tile/0/x000/000",
    "tile/0/x000/001",
    "tile/0/001/000",
    "tile/0/X001/234",
    "tile/7/000",
    "tile/63/000",
    "tile/-1/000",
    "tile/0/x999/x999/x999/x999/x999/999",
    "tile/0/٠٠٠",
    "tile/0/000?width=1/..",
    "tile//0/000",
    "tile/0//000",
    "tile/0/000\n",
]


@pytest.mark.parametrize("path", REFUSED)
def test_no_other_text_is_a_path_of_a_tile(path: str) -> None:
    with pytest.raises(Malformed):
        parse_tile_path(path)


@pytest.mark.parametrize(
    "path",
    [
        *(path for path in REFUSED if path.isprintable() and "?" not in path),
        *("tile/0/274", "tile/0/273", "tile/0/273.p/113", "tile/1/001", "tile/1/001.p/18"),
        *("tile/2/000", "tile/3/000.p/1", "tile/6/000.p/1"),
        *("tile/0/%30%30%30", "tile/0%2F000", "tile/0/..%2F0%2F000", "tile/%2e%2e/checkpoint"),
        *("tile/..%2F..%2Fkeys%2Flog.json", "tile/0/000%00", "tile"),
    ],
)
def test_what_is_not_there_is_404_and_not_kept(served: Served, path: str) -> None:
    served.asked.clear()
    answer = served.client.get(f"/{path}")
    assert answer.status_code == 404
    for level, index, width in served.asked:
        assert not is_there(TileId(level, index, width), SIZE)
    if path != "tile":
        assert answer.headers["cache-control"] == "no-store"
