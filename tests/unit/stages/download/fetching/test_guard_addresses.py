import socket
import threading
from collections.abc import Iterator

import pytest

from stages.download.fetching.addresses import Resolver, is_allowed
from stages.download.fetching.limits import FetchLimits
from tests.stopwatch import Stopwatch
from tests.unit.stages.download.fetching.guard_client import HASTY, fetch
from tests.unit.stages.download.fetching.hostile_server import HostileServer, body_of, serve


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with serve() as running:
        yield running


@pytest.mark.parametrize(
    "address",
    [
        *("10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "0.0.0.0"),
        *("224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.0.8", "192.88.99.1", "198.18.0.1", "168.63.129.16"),
        *("::", "fe80::1", "fe80::1%1", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:8.8.8.8", "::ffff:127.0.0.1"),
        *("::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "2002:7f00:1::", "2001::1", "2001:db8::1", "fec0::1"),
        *("100::1", "3fff::1", "5f00::1"),
    ],
)
def test_only_public_addresses_are_allowed(address: str) -> None:
    assert not is_allowed(address, allow_loopback=True)
    assert is_allowed("8.8.8.8", allow_loopback=False)
    assert is_allowed("2606:4700:4700::1111", allow_loopback=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "localhost", "127.0.0.1."])
def test_loopback_is_refused_by_default_and_never_connected_to(server: HostileServer, host: str) -> None:
    body, note = fetch(f"http://{host}:{server.port}/ok/10", limits=FetchLimits())
    assert (body, note.reason, note.peer_address) == (None, "private_address", None)
    assert server.n_connections == 0


def test_a_host_with_one_private_address_is_refused(server: HostileServer) -> None:
    resolver = Resolver(allow_loopback=False, lookup=lambda host: ["93.184.216.34", "127.0.0.1"])
    body, note = fetch(f"http://two.test:{server.port}/ok/10", limits=FetchLimits(), resolver=resolver)
    assert (body, note.reason, note.detail) == (None, "private_address", "two.test is 127.0.0.1")
    assert server.n_connections == 0


def test_dns_rebinding_has_no_effect_since_a_name_is_looked_up_once(server: HostileServer) -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    resolver = Resolver(allow_loopback=True, lookup=lambda host: next(answers))
    body, note = fetch(f"http://again.test:{server.port}/redirect/2", resolver=resolver)
    assert (body, note.peer_address) == (body_of("/ok/500"), "127.0.0.1")
    assert all(f"Host: again.test:{server.port}" in head for head in server.heads)


def test_the_next_address_is_tried(server: HostileServer) -> None:
    resolver = Resolver(allow_loopback=True, lookup=lambda host: ["127.0.0.2", "127.0.0.1"])
    assert fetch(f"http://two.test:{server.port}/ok/10", resolver=resolver)[0] == body_of("/ok/10")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (socket.EAI_AGAIN, "resolver_failed"),
        (socket.EAI_SYSTEM, "resolver_failed"),
        (socket.EAI_FAIL, "resolver_failed"),
        (socket.EAI_NONAME, "host_not_found"),
        (socket.EAI_NODATA, "host_not_found"),
    ],
)
def test_look_up_failures_have_different_reasons(code: int, reason: str) -> None:
    def look_up(host: str) -> list[str]:
        raise socket.gaierror(code, "said the resolver")

    assert fetch("http://x.test/", resolver=Resolver(allow_loopback=False, lookup=look_up))[1].reason == reason


def test_a_hanging_resolver_times_out() -> None:
    release = threading.Event()

    def look_up(host: str) -> list[str]:
        release.wait(20)
        return []

    with Stopwatch() as watch:
        note = fetch("http://x.test/", limits=HASTY, resolver=Resolver(allow_loopback=False, lookup=look_up))[1]
    release.set()
    assert note.reason == "resolver_failed"
    assert watch.seconds < HASTY.max_fetch_s + 3  # not 20
