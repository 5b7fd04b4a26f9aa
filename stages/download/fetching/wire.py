"""One connection to one checked address, on which no read outlasts the deadline. Not for HTTP."""

import functools
import http.client
import io
import socket
import ssl
import time
from collections.abc import Sequence
from typing import Any, cast

from stages.download.fetching.codings import ChunkedResponse
from stages.download.fetching.faults import Refused
from stages.download.fetching.target import Target

MAX_HEADER_BYTES = 256 * 1024
# Chunk sizes, chunk extensions and trailers come on top of a body.
MAX_FRAMING_BYTES = 1024 * 1024
_BUFFER_BYTES = 64 * 1024


class Deadline:
    """The time left to one fetch, over all its connections; time spent waiting for others is given back."""

    def __init__(self, *, max_fetch_s: float, timeout_s: float) -> None:
        self._max_fetch_s = max_fetch_s
        self._timeout_s = timeout_s
        self._started = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Time spent so far."""
        return time.monotonic() - self._started

    def give_back(self, waited_s: float) -> None:
        """Do not count this time."""
        self._started += waited_s

    def next_timeout_s(self) -> float:
        """Return the time-out of the next socket operation.

        Raises:
            TimeoutError: no time is left.
        """
        left_s = self._max_fetch_s - self.elapsed_s
        if left_s <= 0:
            raise TimeoutError(f"not complete after {self._max_fetch_s:g} s")
        return min(left_s, self._timeout_s)


class _Reader(io.RawIOBase):
    """Raw bytes of a socket; the remaining time is set before every receive, so that a dripping server is cut."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline
        self._n_left = MAX_HEADER_BYTES
        self.has_ended = False
        self._too_many = Refused("invalid_response", f"headers of more than {MAX_HEADER_BYTES} bytes")

    def expect_body(self, max_bytes: int) -> None:
        # http.client reads to the end of the connection for some malformed chunk sizes: the limit here bounds memory.
        self._n_left = max_bytes + MAX_FRAMING_BYTES
        self._too_many = Refused("body_too_large", f"more than {max_bytes} bytes")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._deadline.next_timeout_s())
        n_read = self._sock.recv_into(buffer)
        self.has_ended = not n_read
        self._n_left -= n_read
        if self._n_left < 0:
            raise self._too_many
        return n_read


class Wire:
    """The part of a socket that http.client uses; closing it is left to the owner of the socket."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline
        self._reader = _Reader(sock, deadline)

    def sendall(self, data: bytes) -> None:
        """Send the request."""
        self._sock.settimeout(self._deadline.next_timeout_s())
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return the reader of the answer."""
        return io.BufferedReader(self._reader, _BUFFER_BYTES)

    def expect_body(self, max_bytes: int) -> None:
        """From here on count a body, not headers."""
        self._reader.expect_body(max_bytes)

    @property
    def has_ended(self) -> bool:
        """Whether the server closed the connection before all that was read for: in the head, its head was cut."""
        return self._reader.has_ended

    def close(self) -> None:
        """Do nothing: http.client closes the connection before it has read the body."""


class PinnedConnection(http.client.HTTPConnection):
    """An HTTP connection over a wire that is already open; it can never open one by itself."""

    response_class = ChunkedResponse

    def __init__(self, target: Target, wire: Wire) -> None:
        super().__init__(target.host, target.port)
        self.sock = cast(socket.socket, wire)

    def connect(self) -> None:
        """Refuse: a second look-up of the name could give another address."""
        raise http.client.NotConnected("the pinned connection is gone")


def open_socket(target: Target, addresses: Sequence[str], deadline: Deadline) -> socket.socket:
    """Return a connected socket, over TLS where the scheme asks for it, to the first address that answers.

    Raises:
        OSError: no address answers, or TLS fails.
    """
    failure: OSError | None = None
    for address in addresses:
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.settimeout(deadline.next_timeout_s())
            sock.connect((address, target.port))
            if target.scheme == "http":
                return sock
            sock.settimeout(deadline.next_timeout_s())
            return tls_context().wrap_socket(sock, server_hostname=target.host)
        except OSError as error:
            sock.close()
            failure = failure or error
            if isinstance(error, ssl.SSLError):
                break
        except BaseException:
            sock.close()
            raise
    raise failure or OSError(f"{target.host} has no address")


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the system's default context: certificates and host names are verified."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
