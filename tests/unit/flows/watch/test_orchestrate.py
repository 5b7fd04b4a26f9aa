"""An answer that no Prefect server gives is a lost call, and is told in words."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
# In a separate process: Prefect reads its settings at import, and other tests must not inherit them.
CODE = """
import json, sys
from flows.watch.orchestrate import connect
RUN = "11111111-1111-4111-8111-111111111111"
CALLS = (
    lambda scribe: scribe.state(RUN), lambda scribe: scribe.open_run("build", "b", {}),
    lambda scribe: scribe.open_task(RUN, "filter", "1", "a"), lambda scribe: scribe.reopen(RUN),
    lambda scribe: scribe.show(RUN, "k", "markdown", "text", ""),
)
words = {}
for path in sys.argv[2:]:
    scribe = connect(sys.argv[1] + path)
    for call in CALLS:
        try:
            call(scribe)
        except scribe.lost as error:
            words.setdefault(path, set()).add(scribe.words_on(error))
        else:
            words.setdefault(path, set()).add("an answer")
print(json.dumps({path: sorted(said) for path, said in words.items()}))
"""


BODIES = {
    "page": b"<html>come back later</html>", "object": b'{"status": "ok"}', "list": b"[]", "text": b'"later"',
    "items": b"[{}]", "null": b"null", "number": b"1",
}  # fmt: skip


class Proxy(BaseHTTPRequestHandler):
    """Answers each request with the body that the path names, as a success or as missing."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        _, status, name, *_ = self.path.split("/")
        self.send_response(int(status))
        self.send_header("Content-Length", str(len(BODIES[name])))
        self.end_headers()
        self.wfile.write(BODIES[name])

    do_GET = do_PATCH = do_POST

    def log_message(self, format: str, *words: object) -> None:
        return


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_answer_that_no_prefect_server_gives_is_a_lost_call(url: str, tmp_path: Path) -> None:
    environment = {
        **os.environ, "PREFECT_HOME": str(tmp_path), "DO_NOT_TRACK": "1", "PREFECT_CLIENT_MAX_RETRIES": "0",
        "PREFECT_API_URL": f"{url}/api",
    }  # fmt: skip
    paths = [f"/{status}/{name}/api" for status in (200, 404) for name in BODIES] + ["/200/list", "/404/page"]
    done = subprocess.run(
        [sys.executable, "-c", CODE, url, *paths],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    host, hint = url.removeprefix("http://"), "; PREFECT_API_URL usually ends in /api"
    found = json.loads(done.stdout)
    assert found.keys() == set(paths)
    for path, words in found.items():
        end = "" if path.endswith("/api") else hint
        expected = {f"{host} answered, but not as a Prefect server{end}", f"Client error '404 Not Found'{end}"}
        assert words and set(words) <= expected, path
