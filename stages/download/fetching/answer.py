"""One fetch as it goes: its note, its clock, and the answer with its body. Not for asking."""

import http.client
import io
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

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
from stages.download.fetching.opt_out import refuse_opt_outs
from stages.download.fetching.wire import Deadline

_READ_BYTES = 64 * 1024


@dataclass
class Note:
    """The known facts of one URL's fetch; written by the one thread that fetches it.

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


class Fetch:
    """The note and clock of one fetch; as a context manager it writes any fault into the note."""

    def __init__(self, note: Note, deadline: Deadline, on_fault: Callable[[Exception], None]) -> None:
        """Take the note and deadline of the fetch; on_fault is called with errors that no server can cause."""
        self.note = note
        self.deadline = deadline
        self._on_fault = on_fault

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.note.fetch_ms = max(0, round(1000 * self.deadline.elapsed_s))
        if not isinstance(error, Exception):
            return
        refused = classify(error)
        if refused is None:
            self._on_fault(error)
            return
        self.note.reason, self.note.detail = refused.reason, refused.detail
        if refused is not error:
            raise refused from error


def check_answer(response: http.client.HTTPResponse, note: Note, limits: FetchLimits) -> None:
    """Refuse an answer that announces no whole body, one that is too large, and one whose server opts out."""
    if response.status not in OK_STATUSES:
        note.retry_after_s = parse_retry_after(response.headers.get("Retry-After"))
        phrase = response.reason
        if response.status in REDIRECT_STATUSES:
            phrase = f"{phrase} without Location"
        raise refuse_status(response.status, phrase)
    if limits.heed_opt_outs:
        refuse_opt_outs(response.headers.get_all("X-Robots-Tag", []), limits.token)
    if response.length is not None and response.length > limits.max_bytes:
        raise Refused("body_too_large", f"{response.length} bytes announced, allowed are {limits.max_bytes}")


class GuardedResponse:
    """The answer as img2dataset uses it: headers now, the body on demand; closing frees connection and slot."""

    def __init__(self, response: http.client.HTTPResponse, fetch: Fetch, max_bytes: int, stack: ExitStack) -> None:
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
