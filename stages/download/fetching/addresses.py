"""Name look-up whose every answer was checked: a host with one forbidden address is refused whole.

Not for connecting: the caller connects to the addresses returned and never to the name.
"""

import ipaddress
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future

from stages.download.fetching.faults import Refused

Lookup = Callable[[str], list[str]]

_GLOBAL_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")
# In addition to the addresses that ipaddress calls not global: transition ranges that embed an IPv4 address (a way
# round the check), documentation ranges newer than Python 3.11, and a public address on which a cloud serves its
# metadata.
_REFUSED_NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in (
        "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata too
        "168.63.129.16/32",  # Azure's WireServer
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relay
        "2001::/23",  # Teredo, ORCHID, benchmarking
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)


def is_allowed(address: str, *, allow_loopback: bool) -> bool:
    """Return whether we may connect: public unicast addresses, and loopback if it is allowed."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        return False
    if ip.is_loopback:
        return allow_loopback
    if not ip.is_global or ip.is_multicast or ip.is_reserved:
        return False
    # NAT64 (64:ff9b::/96), IPv4-compatible and site-local addresses are outside global unicast.
    if ip.version == 6 and ip not in _GLOBAL_UNICAST_V6:
        return False
    return not any(ip.version == network.version and ip in network for network in _REFUSED_NETWORKS)


def look_up(host: str) -> list[str]:
    """Return the numeric addresses of a host, preferred first; blocks as long as the system's resolver does."""
    # As bytes: for a text Python would apply IDNA 2003 once more, and fail on labels that it does not know.
    found = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
    return list(
        dict.fromkeys(str(sockaddr[0]) for family, *_, sockaddr in found if family in (socket.AF_INET, socket.AF_INET6))
    )


class Resolver:
    """Checked addresses of hosts; each host is looked up once for the life of the resolver, whoever asks."""

    def __init__(self, *, allow_loopback: bool, lookup: Lookup = look_up) -> None:
        self._allow_loopback = allow_loopback
        self._lookup = lookup
        self._lock = threading.Lock()
        self._answers: dict[str, Future[list[str]]] = {}

    def addresses(self, host: str, timeout_s: float) -> list[str]:
        """Return all addresses of the host, every one of them allowed.

        Raises:
            Refused: an address is forbidden, or the resolver did not answer in time.
            OSError: the look-up failed (socket.gaierror).
        """
        answer = self._ask(host)
        try:
            found = answer.result(timeout=timeout_s)
        except TimeoutError:
            raise Refused("resolver_failed", f"no answer for {host} in time") from None
        except socket.gaierror as error:
            self._forget(host, answer)
            # A new instance: threads that share one exception would write into each other's traceback.
            raise socket.gaierror(*error.args) from None
        if not found:
            raise Refused("host_not_found", f"{host} has no address")
        for address in found:
            if not is_allowed(address, allow_loopback=self._allow_loopback):
                raise Refused("private_address", f"{host} is {address}")
        return found

    def _ask(self, host: str) -> Future[list[str]]:
        with self._lock:
            if host in self._answers:
                return self._answers[host]
            answer = self._answers[host] = Future()
        # getaddrinfo takes no time-out, so it gets a thread that may be left behind.
        threading.Thread(target=self._answer, args=(host, answer), daemon=True, name=f"resolve {host}").start()
        return answer

    def _answer(self, host: str, answer: Future[list[str]]) -> None:
        try:
            answer.set_result(self._lookup(host))
        except Exception as error:
            answer.set_exception(error)

    def _forget(self, host: str, answer: Future[list[str]]) -> None:
        """Let the next caller ask again: a failure of the resolver may pass."""
        with self._lock:
            if self._answers.get(host) is answer:
                del self._answers[host]
