"""What may be done with an address, and what pages of other origins may do."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from tallystick.web.options import Options
from tallystick.web.problems import Problems


async def never(request: Request) -> Response:
    assert request.method != "OPTIONS"
    return PlainTextResponse("asked")


@pytest.fixture(scope="module")
def asked() -> TestClient:
    routes = [
        Route("/checkpoint", never),
        Route("/api/{n}", never, methods=["GET"]),
        Route("/api/{n}", never, methods=["POST"]),
        Mount("/pages", routes=[Route("/{name}", never)]),
    ]
    app = Starlette(routes=routes, exception_handlers=Problems().handlers())
    return TestClient(Options(app, lambda path: path == "/checkpoint"))


def test_an_address_tells_its_methods(asked: TestClient) -> None:
    for path, allowed in [
        ("/checkpoint", "GET, HEAD, OPTIONS"),
        ("/api/1", "GET, HEAD, OPTIONS, POST"),
        ("/pages/x", "GET, HEAD, OPTIONS"),
    ]:
        found = asked.options(path)
        assert (found.status_code, found.headers["allow"], found.content) == (204, allowed, b"")


def test_pages_of_others_are_told_of_what_is_public_alone(asked: TestClient) -> None:
    public = asked.options("/checkpoint", headers={"origin": "https://other.example"})
    assert public.headers["access-control-allow-methods"] == "GET, HEAD"
    assert "access-control-allow-credentials" not in public.headers
    assert "access-control-allow-methods" not in asked.options("/api/1").headers


def test_where_nothing_is_there_is_nothing_to_do(asked: TestClient) -> None:
    assert asked.options("/none").status_code == 404
    assert asked.get("/checkpoint").text == "asked"
