"""Map exceptions and HTTP statuses to reject reasons. Not for deciding which are transient: schemas.reasons does."""

import email.utils
import http.client
import socket
import ssl
import time

from schemas.reasons import DETAIL_MAX_CHARACTERS

MAX_RETRY_AFTER_S = 7 * 86_400.0

OK_STATUSES = frozenset({200, 203})
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
BUSY = (429, 503)  # statuses of a server that asks for fewer requests
# 408 is sent by a server that did not wait for our request.
_STATUS_REASON = {
    401: "http_forbidden",
    403: "http_forbidden",
    404: "http_not_found",
    408: "timeout",
    410: "http_not_found",
    429: "http_throttled",
    451: "http_forbidden",
}
# The name does not exist or has no address. Every other code is a failure of the resolver or of this machine, and to
# call a host non-existent because of it would lose its images for good.
_NO_SUCH_HOST = frozenset({socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_ADDRFAMILY})


class Refused(Exception):
    """A fetch that ended without a body, for a declared reason."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = tidy(detail)
        super().__init__(f"{reason}: {self.detail}")


def tidy(text: str) -> str:
    """Return the text as one printable line of at most 200 characters; it may come from a hostile server."""
    text = text[:DETAIL_MAX_CHARACTERS]
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in text)


def classify(error: Exception) -> Refused | None:
    """Return the refusal that an exception means, or None for one that no server can cause: a fault of the code."""
    detail = f"{type(error).__name__}: {error}"
    match error:
        case Refused():
            return error
        # The peer went away inside TLS: a broken connection, not a bad certificate; only the first is transient.
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError() | ssl.SSLSyscallError():
            return Refused("connection_failed", detail)
        case ssl.SSLError():
            return Refused("tls_failed", detail)
        case TimeoutError():
            return Refused("timeout", detail)
        case socket.gaierror():
            return Refused("host_not_found" if error.errno in _NO_SUCH_HOST else "resolver_failed", detail)
        case http.client.IncompleteRead():
            return Refused("truncated_body", detail)
        case OSError():
            return Refused("connection_failed", detail)
        case http.client.HTTPException():
            return Refused("invalid_response", detail)
    return None


def refuse_status(status: int, phrase: str) -> Refused:
    """Return the refusal for a final answer that is not a whole body."""
    if status in _STATUS_REASON:
        reason = _STATUS_REASON[status]
    elif 400 <= status < 500:
        reason = "http_client_error"
    elif 500 <= status < 600:
        reason = "http_server_error"
    else:
        reason = "invalid_response"
    return Refused(reason, f"HTTP {status} {phrase}".rstrip())


def parse_retry_after(value: str | None) -> float | None:
    """Return the seconds a Retry-After header asks for, from 0 to 7 days; None if it is absent or malformed."""
    if value is None:
        return None
    value = value.strip()[:64]
    if value.isascii() and value.isdigit():
        return min(float(value), MAX_RETRY_AFTER_S)
    try:
        delay_s = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(delay_s, 0.0), MAX_RETRY_AFTER_S)
