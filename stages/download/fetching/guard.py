"""A urllib opener for hostile URLs: checked addresses, bounded redirects, bytes and time, one note per URL.

Not for retries, and not a general client: GET alone, without cookies, credentials, proxies or keep-alive.
"""

import http.client
import re
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from stages.download.fetching.addresses import Resolver
from stages.download.fetching.answer import Fetch, GuardedResponse, Note, check_answer
from stages.download.fetching.breaker import Breaker
from stages.download.fetching.faults import BUSY, REDIRECT_STATUSES, Refused, parse_retry_after
from stages.download.fetching.limits import FetchLimits
from stages.download.fetching.robots import (
    MAX_ROBOTS_BYTES,
    MAX_ROBOTS_REDIRECTS,
    Robots,
    read_robots,
    refuse_robots,
)
from stages.download.fetching.slots import HostSlots
from stages.download.fetching.target import Target, parse_target, redirect_url
from stages.download.fetching.wire import Deadline, PinnedConnection, Wire, open_socket

# A wait for a slot looks this often whether it is of use: to look is a tenth of the CPU time of a fetch.
_CHECK_EVERY_S = 0.02
_FIRST_MORE_S = 1.0
_STATUS_START = re.compile(r"HTTP/1\.[01]( \d{0,3})?")  # no version before 1.0 has a status line


class Guard(urllib.request.OpenerDirector):
    """The opener to install; it has no handlers, so nothing but http and https can ever be opened.

    A request's fragment is the caller's key of its note and is never sent; without one the URL is the key.

    Attributes:
        notes: one per key, from the moment its URL is opened.
        failure: the first exception that no server can cause; the caller must raise it.
    """

    def __init__(self, limits: FetchLimits, *, pass_number: int = 0, resolver: Resolver | None = None) -> None:
        super().__init__()
        self._limits = limits
        self._resolver = resolver or Resolver(allow_loopback=limits.allow_loopback)
        self._slots = HostSlots(limits.host_slots, max_per_host=limits.max_per_host)
        folder = limits.host_slots and limits.host_slots / "breakers"
        self._breaker = Breaker(folder, pass_number=pass_number, max_in_row=limits.max_failures_in_row)
        cache = limits.host_slots and limits.host_slots / "robots"
        self._robots = Robots(cache, limits.token) if limits.ask_robots else None
        self._stopped = threading.Event()
        self._began: float | None = None
        self._first_thread: int | None = None  # that opens the first URL
        self.notes: dict[str, Note] = {}
        self.failure: Exception | None = None

    def stop(self) -> None:
        """Refuse every further URL: the caller cannot use the answers."""
        self._stopped.set()

    def close(self) -> None:
        """Close resources shared with other processes, once no URL is open."""
        if self._robots is not None:
            self._robots.close()

    def open(self, fullurl: Any, data: Any = None, timeout: float | None = None) -> GuardedResponse:
        """Return the answer to a GET of the URL; only the URL is taken from a Request, not its headers.

        The `timeout` argument is ignored: the limits apply.

        Raises:
            Refused: there is no body; the note says the same.
        """
        # rpartition: the caller's fragment comes last, after one that was published.
        whole = fullurl if isinstance(fullurl, str) else fullurl.full_url
        url, _, key = whole.rpartition("#")
        note = self.notes[key] = Note()
        fetch = Fetch(
            note, Deadline(max_fetch_s=self._limits.max_fetch_s, timeout_s=self._limits.timeout_s), self._fail
        )
        with fetch:
            if self._began is None:
                self._began, self._first_thread = time.monotonic(), threading.get_ident()
            try:
                self._check_time()
                return self._follow(url or whole, fetch)
            finally:
                if self._first_thread == threading.get_ident():
                    self._first_thread = None

    def _fail(self, error: Exception) -> None:
        self.failure = self.failure or error
        self.stop()

    def _check_time(self) -> None:
        """Refuse a request after a stop, or after the time limit of the partition.

        The first URL has a second more: a pass without any request would be the last.
        """
        if self._stopped.is_set():
            raise Refused("no_result", "the fetch was stopped")
        limit_s = self._limits.max_partition_s
        is_first = self._first_thread == threading.get_ident()
        if self._began is not None and time.monotonic() - self._began > limit_s + _FIRST_MORE_S * is_first:
            raise Refused("deferred", f"not asked within the {limit_s:g} s of its partition")

    def _follow(self, url: str, fetch: Fetch) -> GuardedResponse:
        """Return the first answer that is not a redirect."""
        seen: set[str] = set()
        note, limits = fetch.note, self._limits
        while True:
            target = parse_target(url, reason="bad_redirect" if seen else "invalid_response")
            if target.url in seen:
                raise Refused("bad_redirect", f"loop to {target.url}")
            if len(seen) > limits.max_redirects:
                raise Refused("bad_redirect", f"more than {limits.max_redirects} redirects")
            note.final_url, note.n_redirects = target.url, len(seen)
            seen.add(target.url)
            if self._robots is not None:
                started = time.monotonic()
                self._robots.check(target, self._fetch_robots)
                fetch.deadline.give_back(time.monotonic() - started)
            with ExitStack() as stack:
                # One hop holds one slot: two at once could wait for each other.
                response, wire = self._ask(target, fetch, stack)
                location = response.headers.get("Location") if response.status in REDIRECT_STATUSES else None
                if location is None:
                    check_answer(response, note, limits)
                    wire.expect_body(limits.max_bytes)
                    return GuardedResponse(response, fetch, limits.max_bytes, stack.pop_all())
                url = redirect_url(target, str(location))

    def _fetch_robots(self, target: Target) -> bytes:
        """Return the robots.txt of the target's origin; b"" if there is none to obey (RFC 9309, 2.3.1).

        Raises:
            Refused: robots_unreachable, or why the host cannot be requested at all.
        """
        note = Note()
        deadline = Deadline(max_fetch_s=self._limits.max_fetch_s, timeout_s=self._limits.timeout_s)
        fetch = Fetch(note, deadline, self._fail)
        is_redirected = False
        try:
            for _ in range(MAX_ROBOTS_REDIRECTS + 1):
                with ExitStack() as stack:
                    response, wire = self._ask(target, fetch, stack, is_robots=True)
                    location = response.headers.get("Location") if response.status in REDIRECT_STATUSES else None
                    if location is None:
                        wire.expect_body(MAX_ROBOTS_BYTES)
                        return read_robots(response)
                    target = parse_target(redirect_url(target, str(location)), reason="bad_redirect")
                    is_redirected = True
            return b""
        except Exception as error:
            refused = refuse_robots(error, note, is_redirected=is_redirected)
            if refused is None:
                return b""
            raise refused from error

    def _ask(
        self, target: Target, fetch: Fetch, stack: ExitStack, *, is_robots: bool = False
    ) -> tuple[http.client.HTTPResponse, Wire]:
        """Return the answer's headers; the stack closes the connection and frees the slot."""
        limits, deadline = self._limits, fetch.deadline
        fetch.note.http_status = fetch.note.peer_address = None
        deadline.give_back(stack.enter_context(self._hold_slot(target)))
        # Below the connection in the stack: it is closed before the slot rests.
        rest = stack.enter_context(self._rest(deadline))
        addresses = self._resolver.addresses(target.host, deadline.next_timeout_s())
        with self._watching(target, is_robots):
            sock = stack.enter_context(open_socket(target, addresses, deadline))
            fetch.note.peer_address = str(sock.getpeername()[0])
            wire = Wire(sock, deadline)
            response = _request(target, wire, limits.user_agent)
        stack.callback(response.close)
        fetch.note.http_status = response.status
        if not is_robots:
            rest.append(self._count_answer(target.authority, response))
        return response, wire

    def _count_answer(self, authority: str, response: http.client.HTTPResponse) -> float:
        """Count an answer for or against its host; return how long the slot must rest, in seconds."""
        if response.status not in BUSY:
            self._breaker.note_answer(authority)
            return 0.0
        rest_s = parse_retry_after(response.headers.get("Retry-After")) or 0.0
        is_long = rest_s > self._limits.timeout_s
        self._breaker.note_failure(authority, "host_busy", asks_rest=is_long)
        return 0.0 if is_long or not self._breaker.may_rest(authority) else rest_s

    @contextmanager
    def _rest(self, deadline: Deadline) -> Iterator[list[float]]:
        """Keep a host's slot for the seconds that the caller appends: fewer requests, and no other host waits."""
        rests: list[float] = []
        try:
            yield rests
        finally:
            started = time.monotonic()
            self._stopped.wait(sum(rests))
            deadline.give_back(time.monotonic() - started)

    def _hold_slot(self, target: Target) -> AbstractContextManager[float]:
        checked = 0.0

        def check() -> None:
            nonlocal checked
            now = time.monotonic()
            if now - checked > _CHECK_EVERY_S:
                checked = now
                self._check_time()
                self._breaker.check(target.authority)

        check()  # before the wait, which may be long
        return self._slots.hold(
            target.host,
            max_wait_s=self._limits.max_slot_wait_s,
            check=check,
            is_single=lambda: self._breaker.is_probing(target.authority),
        )

    @contextmanager
    def _watching(self, target: Target, is_robots: bool) -> Iterator[None]:
        """Count requests that the host leaves without a whole head of an answer.

        An answer for robots.txt does not count: it says nothing of a host that is silent about all its images.
        """
        try:
            yield
        except TimeoutError:
            self._breaker.note_failure(target.authority, "host_silent")
            raise
        except (ssl.SSLError, http.client.HTTPException, Refused) as error:
            # It speaks, if not as it should; but to hang up without a word is no answer.
            if isinstance(error, http.client.RemoteDisconnected | ssl.SSLEOFError):
                self._breaker.note_failure(target.authority, "host_refuses")
            elif not is_robots:
                self._breaker.note_answer(target.authority)
            raise
        except OSError:
            self._breaker.note_failure(target.authority, "host_refuses")
            raise


def _request(target: Target, wire: Wire, user_agent: str) -> http.client.HTTPResponse:
    """Send the request and return the head of the answer.

    Raises:
        Refused: the head is not HTTP in a way that the standard library does not expect.
        OSError, http.client.HTTPException: as the standard library raises them.
    """
    connection = PinnedConnection(target, wire)
    headers = {
        "Host": target.authority,
        "User-Agent": user_agent,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    connection.request("GET", target.path, headers=headers)
    try:
        response = connection.getresponse()
        if wire.has_ended:
            raise Refused("connection_failed", "the answer ends within its headers")
        return response
    except http.client.BadStatusLine as error:
        if wire.has_ended and _STATUS_START.fullmatch(str(error)):
            raise Refused("connection_failed", f"the answer ends after {str(error)!r}") from error
        raise
    except (OSError, http.client.HTTPException, Refused, MemoryError):
        raise
    except Exception as error:
        # The header parser of the standard library fails in many ways on hostile bytes; none is our fault.
        raise Refused("invalid_response", f"{type(error).__name__}: {error}") from error
