import gzip
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.download.fetching import wire
from stages.download.fetching.addresses import Resolver
from stages.download.fetching.answer import Note
from stages.download.fetching.faults import Refused, parse_retry_after, tidy
from stages.download.fetching.guard import Guard
from stages.download.fetching.target import parse_target
from tests.stopwatch import Stopwatch, undisturbed
from tests.unit.stages.download.fetching.guard_client import HASTY, LIMITS, fetch
from tests.unit.stages.download.fetching.hostile_server import HostileServer, answer, body_of, serve


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with serve() as running:
        yield running


@pytest.mark.parametrize(
    ("path", "reason", "status"),
    [
        ("/status/404", "http_not_found", 404),
        ("/status/410", "http_not_found", 410),
        ("/status/401", "http_forbidden", 401),
        ("/status/403", "http_forbidden", 403),
        ("/status/451", "http_forbidden", 451),
        ("/status/408", "timeout", 408),
        ("/status/429", "http_throttled", 429),
        ("/status/418", "http_client_error", 418),
        ("/status/500", "http_server_error", 500),
        ("/status/503", "http_server_error", 503),
        ("/status/204", "invalid_response", 204),
        ("/status/206", "invalid_response", 206),
        ("/status/302", "invalid_response", 302),
        ("/status/999", "invalid_response", 999),
        ("/silent", "timeout", None),
        ("/drip-body", "timeout", 200),
        ("/drip-headers", "timeout", None),
        ("/hang-up", "connection_failed", None),
        ("/announced/9000", "truncated_body", 200),
        ("/chunks-cut", "truncated_body", 200),
        ("/ok/10001", "body_too_large", 200),
        ("/announced/99999999999999999999", "body_too_large", 200),
        ("/unannounced/10001", "body_too_large", 200),
        ("/chunked/10001", "body_too_large", 200),
        ("/endless", "body_too_large", 200),
        ("/chunk-endless", "body_too_large", 200),
        ("/chunk-negative", "invalid_response", 200),
        ("/garbage", "invalid_response", None),
        ("/many-headers", "invalid_response", None),
        ("/flood-100", "invalid_response", None),
        ("/redirect/4", "bad_redirect", 302),
        ("/loop/a", "bad_redirect", 301),
        ("/to?file:///etc/passwd", "bad_redirect", 307),
        ("/to?ftp://127.0.0.1/x", "bad_redirect", 307),
        ("/to?data:image/png;base64,AAAA", "bad_redirect", 307),
        ("/to?http://user:pw@127.0.0.1/", "bad_redirect", 307),
        ("/to?http://127.0.0.1:22/", "bad_redirect", 307),
        ("/to?http://[::1/", "bad_redirect", 307),
        ("/to?http://10.0.0.1/", "private_address", None),
        ("/to?http://169.254.169.254/latest/meta-data/", "private_address", None),
        ("/to?//192.168.0.1/", "private_address", None),
        ("/to?http://[::ffff:127.0.0.1]/", "private_address", None),
    ],
)
def test_each_fault_is_named(server: HostileServer, path: str, reason: str, status: int | None) -> None:
    limits = HASTY if reason == "timeout" else LIMITS

    def fetched() -> tuple[bytes | None, Note, float]:
        with Stopwatch() as watch:
            body, note = fetch(server.url + path, limits=limits)
        return body, note, watch.seconds

    body, note, seconds = undisturbed(fetched)
    assert (body, note.reason, note.http_status) == (None, reason, status)
    assert seconds < HASTY.max_fetch_s + 3


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"HTTP/1.1", "connection_failed"),
        (b"HTTP/1.1 2", "connection_failed"),
        (b"HTTP/1.1 200 OK", "connection_failed"),
        (b"HTTP/1.1 200 OK\r\n", "connection_failed"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "connection_failed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "connection_failed"),
        (b"HTTP/1.1 302 OK\r\nLocation: /ok", "connection_failed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "truncated_body"),
        (b"HTTP/1.1 OK 200\r\n\r\n", "invalid_response"),
        (b"\xff\xd8\xff an answer of HTTP/0.9", "invalid_response"),
        (b"HTTP/1.1 101 Other protocol\r\n\r\n", "invalid_response"),
    ],
)
def test_an_answer_cut_in_its_head_is_a_broken_connection(server: HostileServer, sent: bytes, reason: str) -> None:
    server.coded = sent
    assert fetch(f"{server.url}/coded")[1].reason == reason


@pytest.mark.parametrize("framing", ["Content-Length: {}", "Transfer-Encoding: chunked", "Content-Length : {}"])
@pytest.mark.parametrize("line", ["no header", "HTTP/1.1 200 OK", "\ufeffa line", ": no name", "a b: c"])
def test_headers_behind_a_line_that_is_none_count(server: HostileServer, line: str, framing: str) -> None:
    packed = gzip.compress(body_of("/ok/900"))
    head = f"HTTP/1.1 200 OK\r\nA: b\r\n{line}\r\n{framing.format(len(packed))}\r\nContent-Encoding: gzip\r\n\r\n"
    server.coded = head.encode() + (
        framed(packed) if "chunked" in framing else packed + b"more"[: "Length:" in framing]
    )
    assert fetch(f"{server.url}/coded")[0] == body_of("/ok/900")


def test_a_length_behind_a_line_that_is_no_header_is_compared(server: HostileServer) -> None:
    server.coded = b"HTTP/1.1 200 OK\r\nno header\r\nContent-Length: 9\r\n\r\nshort"
    assert fetch(f"{server.url}/coded")[1].reason == "truncated_body"


@pytest.mark.parametrize("interim", [100, 102, 103])
def test_an_interim_answer_is_passed_over(server: HostileServer, interim: int) -> None:
    first = f"HTTP/1.1 {interim} Wait\r\nLink: </a.css>\r\n\r\n".encode()
    server.coded = first * 2 + answer(200, body=b"image")
    body, note = fetch(f"{server.url}/coded")
    assert (body, note.http_status) == (b"image", 200)


@pytest.mark.parametrize("path", ["/ok/0", "/ok/10000", "/unannounced/10000", "/chunked/10000", "/unannounced/0"])
def test_a_body_up_to_the_limit_is_returned_completely(server: HostileServer, path: str) -> None:
    body, note = fetch(server.url + path)
    assert (body, note.http_status, note.peer_address) == (body_of(path), 200, "127.0.0.1")


def test_redirects_up_to_the_limit_are_followed_and_counted(server: HostileServer) -> None:
    body, note = fetch(f"{server.url}/redirect/3")
    assert (body, note.n_redirects, note.final_url) == (body_of("/ok/500"), 3, f"{server.url}/ok/500")


def test_the_request_only_has_our_headers(server: HostileServer) -> None:
    fetch(f"http://localhost:{server.port}/ok/10?a=b c&d=ü#published")
    lines = server.heads[0].removesuffix("\r\n\r\n").split("\r\n")
    assert lines[0] == "GET /ok/10?a=b%20c&d=%C3%BC HTTP/1.1"
    assert dict(line.split(": ") for line in lines[1:]) == {
        "Host": f"localhost:{server.port}",
        "User-Agent": LIMITS.user_agent,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }


def test_cookies_and_credentials_are_not_sent(server: HostileServer) -> None:
    assert fetch(f"{server.url}/cookie")[0] == body_of("/ok/10")
    assert server.paths == ["/cookie", "/ok/10"]
    assert not any(name in head for head in server.heads for name in ("Cookie", "Authorization", "Referer"))


def framed(body: bytes) -> bytes:
    return (
        b"".join(b"%x\r\n%s\r\n" % (len(body[i : i + 99]), body[i : i + 99]) for i in range(0, len(body), 99))
        + b"0\r\n\r\n"
    )


@pytest.mark.parametrize(
    "transfer", ["chunked", "gzip, chunked", "GZIP,Chunked ", "gzip\r\nTransfer-Encoding: chunked"]
)
def test_transfer_codings_are_decoded(server: HostileServer, transfer: str) -> None:
    body = body_of("/ok/9000")
    sent = framed(gzip.compress(body) if "zip" in transfer.lower() else body)
    server.coded = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {transfer}\r\n\r\n".encode() + sent
    assert fetch(f"{server.url}/coded")[0] == body


def test_a_coded_body_is_decoded_within_the_limit(server: HostileServer) -> None:
    packed = gzip.compress(bytes(10_000))
    server.coded = answer(200, "Content-Encoding: gzip", body=packed)
    assert fetch(f"{server.url}/coded")[0] == bytes(10_000)
    server.coded = answer(200, "Content-Encoding: gzip", body=gzip.compress(bytes(10_001)))
    assert fetch(f"{server.url}/coded")[1].reason == "body_too_large"
    server.coded = answer(200, "Content-Encoding: zstd", body=packed)
    note = fetch(f"{server.url}/coded")[1]
    assert (note.reason, note.detail) == ("unknown_encoding", "packed by zstd; read are gzip, deflate and br")


@pytest.mark.parametrize(
    "url",
    [
        "http://user:pw@127.0.0.1/",
        "http://127.0.0.1:6379/",
        "http://127.0.0.1:99999/",
        "http:///nothing",
        "http://a b/",
        "http://a..b/",
        "http://[::1/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        f"http://127.0.0.1/{'a' * 9000}",
    ],
)
def test_a_bad_url_is_refused_without_a_connection(url: str) -> None:
    def look_up(host: str) -> list[str]:
        raise AssertionError(f"{host} was looked up")

    body, note = fetch(url, resolver=Resolver(allow_loopback=True, lookup=look_up))
    assert (body, note.reason, note.peer_address) == (None, "invalid_response", None)


def test_a_closed_port_is_a_failed_connection() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert fetch(f"http://127.0.0.1:{port}/")[1].reason == "connection_failed"


def test_a_tls_handshake_without_answer_is_a_timeout(server: HostileServer) -> None:
    assert fetch(f"https://127.0.0.1:{server.port}/", limits=HASTY)[1].reason == "timeout"


@pytest.fixture
def tls_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A TLS server whose self-signed certificate for localhost is the only trusted one."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    arguments = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", *arguments, *names, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serve() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        wire.tls_context.cache_clear()
        yield server.port
    wire.tls_context.cache_clear()


def test_tls_is_verified_against_the_name_and_the_authorities(
    tls_server: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    resolver = Resolver(allow_loopback=True, lookup=lambda host: ["127.0.0.1"])
    body, note = fetch(f"https://localhost:{tls_server}/chunked/5000", resolver=resolver)
    assert (body, note.reason) == (body_of("/chunked/5000"), None)
    assert fetch(f"https://other.test:{tls_server}/ok/5", resolver=resolver)[1].reason == "tls_failed"
    (tmp_path / "none.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    wire.tls_context.cache_clear()
    assert fetch(f"https://localhost:{tls_server}/ok/5", resolver=resolver)[1].reason == "tls_failed"


@pytest.mark.parametrize(
    ("value", "expected_s"),
    [("120", 120.0), (" 7 ", 7.0), ("9" * 60, 604_800.0), ("-5", None), ("soon", None), ("²", None), (None, None)],
)
def test_retry_after_is_bounded(value: str | None, expected_s: float | None) -> None:
    assert parse_retry_after(value) == expected_s


def test_retry_after_may_be_a_date(server: HostileServer) -> None:
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT") == 604_800.0
    assert fetch(f"{server.url}/status/429/Retry-After=600")[1].retry_after_s == 600.0


def test_details_are_one_short_printable_line() -> None:
    assert tidy("a\r\n\x1b[31mb" + "c" * 500) == "a???[31mb" + "c" * 191


def test_a_fault_of_the_code_is_not_a_fetch_failure_and_stops_the_guard() -> None:
    def look_up(host: str) -> list[str]:
        raise ZeroDivisionError

    guard = Guard(LIMITS, resolver=Resolver(allow_loopback=True, lookup=look_up))
    with pytest.raises(ZeroDivisionError):
        guard.open("http://x.test/")
    assert isinstance(guard.failure, ZeroDivisionError)
    with pytest.raises(Refused, match="stopped"):
        guard.open("http://y.test/")


def test_request_targets_are_ascii_and_without_fragment() -> None:
    target = parse_target("HTTPS://Bücher.example.:443/ä b?x=%20y#z", reason="invalid_response")
    assert target.url == "https://xn--bcher-kva.example/%C3%A4%20b?x=%20y"
    assert parse_target("http://[2606:4700::1]:8080", reason="invalid_response").url == "http://[2606:4700::1]:8080/"
