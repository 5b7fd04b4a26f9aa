"""A loopback web server that misbehaves by path."""

import contextlib
import hashlib
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import cast

DRIP_S = 0.05


def body_of(path: str) -> bytes:
    """Return the n seeded bytes of /ok/<n>."""
    n_bytes = int(path.rsplit("/", 1)[-1])
    return (hashlib.sha256(path.encode()).digest() * (n_bytes // 32 + 1))[:n_bytes]


def answer(status: int, *headers: str, body: bytes = b"", phrase: str = "Said") -> bytes:
    lines = [f"HTTP/1.1 {status} {phrase}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class HostileServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port = int(self.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.heads: list[str] = []
        self.coded = b""
        self.robots = answer(404)
        self.n_connections = 0
        self.n_busy = 0
        self.max_busy = 0
        self.wanted_busy = 1  # requests of /slow/… wait until so many have been served at once
        self.is_busy = threading.Condition(self.lock)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect, which is expected."""

    @property
    def paths(self) -> list[str]:
        return [head.split(" ")[1] for head in self.heads]


@contextlib.contextmanager
def serve() -> Iterator[HostileServer]:
    with HostileServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            server.shutdown()
            thread.join()


class _Handler(socketserver.BaseRequestHandler):
    request: socket.socket

    def handle(self) -> None:
        server = cast(HostileServer, self.server)
        with server.lock:
            server.n_connections += 1
        head = b""
        while b"\r\n\r\n" not in head:
            piece = self.request.recv(65536)
            if not piece:
                return
            head += piece
        text = head.decode("latin-1")
        with server.lock:
            server.heads.append(text)
        path = text.split(" ")[1]
        if path == "/robots.txt":
            self.send(server.robots)
            return
        behaviour = _BEHAVIOURS.get(path.split("/")[1].split("?")[0], _not_found)
        behaviour(self, server, path)

    def send(self, data: bytes) -> None:
        self.request.sendall(data)

    def drip(self, server: HostileServer, piece: bytes) -> None:
        while not server.stopping.wait(DRIP_S):
            self.request.sendall(piece)


def _not_found(handler: _Handler, server: HostileServer, path: str) -> None:
    handler.send(answer(404))


def _status(handler: _Handler, server: HostileServer, path: str) -> None:
    _, _, status, *headers = path.split("/")
    handler.send(answer(int(status), *(header.replace("=", ": ") for header in headers)))


def _ok(handler: _Handler, server: HostileServer, path: str) -> None:
    handler.send(answer(200, body=body_of(path)))


def _unannounced(handler: _Handler, server: HostileServer, path: str) -> None:
    handler.send(b"HTTP/1.0 200 OK\r\n\r\n" + body_of(path))


def _chunked(handler: _Handler, server: HostileServer, path: str) -> None:
    body = body_of(path)
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i : i + 700]), body[i : i + 700]) for i in range(0, len(body), 700))
    handler.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")


def _chunks_cut(handler: _Handler, server: HostileServer, path: str) -> None:
    handler.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\nabc")


def _chunk_negative(handler: _Handler, server: HostileServer, path: str) -> None:
    handler.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc")


def _chunk_endless(handler: _Handler, server: HostileServer, path: str) -> None:
    handler.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n")
    while not server.stopping.is_set():
        handler.send(b"x" * 65536)


def _endless(handler: _Handler, server: HostileServer, path: str) -> None:
    handler.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while not server.stopping.is_set():
        handler.send(b"x" * 65536)


def _announced(handler: _Handler, server: HostileServer, path: str) -> None:
    handler.send(f"HTTP/1.1 200 OK\r\nContent-Length: {path.rsplit('/', 1)[-1]}\r\n\r\nshort".encode())


def _drip_body(handler: _Handler, server: HostileServer, path: str) -> None:
    handler.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
    handler.drip(server, b"x")


def _drip_headers(handler: _Handler, server: HostileServer, path: str) -> None:
    handler.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    handler.drip(server, b"x")


def _silent(handler: _Handler, server: HostileServer, path: str) -> None:
    server.stopping.wait(20)


def _hang_up(handler: _Handler, server: HostileServer, path: str) -> None:
    return


def _garbage(handler: _Handler, server: HostileServer, path: str) -> None:
    handler.send(b"\x00\xffSSH-2.0-OpenSSH\r\n\r\n")


def _many_headers(handler: _Handler, server: HostileServer, path: str) -> None:
    handler.send(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 1000 + b"\r\n")


def _flood_100(handler: _Handler, server: HostileServer, path: str) -> None:
    while not server.stopping.is_set():
        handler.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


def _redirect(handler: _Handler, server: HostileServer, path: str) -> None:
    """Answer /redirect/<n> with n redirects to /ok/500."""
    n_left = int(path.rsplit("/", 1)[-1])
    handler.send(answer(302, f"Location: {f'/redirect/{n_left - 1}' if n_left > 1 else '/ok/500'}"))


def _loop(handler: _Handler, server: HostileServer, path: str) -> None:
    handler.send(answer(301, f"Location: {'/loop/b' if path == '/loop/a' else '/loop/a'}"))


def _to(handler: _Handler, server: HostileServer, path: str) -> None:
    """Redirect /to?<location> to the location, unchanged."""
    handler.send(answer(307, f"Location: {path.split('?', 1)[1]}"))


def _cookie(handler: _Handler, server: HostileServer, path: str) -> None:
    handler.send(answer(302, "Set-Cookie: a=b", "Location: /ok/10"))


def _robots(handler: _Handler, server: HostileServer, path: str) -> None:
    directive = path.rsplit("/", 1)[-1].replace("=", ": ").replace("%20", " ")
    handler.send(answer(200, f"X-Robots-Tag: {directive}", body=b"image"))


def _coded(handler: _Handler, server: HostileServer, path: str) -> None:
    """Answer /coded with the complete answer that the test stored in `coded`."""
    handler.send(server.coded)


def _slow(handler: _Handler, server: HostileServer, path: str) -> None:
    with server.lock:
        server.n_busy += 1
        server.max_busy = max(server.max_busy, server.n_busy)
        server.is_busy.notify_all()
        server.is_busy.wait_for(lambda: server.max_busy >= server.wanted_busy, 60)
    server.stopping.wait(0.03)
    # Before the answer: the client may continue before this thread runs again.
    with server.lock:
        server.n_busy -= 1
    handler.send(answer(200, body=b"slow"))


_BEHAVIOURS: dict[str, Callable[[_Handler, HostileServer, str], None]] = {
    name.removeprefix("_").replace("_", "-"): behaviour
    for name, behaviour in list(globals().items())
    if name.startswith("_") and callable(behaviour) and not isinstance(behaviour, type)
}
