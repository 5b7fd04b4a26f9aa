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
words = []
for path in ("/page/api", "/page", "/missing/api", "/missing"):
    scribe = connect(sys.argv[1] + path)
    try:
        scribe.open_runs()
    except scribe.lost as error:
        words.append(scribe.words_on(error))
print(json.dumps(words))
"""


class Proxy(BaseHTTPRequestHandler):
    """Answers with a page, of success or not."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b"<html>come back later</html>"
        self.send_response(200 if self.path.startswith("/page") else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

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


def test_a_page_in_place_of_an_answer_is_a_lost_call(url: str, tmp_path: Path) -> None:
    environment = {
        **os.environ, "PREFECT_HOME": str(tmp_path), "DO_NOT_TRACK": "1", "PREFECT_CLIENT_MAX_RETRIES": "0",
        "PREFECT_API_URL": f"{url}/api",
    }  # fmt: skip
    words = [sys.executable, "-c", CODE, url]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    host, hint = url.removeprefix("http://"), "; PREFECT_API_URL usually ends in /api"
    page, missing = f"{host} answered, but not as a Prefect server", "Client error '404 Not Found'"
    assert json.loads(done.stdout) == [page, page + hint, missing, missing + hint]
