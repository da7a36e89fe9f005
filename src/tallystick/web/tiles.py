"""The log as other people's clients read it: ``/checkpoint`` and ``/tile/…`` of C2SP tlog-tiles.

Public, without sign-in: a checkpoint and hashes show how many entries there are, and nothing of
what they say. Entries themselves are not published: ``/tile/entries/…`` is not there.
See docs/spec/log.md.

Invariant: one tile has one path; whatever else is asked for, however spelled, is not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tallystick.protocol.errors import Malformed
from tallystick.protocol.merkle import HASH_BYTES
from tallystick.protocol.tiles import TILE_HEIGHT, TILE_WIDTH, TileId, tile_path
from tallystick.web.openapi import open_to_all

FULL_TILE_CACHE = "public, max-age=31536000, immutable"
PARTIAL_TILE_CACHE = "public, max-age=86400, immutable"
"""Never changes either, but once its tile is full nobody asks for it again."""
CHECKPOINT_CACHE = "public, max-age=1"

_PATH = re.compile(
    r"tile/(?P<level>[0-9]{1,2})/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/(?P<width>[0-9]{1,3}))?"
)


def parse_tile_path(path: str) -> TileId:
    """Read what `tile_path` writes; `Malformed` for every other text."""
    found = _PATH.fullmatch(path)
    if found is None:
        raise Malformed("not a path of a tile")
    index = int(found["index"].replace("x", "").replace("/", ""))
    width = TILE_WIDTH if found["width"] is None else int(found["width"])
    tile = TileId(int(found["level"]), index, width)
    try:
        same = tile_path(tile.level, tile.index, tile.width) == path
    except ValueError:
        same = False
    if not same:
        raise Malformed("no log has such a tile")
    return tile


def is_there(tile: TileId, size: int) -> bool:
    """Whether a log of `size` leaves has these hashes, all of them final."""
    return tile.index * TILE_WIDTH + tile.width <= size >> TILE_HEIGHT * tile.level


def tile_routes(
    read_tile: Callable[[int, int, int], bytes],
    checkpoint: Callable[[], bytes | None] | None = None,
) -> list[Route]:
    """The two routes; both callables are run on threads, several at once.

    `read_tile(level, index, width)` gives the tile's first hashes, `width` of them or more, and
    raises `LookupError` for what is not there yet (see `is_there`). `checkpoint` gives the newest
    note that may be shown, or None; without it there is no route for it.
    """

    def serve_checkpoint(request: Request) -> Response:
        note = None if checkpoint is None else checkpoint()
        if note is None:
            return _not_there()
        return PlainTextResponse(note, headers={"cache-control": CHECKPOINT_CACHE})

    def serve_tile(request: Request) -> Response:
        if b"%" in request.scope.get("raw_path", b""):
            return _not_there()  # another spelling of a path: a cache would keep it twice
        try:
            tile = parse_tile_path(f"tile/{request.path_params['tile']}")
            data = read_tile(tile.level, tile.index, tile.width)[: tile.width * HASH_BYTES]
        except (Malformed, LookupError):
            return _not_there()
        full = tile.width == TILE_WIDTH
        return Response(
            data,
            media_type="application/octet-stream",
            headers={"cache-control": FULL_TILE_CACHE if full else PARTIAL_TILE_CACHE},
        )

    routes = [Route("/tile/{tile:path}", serve_tile, methods=["GET"])]
    if checkpoint is not None:
        routes.append(Route("/checkpoint", serve_checkpoint, methods=["GET"]))
    return routes


PATHS: dict[str, Any] = {
    "/checkpoint": open_to_all(
        "get_checkpoint", "text/plain", "The newest signed checkpoint", missing="text/plain"
    ),
    "/tile/{level}/{index}": open_to_all(
        "get_tile",
        "application/octet-stream",
        "Hashes of the log, as C2SP lays them out; of a large log there is more of the path",
        parameters=[("level", "^[0-9]{1,2}$"), ("index", "^[0-9]{3}$")],
        missing="text/plain",
    ),
}
"""For the API document."""


def _not_there() -> Response:
    return PlainTextResponse("not there\n", status_code=404, headers={"cache-control": "no-store"})
