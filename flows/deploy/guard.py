"""Answer only the server's own page and programs on this machine, and keep that page from asking any other server.

Prefect's settings cover none of it: it answers any Host (so a foreign name that resolves to loopback reaches it), CORS
only keeps a foreign page from reading an answer, and its page asks an analytics service on each visit.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PORT_VARIABLE = "PREFECT_SERVER_API_PORT"
_REFUSAL = b"refused: this server answers its own host name and origin alone\n"


def own_hosts(port: int) -> frozenset[str]:
    """Return the values of the Host header that mean this server."""
    return frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost"))


def page_policy(port: int) -> str:
    """Return the Content-Security-Policy of the page: nothing is loaded from or sent to another server.

    Scripts in the page and `eval` are the page's own: it draws its graphs of runs with them.
    """
    # Both names, since the page asks the API by the address of the settings; WebSockets are not 'self' in all browsers.
    own = " ".join(f"{scheme}://{host}" for host in sorted(own_hosts(port)) for scheme in ("http", "ws"))
    return f"default-src {own} 'unsafe-inline' 'unsafe-eval' data: blob:; form-action 'self'; frame-ancestors 'self'"


class Guard:
    """An ASGI application that passes on only requests to the server's own host name from its own pages.

    A request without an Origin comes from a program, or is a navigation or an image of a page; those of foreign pages
    carry `Sec-Fetch-Site: cross-site` and may only open a page, as a link does.
    """

    def __init__(self, app: App, port: int) -> None:
        self._app = app
        self._hosts = own_hosts(port)
        self._origins = frozenset(f"http://{host}" for host in self._hosts)
        self._confined = (
            (b"x-frame-options", b"SAMEORIGIN"),
            (b"content-security-policy", page_policy(port).encode()),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 403; a WebSocket is closed before it opens."""
        if scope["type"] not in ("http", "websocket") or self._is_ours(scope):
            await self._app(scope, receive, self._confine(send) if scope["type"] == "http" else send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(_REFUSAL)).encode())]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": _REFUSAL})

    def _is_ours(self, scope: Scope) -> bool:
        if _values(scope, b"host") not in [[host] for host in self._hosts]:
            return False
        if any(origin not in self._origins for origin in _values(scope, b"origin")):
            return False
        is_foreign = any(site in ("cross-site", "same-site") for site in _values(scope, b"sec-fetch-site"))
        is_page = scope["type"] == "http" and scope["method"] == "GET" and not scope["path"].startswith("/api")
        return not is_foreign or is_page or _values(scope, b"origin") != []

    def _confine(self, send: Send) -> Send:
        """Return a sender whose pages ask no other server, and which no foreign page may frame to mislead a click."""

        async def send_confined(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *self._confined]}
            await send(message)

        return send_confined


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1").lower() for key, value in scope["headers"] if key == name]


def create_app() -> App:
    """Return Prefect's server behind the guard, with its scheduler; for uvicorn's `--factory`."""
    from prefect.server.api.server import create_app as create_prefect_app

    return Guard(create_prefect_app(final=True), int(os.environ[PORT_VARIABLE]))
