"""The generated world's web server on loopback: several hosts, and faults that depend only on URL and pass.

Answers come from OUT/routes.json. Imports nothing of the pipeline.
"""

import contextlib
import json
import os
import random
import signal
import socket
import socketserver
import struct
import sys
import threading
import time
from collections import Counter
from http.client import responses
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")
SLOW_S = 8.0  # of slow answers, unless world.json states `slow_s`; longer than the time-out of the demo profile
DRIP_S = 0.2
HOLD_S = 0.1
_REQUEST_BYTES = 65_536
_BLOCK = b"\0" * 65_536

Answer = dict[str, Any]


class WorldServer:
    """Serves a world as a context manager; entering it raises OSError if the port is taken.

    Attributes:
        pass_number: download pass, from 0, whose answers are given; may be set at any time.
        requests: number of requests by path and query, as sent.
    """

    def __init__(self, out: Path, pass_number: int = 0) -> None:
        about = json.loads((out / "world.json").read_text())
        self.port, self.seed = int(about["port"]), int(about["seed"])
        self._delay_s = float(about.get("delay_s", 0.0))
        self.slow_s = float(about.get("slow_s", SLOW_S))
        self.pass_number = pass_number
        self.requests: Counter[str] = Counter()
        self.stopping = threading.Event()
        self._hold = out / "hold"
        self._bodies = out / "www"
        self._routes: dict[str, list[Answer]] = json.loads((out / "routes.json").read_text())
        self._lock = threading.Lock()
        self._listeners: list[_Listener] = []

    def __enter__(self) -> Self:
        try:
            for address in ADDRESSES:
                self._listeners.append(_Listener(address, self))
        except OSError:
            self._close()
            raise
        for listener in self._listeners:
            threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stopping.set()
        for listener in self._listeners:
            listener.shutdown()
        self._close()

    def _close(self) -> None:
        for listener in self._listeners:
            listener.server_close()
        self._listeners.clear()

    def answer(self, target: str) -> Answer:
        """Return the answer of a path (with its query) in this pass, and count the request."""
        with self._lock:
            self.requests[target] += 1
        answers = self._routes.get(target) or self._routes.get(unquote(target)) or [{"kind": "status", "status": 404}]
        return answers[min(self.pass_number, len(answers) - 1)]

    def wait(self, target: str) -> None:
        """Wait before an answer: while OUT contains a file `hold`, and a time drawn by seed and path.

        The mean of that time is `delay_s` in world.json, 0 by default.
        """
        while self._hold.exists() and not self.stopping.wait(HOLD_S):
            pass
        if self._delay_s:
            self.stopping.wait(random.Random(f"{self.seed}{target}").expovariate(1 / self._delay_s))

    def body(self, answer: Answer) -> bytes:
        """Return the bytes of the answer's file; b"" if it has no file."""
        return (self._bodies / answer["file"]).read_bytes() if "file" in answer else b""


class _Listener(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: str, world: WorldServer) -> None:
        self.world = world
        super().__init__((address, world.port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do not report clients that disconnect: many do so on purpose."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(socketserver.BaseRequestHandler):
    """Answers one request per connection, without buffered files: closing must act on the socket at once."""

    request: socket.socket
    server: _Listener

    def handle(self) -> None:
        self.request.settimeout(SLOW_S)
        asked = self._read_request()
        if asked is None:
            return
        method, target = asked
        world = self.server.world
        answer = world.answer(target)
        world.wait(target)
        getattr(self, f"_send_{answer['kind']}")(answer, world.body(answer), method == "HEAD")

    def _read_request(self) -> tuple[str, str] | None:
        received = b""
        while b"\r\n\r\n" not in received:
            block = self.request.recv(_REQUEST_BYTES)
            if not block or len(received) > _REQUEST_BYTES:
                return None
            received += block
        parts = received.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        return (parts[0], parts[1]) if len(parts) == 3 else None

    def _head(self, answer: Answer, n_bytes: int | None) -> bytes:
        status = answer.get("status", 200)
        headers = {"Connection": "close", "Content-Type": answer.get("type", "text/html")}
        if n_bytes is not None:
            headers["Content-Length"] = str(n_bytes)
        headers |= answer.get("headers", {})
        lines = [f"HTTP/1.1 {status} {responses.get(status, 'Unknown')}", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _send_file(self, answer: Answer, body: bytes, is_head: bool) -> None:
        self.request.sendall(self._head(answer, len(body)) + (b"" if is_head else body))

    def _send_status(self, answer: Answer, body: bytes, is_head: bool) -> None:
        self._send_file(answer, f"<html><body>{answer['status']}</body></html>".encode(), is_head)

    def _send_redirect(self, answer: Answer, body: bytes, is_head: bool) -> None:
        self._send_file({**answer, "headers": {"Location": answer["location"]}}, b"", is_head)

    def _send_cut(self, answer: Answer, body: bytes, is_head: bool) -> None:
        """Send the full Content-Length but only two thirds of the body."""
        self.request.sendall(self._head(answer, len(body)) + body[: len(body) * 2 // 3])

    def _send_padded(self, answer: Answer, body: bytes, is_head: bool) -> None:
        """Send the body padded with zeros to n_bytes, with or without a Content-Length."""
        n_bytes = answer["n_bytes"]
        self.request.sendall(self._head(answer, n_bytes if answer["is_announced"] else None) + body)
        for start in range(len(body), n_bytes, len(_BLOCK)):
            self.request.sendall(_BLOCK[: n_bytes - start])

    def _send_raw(self, answer: Answer, body: bytes, is_head: bool) -> None:
        self.request.sendall(answer["text"].encode("latin-1"))

    def _send_close(self, answer: Answer, body: bytes, is_head: bool) -> None:
        """Close the connection without an answer."""

    def _send_reset(self, answer: Answer, body: bytes, is_head: bool) -> None:
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.request.close()

    def _send_hang(self, answer: Answer, body: bytes, is_head: bool) -> None:
        self.server.world.stopping.wait(self.server.world.slow_s)

    def _send_drip(self, answer: Answer, body: bytes, is_head: bool) -> None:
        """Send the body slowly, byte by byte, so that no single read times out."""
        self.request.sendall(self._head(answer, len(body)))
        end = time.monotonic() + self.server.world.slow_s
        for byte in body:
            self.request.sendall(bytes([byte]))
            if time.monotonic() > end or self.server.world.stopping.wait(DRIP_S):
                return


def serve(out: Path, pass_number: int, *, until_eof: bool) -> int:
    """Serve a world until a signal arrives or, if until_eof, standard input closes; return the exit code."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with WorldServer(out, pass_number) as server:
            print(f"serving {out} (pass {pass_number}) on http://127.0.0.1:{server.port}", flush=True)
            if until_eof:
                threading.Thread(target=_wait_for_eof, args=(stop,), daemon=True).start()
            stop.wait()
    except FileNotFoundError as error:
        print(
            f"no world in {out}: {error.filename} is missing; run `python -m flows.demo.world make {out}`",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        print(
            f"cannot serve {out}: {error}; stop the other server, or make a world with another --port", file=sys.stderr
        )
        return 1
    return 0


def _wait_for_eof(stop: threading.Event) -> None:
    with contextlib.suppress(OSError, ValueError):
        while os.read(sys.stdin.fileno(), 4096):
            pass
    stop.set()
