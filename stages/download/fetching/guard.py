"""A urllib opener for hostile URLs: checked addresses, bounded redirects, bytes and time, one note per URL.

Not for retries, and not a general client: GET alone, without cookies, credentials, proxies or keep-alive.
"""

import http.client
import io
import threading
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from stages.download.fetching.addresses import Resolver
from stages.download.fetching.codings import codings_of, unpack
from stages.download.fetching.faults import (
    OK_STATUSES,
    REDIRECT_STATUSES,
    Refused,
    classify,
    parse_retry_after,
    refuse_status,
)
from stages.download.fetching.limits import FetchLimits
from stages.download.fetching.slots import HostSlots
from stages.download.fetching.target import Target, parse_target, redirect_url
from stages.download.fetching.wire import Deadline, PinnedConnection, Wire, open_socket

_READ_BYTES = 64 * 1024


@dataclass
class Note:
    """What is known of one URL's fetch; written by the one thread that fetches it.

    Attributes:
        reason: reject reason; None while no fault is known.
        retry_after_s: as the server asked.
        peer_address: of the last connection.
        final_url: of the last request, or of the one that was refused.
        fetch_ms: without the time spent waiting for a host slot.
    """

    reason: str | None = None
    detail: str | None = None
    http_status: int | None = None
    retry_after_s: float | None = None
    peer_address: str | None = None
    final_url: str | None = None
    n_redirects: int = 0
    fetch_ms: int = 0


class Guard(urllib.request.OpenerDirector):
    """The opener to install; it has no handlers, so nothing but http and https can ever be opened.

    A request's fragment is the caller's key of its note and is never sent; without one the URL is the key.

    Attributes:
        notes: one per key, from the moment its URL is opened.
        failure: the first exception that no server can cause; the caller must raise it.
    """

    def __init__(self, limits: FetchLimits, *, resolver: Resolver | None = None) -> None:
        super().__init__()
        self._limits = limits
        self._resolver = resolver or Resolver(allow_loopback=limits.allow_loopback)
        self._slots = HostSlots(limits.host_slots, max_per_host=limits.max_per_host)
        self._stopped = threading.Event()
        self._began: float | None = None
        self.notes: dict[str, Note] = {}
        self.failure: Exception | None = None

    def stop(self) -> None:
        """Refuse every further URL: the caller cannot use the answers."""
        self._stopped.set()

    def open(self, fullurl: Any, data: Any = None, timeout: float | None = None) -> "GuardedResponse":
        """Return the answer to a GET of the URL; only the URL is taken from a Request, not its headers.

        The time-out asked for is ignored: the limits rule.

        Raises:
            Refused: there is no body to have; the note says the same.
        """
        # rpartition: the caller's fragment comes last, after one that was published.
        whole = fullurl if isinstance(fullurl, str) else fullurl.full_url
        url, _, key = whole.rpartition("#")
        note = self.notes[key] = Note()
        fetch = _Fetch(note, Deadline(max_fetch_s=self._limits.max_fetch_s, timeout_s=self._limits.timeout_s), self)
        with fetch:
            if self._began is None:
                self._began = time.monotonic()
            self._check_time()
            return self._follow(url or whole, fetch)

    def _check_time(self) -> None:
        """Refuse what would only be asked when it is too late."""
        if self._stopped.is_set():
            raise Refused("no_result", "the fetch was stopped")
        if self._began is not None and time.monotonic() - self._began > self._limits.max_partition_s:
            raise Refused("deferred", f"not asked within the {self._limits.max_partition_s:g} s of its partition")

    def _follow(self, url: str, fetch: "_Fetch") -> "GuardedResponse":
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
            with ExitStack() as stack:
                # One hop holds one slot: two at once could wait for each other.
                response, wire = self._ask(target, fetch, stack)
                location = response.headers.get("Location") if response.status in REDIRECT_STATUSES else None
                if location is None:
                    _check_answer(response, note, limits.max_bytes)
                    wire.expect_body(limits.max_bytes)
                    return GuardedResponse(response, fetch, limits.max_bytes, stack.pop_all())
                url = redirect_url(target, str(location))

    def _ask(self, target: Target, fetch: "_Fetch", stack: ExitStack) -> tuple[http.client.HTTPResponse, Wire]:
        """Return the answer's headers; the stack closes the connection and frees the slot."""
        limits, deadline = self._limits, fetch.deadline
        fetch.note.http_status = fetch.note.peer_address = None
        slot = self._slots.hold(target.host, max_wait_s=limits.max_slot_wait_s, check=self._check_time)
        deadline.give_back(stack.enter_context(slot))
        addresses = self._resolver.addresses(target.host, deadline.next_timeout_s())
        sock = stack.enter_context(open_socket(target, addresses, deadline))
        fetch.note.peer_address = str(sock.getpeername()[0])
        wire = Wire(sock, deadline)
        connection = PinnedConnection(target, wire)
        headers = {
            "Host": target.authority,
            "User-Agent": limits.user_agent,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        connection.request("GET", target.path, headers=headers)
        try:
            response = connection.getresponse()
        except (OSError, http.client.HTTPException, Refused, MemoryError):
            raise
        except Exception as error:
            # The header parser of the standard library fails in many ways on hostile bytes; none is our fault.
            raise Refused("invalid_response", f"{type(error).__name__}: {error}") from error
        stack.callback(response.close)
        fetch.note.http_status = response.status
        return response, wire


class _Fetch:
    """The note and clock of one fetch; as a context it writes what went wrong into the note."""

    def __init__(self, note: Note, deadline: Deadline, guard: Guard) -> None:
        self.note = note
        self.deadline = deadline
        self._guard = guard

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.note.fetch_ms = max(0, round(1000 * self.deadline.elapsed_s))
        if not isinstance(error, Exception):
            return
        refused = classify(error)
        if refused is None:
            self._guard.failure = self._guard.failure or error
            self._guard.stop()
            return
        self.note.reason, self.note.detail = refused.reason, refused.detail
        if refused is not error:
            raise refused from error


def _check_answer(response: http.client.HTTPResponse, note: Note, max_bytes: int) -> None:
    """Refuse an answer that announces no whole body, or one that is too large."""
    if response.status not in OK_STATUSES:
        note.retry_after_s = parse_retry_after(response.headers.get("Retry-After"))
        phrase = response.reason
        if response.status in REDIRECT_STATUSES:
            phrase = f"{phrase} without Location"
        raise refuse_status(response.status, phrase)
    if response.length is not None and response.length > max_bytes:
        raise Refused("body_too_large", f"{response.length} bytes announced, allowed are {max_bytes}")


class GuardedResponse:
    """The answer as img2dataset uses it: headers now, the body on demand; closing frees connection and slot."""

    def __init__(self, response: http.client.HTTPResponse, fetch: _Fetch, max_bytes: int, stack: ExitStack) -> None:
        self._response = response
        self._fetch = fetch
        self._max_bytes = max_bytes
        self._stack = stack
        self.headers = response.headers
        self.status = response.status

    def read(self) -> bytes:
        """Return the whole body without the codings of its transport.

        Raises:
            Refused: the body is too large, too slow or too short, or cannot be unpacked.
        """
        with self._fetch:
            announced = self._response.length
            body = io.BytesIO()
            while piece := self._read_piece():
                if body.tell() + len(piece) > self._max_bytes:
                    raise Refused("body_too_large", f"more than {self._max_bytes} bytes")
                body.write(piece)
            # http.client is silent about a body that ends early when it is read in pieces.
            if announced is not None and body.tell() < announced:
                raise Refused("truncated_body", f"{body.tell()} of {announced} bytes")
            return unpack(body.getvalue(), codings_of(self.headers), self._max_bytes)

    def _read_piece(self) -> bytes:
        try:
            return self._response.read(_READ_BYTES)
        except ValueError as error:
            # A negative chunk size.
            raise Refused("invalid_response", f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Free the connection and the host's slot."""
        self._stack.close()

    def __enter__(self) -> "GuardedResponse":
        return self

    def __exit__(self, *args: object) -> None:
        self.close()
