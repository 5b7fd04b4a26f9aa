"""The generated world's server shows every fault as planned in each pass; without the pipeline."""

import http.client
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.demo.world.plan import HOSTS
from flows.demo.world.reading import arriving_file, path_of
from flows.demo.world.server import ADDRESSES, Answer, WorldServer
from flows.demo.world.world import World, normalise
from tests.stopwatch import undisturbed

ROOT = Path(__file__).parents[5]


@pytest.fixture
def server(world: World) -> Iterator[WorldServer]:
    with WorldServer(world.out) as server:
        yield server


def outcome(url: str, timeout_s: float = 120.0) -> str:
    """Return the outcome of fetching a URL with a plain client, in one word."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as response:
            n_bytes = len(response.read())
            return f"robots {response.headers['X-Robots-Tag']}" if "X-Robots-Tag" in response.headers else f"{n_bytes}"
    except urllib.error.HTTPError as error:
        return f"{error.code}{' loop' if 'infinite loop' in str(error) else ''}"
    except http.client.IncompleteRead:
        return "IncompleteRead"
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        return type(error).__name__
    except urllib.error.URLError as error:
        return type(error.reason).__name__


def urls_by_kind(world: World, routes: dict[str, list[Answer]], reason: str) -> dict[str, str]:
    """Return one URL per kind of first answer among the rows rejected with a reason."""
    fates = (fate for fate in world.web_fates if fate.reason == reason and f":{world.port}/" in fate.url)
    found = {}
    for fate in fates:
        answer = routes[path_of(fate, world.port)][0]
        found[f"{answer['kind']} {answer.get('status', '')}".strip()] = normalise(fate.url)
    return found


@pytest.mark.parametrize(
    ("reason", "kind", "expected"),
    [
        ("http_not_found", "status 404", "404"), ("http_forbidden", "status 403", "403"),
        ("http_throttled", "status 429", "429"), ("http_server_error", "status 503", "503"),
        ("connection_failed", "close", "RemoteDisconnected"), ("connection_failed", "reset", "ConnectionResetError"),
        ("truncated_body", "cut", "IncompleteRead"), ("body_too_large", "padded", "12000000"),
        ("invalid_response", "raw", "BadStatusLine"), ("bad_redirect", "redirect 301", "301 loop"),
        ("empty_file", "file", "0"),
    ],
)  # fmt: skip
def test_a_fault_is_seen_as_planned_in_both_passes(
    world: World, routes: dict[str, list[Answer]], server: WorldServer, reason: str, kind: str, expected: str
) -> None:
    url = urls_by_kind(world, routes, reason)[kind]
    assert outcome(url) == expected
    if len(routes[url.split(f":{world.port}", 1)[1]]) == 1:
        server.pass_number = 1
        assert outcome(url) == expected


@pytest.mark.parametrize("kind", ["hang", "drip"])
def test_slow_urls_outlast_a_client_but_not_the_server(
    world: World, routes: dict[str, list[Answer]], server: WorldServer, kind: str
) -> None:
    url = urls_by_kind(world, routes, "timeout")[kind]

    def received() -> list[bytes] | None:
        """Return three pieces of the answer, or None if nothing came in time."""
        with socket.create_connection(("127.0.0.1", world.port), timeout=0.5) as client:
            client.sendall(f"GET {url.split(str(world.port), 1)[1]} HTTP/1.1\r\n\r\n".encode())
            try:
                return [client.recv(n_bytes) for n_bytes in (4096, 10, 10)]
            except TimeoutError:
                return None

    pieces = undisturbed(received)
    if kind == "hang":
        assert pieces is None
    else:
        assert pieces is not None and b"200 OK" in pieces[0]
        assert [len(piece) for piece in pieces[1:]] == [1, 1]


def test_disallowed_images_carry_the_header(world: World, server: WorldServer) -> None:
    values = [outcome(normalise(fate.url)) for fate in world.web_fates if fate.reason == "opted_out"]
    assert len(values) >= 3
    assert all(re.match(r"robots .*(noai|noimageai)", value, re.IGNORECASE) for value in values)


def test_every_kept_image_arrives_from_its_host_within_two_passes(
    world: World, routes: dict[str, list[Answer]], server: WorldServer
) -> None:
    kept = [fate for fate in world.web_fates if fate.fate == "kept"]
    hosts = set()
    for fate in kept:
        hosts.add(normalise(fate.url).split("/")[2].rpartition(":")[0])
        target = urllib.request.quote(normalise(fate.url), safe=":/?&=%#")
        body = b""
        for server.pass_number in (0, 1):
            try:
                body = urllib.request.urlopen(target, timeout=120).read()
                break
            except (OSError, http.client.HTTPException):
                continue
        assert body == (world.out / "www" / arriving_file(routes, path_of(fate, world.port))).read_bytes(), fate
    assert hosts == set(HOSTS)
    assert server.requests.total() > len(kept)


def test_answers_change_between_passes_as_planned(
    world: World, routes: dict[str, list[Answer]], server: WorldServer
) -> None:
    for first, second in (("200", "404"), ("404", "200")):
        paths = [path for path, answers in routes.items() if statuses(answers) == (first, second)]
        if first == "404":
            assert paths
        for path in paths:
            assert statuses_seen(server, world.port, path) == (first, second)
    throttled = [path for path, answers in routes.items() if statuses(answers) in (("503", "200"), ("429", "200"))]
    assert throttled
    assert {statuses_seen(server, world.port, path)[1] for path in throttled} == {"200"}


def statuses(answers: list[Answer]) -> tuple[str, ...]:
    return tuple(str(a.get("status", 200)) if a["kind"] in ("file", "status") else a["kind"] for a in answers)


def statuses_seen(server: WorldServer, port: int, path: str) -> tuple[str, str]:
    seen = []
    for server.pass_number in (0, 1):
        result = outcome(f"http://127.0.0.1:{port}{urllib.request.quote(path, safe='/?&=%:')}")
        seen.append(result if result in ("404", "429", "503") else "200")
    return seen[0], seen[1]


def test_every_request_is_counted_by_its_path(world: World, server: WorldServer) -> None:
    assert [outcome(f"http://{address}:{world.port}/nowhere?n=1") for address in ADDRESSES] == ["404"] * 4
    assert outcome(f"http://LOCALHOST:{world.port}/nowhere") == "404"
    assert server.requests == Counter({"/nowhere?n=1": 4, "/nowhere": 1})


def test_the_command_serves_until_its_input_ends_and_names_a_taken_port(world: World) -> None:
    command = [sys.executable, "-m", "flows.demo.world", "serve", str(world.out), "--until-eof", "--pass", "1"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdin is not None
        line = first.stdout.readline()
        assert re.fullmatch(rf"serving .* on http://127\.0\.0\.1:{world.port}\n", line)
        second = subprocess.run(command, cwd=ROOT, input="", capture_output=True, text=True, timeout=300)
        assert second.returncode == 1
        assert "cannot serve" in second.stderr
        first.stdin.close()
        assert first.wait(timeout=300) == 0
