import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from flows.deploy.guard import Guard

OWN = {"host": "127.0.0.1:4200"}


def answer(headers: dict[str, str], kind: str = "http", path: str = "/api/flows", method: str = "POST") -> object:
    """Return the result of a request: "passed on", a status, or the closing code of a WebSocket."""
    sent: list[MutableMapping[str, Any]] = []

    async def app(scope: object, receive: object, send: Any) -> None:
        sent.append({"passed": True})

    async def receive() -> MutableMapping[str, Any]:
        return {"type": f"{kind}.connect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "path": path, "method": method, "headers": raw}
    asyncio.run(Guard(app, 4200)(scope, receive, send))  # type: ignore[arg-type]
    return "passed on" if sent[0].get("passed") else sent[0].get("status") or sent[0].get("code")


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    "headers",
    [OWN, {"host": "localhost:4200"}, {**OWN, "origin": "http://127.0.0.1:4200"},
     {**OWN, "origin": "http://localhost:4200", "sec-fetch-site": "same-site"},
     {**OWN, "sec-fetch-site": "same-origin"}, {**OWN, "sec-fetch-site": "none"}],
)  # fmt: skip
def test_requests_of_the_own_host_and_origin_pass(kind: str, headers: dict[str, str]) -> None:
    assert answer(headers, kind) == "passed on"


@pytest.mark.parametrize(
    "headers",
    [{}, {"host": "evil.example:4200"}, {"host": "127.0.0.1"}, {"host": "127.0.0.1:4200.evil.example"},
     {"host": "127.0.0.1:42000"}, {**OWN, "origin": "null"}, {**OWN, "origin": "https://127.0.0.1:4200"},
     {**OWN, "origin": "http://127.0.0.1:4200.evil.example"}, {**OWN, "origin": "http://evil.example"},
     {**OWN, "sec-fetch-site": "cross-site"}, {**OWN, "sec-fetch-site": "same-site"}],
)  # fmt: skip
def test_requests_from_elsewhere_are_refused(headers: dict[str, str]) -> None:
    assert answer(headers) == 403
    assert answer(headers, "websocket") == 1008


def test_a_foreign_link_may_open_the_page_but_not_the_api() -> None:
    foreign = {**OWN, "sec-fetch-site": "cross-site"}
    assert answer(foreign, path="/runs", method="GET") == "passed on"
    assert answer(foreign, path="/api/flows", method="GET") == 403
    assert answer(foreign, path="/runs", method="POST") == 403


def test_the_start_and_end_of_the_server_pass() -> None:
    assert answer({}, "lifespan") == "passed on"


def test_the_page_asks_no_other_server_and_no_foreign_page_frames_it() -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def app(scope: object, receive: object, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"page"})

    async def keep(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/", "method": "GET", "headers": [(b"host", b"127.0.0.1:4200")]}
    asyncio.run(Guard(app, 4200)(scope, keep, keep))  # type: ignore[arg-type]
    headers = dict(sent[0]["headers"])
    assert headers[b"a"] == b"b" and headers[b"x-frame-options"] == b"SAMEORIGIN" and sent[1]["body"] == b"page"
    policy = dict(part.split(" ", 1) for part in headers[b"content-security-policy"].decode().split("; "))
    assert policy["frame-ancestors"] == policy["form-action"] == "'self'"
    own = {f"{scheme}://{name}:4200" for scheme in ("http", "ws") for name in ("127.0.0.1", "localhost")}
    assert set(policy["default-src"].split()) == own | {"'unsafe-inline'", "'unsafe-eval'", "data:", "blob:"}
    assert set(policy) == {"default-src", "frame-ancestors", "form-action"}, "no kind of request has a rule of its own"
