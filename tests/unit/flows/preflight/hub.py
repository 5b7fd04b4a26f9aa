"""A hub on loopback for huggingface_hub: commits, files, ranges; it can truncate an answer."""

import hashlib
import json
import re
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c" * 40


def safetensors(n_bytes: int, seed: int = 0) -> bytes:
    """Return a valid safetensors file with one tensor of n_bytes bytes."""
    header = json.dumps({"t": {"dtype": "U8", "shape": [n_bytes], "data_offsets": [0, n_bytes]}}).encode()
    block = hashlib.sha256(str(seed).encode()).digest()
    return struct.pack("<Q", len(header)) + header + (block * (n_bytes // len(block) + 1))[:n_bytes]


def _blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Hub:
    """The files of one repository, and a record of the requests.

    Attributes:
        repository: name of the repository.
        files: content by file name.
        cut: name of the file whose body is truncated in the middle, once; then the hub answers 500.
        has_ranges: whether requests for a range are answered as such; else with the whole file.
        is_down: whether every answer is 500.
        status: status of every answer, such as 404; 0 for that of a hub.
        sent: number of bytes sent, by file.
        starts: first byte of each answer, by file.
        revisions: requested revisions.
    """

    repository: str
    files: dict[str, bytes]
    cut: str = ""
    has_ranges: bool = True
    is_down: bool = False
    status: int = 0
    sent: dict[str, int] = field(default_factory=dict)
    starts: list[tuple[str, int]] = field(default_factory=list)
    revisions: list[str] = field(default_factory=list)
    address: str = ""

    def describe(self) -> Mapping[str, object]:
        """Return the hub's description of the repository."""
        siblings = [
            {
                "rfilename": name, "size": len(data), "blobId": _blob_id(data),
                **({"lfs": self._lfs(data)} if name.endswith(".safetensors") else {}),
            }
            for name, data in self.files.items()
        ]  # fmt: skip
        return {"id": self.repository, "modelId": self.repository, "sha": COMMIT, "siblings": siblings}

    def _lfs(self, data: bytes) -> Mapping[str, object]:
        return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(has_body=False)

        def do_GET(self) -> None:
            self._answer(has_body=True)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

        def _answer(self, *, has_body: bool) -> None:
            path = self.path.partition("?")[0]
            if hub.is_down or hub.status:
                self._send(hub.status or 500, b"", {}, has_body)
            elif found := re.fullmatch(rf"/api/models/{hub.repository}/revision/(.+)", path):
                hub.revisions.append(found[1])
                body = json.dumps(hub.describe()).encode()
                self._send(200, body, {"Content-Type": "application/json"}, has_body)
            elif found := re.fullmatch(rf"/{hub.repository}/resolve/{COMMIT}/(.+)", path):
                self._send_file(found[1], has_body)
            else:
                self._send(404, b"", {}, has_body)

        def _send_file(self, name: str, has_body: bool) -> None:
            data = hub.files[name]
            etag = hashlib.sha256(data).hexdigest()
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            start = hub.has_ranges and int((re.match(r"bytes=(\d+)-", self.headers.get("Range", "")) or [0, 0])[1])
            if start >= len(data):
                self._send(416, b"", {}, has_body)
                return
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            if has_body:
                hub.starts.append((name, start))
            self._send(206 if start else 200, data[start:], headers, has_body, name)

        def _send(self, status: int, body: bytes, headers: Mapping[str, str], has_body: bool, name: str = "") -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            if has_body:
                if name and name == hub.cut:
                    body, hub.is_down, self.close_connection = body[: len(body) // 2], True, True
                self.wfile.write(body)
                hub.sent[name] = hub.sent.get(name, 0) + len(body)

    return Handler


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Serve a hub on loopback while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
