"""Where we never send anything, whatever an address is dressed as."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from streamed import HERE, Running

from tallystick.protocol.errors import Malformed
from tallystick.web import outward
from tallystick.web.outward import Outward, OutwardRules, Unreached, check_url, is_public

STRICT = OutwardRules()


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1"),
        *(
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fe80::1%eth0",
            "fec0::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
        ),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1"),
        *("64:ff9b::10.0.0.1", "2002:7f00:1::", "2001:0:0:0:0:0:80ff:fffe", "2001:db8::1"),
        *("localhost", "example.org", ""),
    ],
)
def test_what_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_what_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.org/", "ftp://example.org/", "file:///etc/passwd", "//example.org/"),
        *("https://user@example.org/", "https://user:word@example.org/", "https://example.org/#x"),
        *("https://127.0.0.1/", "https://[::1]/", "https://[::ffff:10.0.0.1]/", "https:///x"),
        *("https://10.0.0.1:8443/x", "https://exa mple.org/", "https://example.org/\nx"),
        *("https://example.org/é", "https://example.org/" + "x" * 500, "", "x"),
        "https://example.org:99999/",
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(Malformed):
        check_url(url, STRICT)


def test_no_answer_tells_what_a_name_within_our_walls_leads_to() -> None:
    said = set[str]()
    for found in (["10.1.2.3"], ["8.8.8.8", "fec0::1"], []):
        with pytest.raises(Unreached) as caught:
            post("https://files.corp.example/", STRICT, lookup=lookup(found))
        said.add(str(caught.value))
    assert len(said) == 1


def test_addresses_that_are_taken() -> None:
    for url in ("https://example.org/hook?x=1", "https://example.org:8443/", "https://8.8.8.8/"):
        assert check_url(url, STRICT).scheme == "https"
    assert check_url("http://127.0.0.1:1/", HERE).port == 1


def post(url: str, rules: OutwardRules, **options: Any) -> int:
    async def run() -> int:
        sender = Outward(rules, **options)
        try:
            return await sender.post(url, b"{}", {"content-type": "application/json"})
        finally:
            await sender.close()

    return asyncio.run(run())


def lookup(*answers: list[str]) -> Any:
    """Gives each of its answers in turn, as a name does whose owner means ill."""
    left = list(answers)

    async def find(host: str, port: int) -> list[str]:
        return left.pop(0)

    return find


@pytest.mark.parametrize(
    "found", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:192.168.0.1"], ["fe80::1%eth0"]]
)
def test_a_name_that_leads_within_is_not_followed(found: list[str]) -> None:
    with pytest.raises(Unreached, match="not public"):
        post("https://example.org/", STRICT, lookup=lookup(found))


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f.1", "localhost."])
def test_names_that_the_system_resolves_to_itself(host: str) -> None:
    with pytest.raises(Unreached, match=r"not public|no address"):
        post(f"https://{host}/", STRICT)


def test_what_was_looked_at_is_what_is_connected_to() -> None:
    """The name is asked once; the second answer, which leads elsewhere, is never used."""
    seen = Answering()
    running = Running(seen)
    try:
        names = lookup(["127.0.0.1"], ["192.0.2.1"])
        url = f"http://hospital.example:{running.port}/in?x=1"
        assert post(url, HERE, lookup=names) == 204
    finally:
        running.stop()
    assert seen.host == f"hospital.example:{running.port}"
    assert seen.target == "/in?x=1"


class Answering:
    """Answers once with `status`, or as `mood` says."""

    def __init__(self, status: int = 204, mood: str = "") -> None:
        self.status, self.mood = status, mood
        self.host = self.target = ""
        self.count = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.count += 1
        self.host = dict(scope["headers"])[b"host"].decode()
        self.target = f"{scope['path']}?{scope['query_string'].decode()}"
        if self.mood == "silent":
            await asyncio.sleep(5)
        headers = [(b"location", f"http://{self.host}/elsewhere".encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        for _ in range(50 if self.mood == "endless" else 0):
            body = {"type": "http.response.body", "body": b"x" * 65_536, "more_body": True}
            await send(body)
            await asyncio.sleep(0.1)
        await send({"type": "http.response.body"})


@pytest.mark.parametrize(("status", "mood"), [(307, ""), (302, ""), (200, "endless"), (500, "")])
def test_redirects_and_bodies_are_left_alone(status: int, mood: str) -> None:
    seen = Answering(status, mood)
    running = Running(seen)
    try:
        assert post(f"{running.url}/in", HERE, total_seconds=2.0) == status
    finally:
        running.stop()
    assert (seen.count, seen.target) == (1, "/in?")


def test_who_is_silent_or_away_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outward, "LOOKUP_SECONDS", 0.1)
    running = Running(Answering(mood="silent"))
    try:
        with pytest.raises(Unreached, match="no answer within"):
            post(running.url, HERE, total_seconds=0.3)
    finally:
        running.stop()
    with pytest.raises(Unreached, match="Connect"):
        post(running.url, HERE)

    async def hangs(host: str, port: int) -> list[str]:
        await asyncio.sleep(5)
        return []

    async def none(host: str, port: int) -> list[str]:
        raise OSError

    for asked, said in ((hangs, "in time"), (none, "no address"), (lookup([]), "no address")):
        with pytest.raises(Unreached, match=said):
            post("https://example.org/", STRICT, lookup=asked)
    with pytest.raises(Unreached, match="only https"):
        post("http://example.org/", STRICT)
