"""robots.txt by origin, as RFC 9309 says: requested once a day for all workers, and obeyed.

Not for requesting: the guard does that, with its limits. Not for crawl delays: requests at once are limited instead.
"""

import http.client
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from protego import Protego

from stages.download.fetching.answer import Note
from stages.download.fetching.codings import TooLarge, codings_of, unpack
from stages.download.fetching.faults import Refused, classify
from stages.download.fetching.robots_cache import RobotsCache
from stages.download.fetching.target import Target

MAX_ROBOTS_BYTES = 500_000  # RFC 9309, 2.5: at least 500 KiB must be read; the rest is ignored
_MAX_PACKED_BYTES = MAX_ROBOTS_BYTES + 50_000  # so that a text that packs badly is unpacked up to its limit too
MAX_ROBOTS_REDIRECTS = 5  # 2.3.1.2
# Reasons that a request for an image would have too.
_OF_THE_HOST = frozenset({
    "host_not_found", "resolver_failed", "private_address", "tls_failed", "host_silent", "host_refuses",
    "host_busy",
})  # fmt: skip
_OURS = frozenset({"deferred", "no_result"})  # whoever was asked
_NO_ANSWER = {"timeout": "host_silent", "connection_failed": "host_refuses"}


class Robots:
    """The rules of origins (scheme, host and port); each origin is requested once, by the first that needs it."""

    def __init__(self, cache: Path | None, token: str) -> None:
        """Without a cache the rules live as long as this value.

        Args:
            cache: a folder that all workers share.
            token: the name by which files address us.
        """
        self._token = token
        self._lock = threading.Lock()
        self._rules: dict[str, Future[Protego | None]] = {}
        self._cache = None if cache is None else RobotsCache(cache)

    def check(self, target: Target, fetch: Callable[[Target], bytes]) -> None:
        """Refuse a request that the origin's robots.txt disallows.

        Args:
            target: the request about to be sent.
            fetch: returns the file at the target's origin, b"" if it has none; called once per origin.

        Raises:
            Refused: robots_disallows, or why the file could not be fetched.
        """
        rules = self._rules_of(target, fetch)
        if rules is not None and not rules.can_fetch(target.url, self._token):
            raise Refused("robots_disallows", f"robots.txt of {target.authority} disallows {target.path}")

    def _rules_of(self, target: Target, fetch: Callable[[Target], bytes]) -> Protego | None:
        """Return the rules, None if all is allowed."""
        origin = f"{target.scheme}://{target.authority}"
        with self._lock:
            known = self._rules.get(origin)
            mine = Future[Protego | None]() if known is None else None
            if mine is not None:
                self._rules[origin] = mine
        if mine is None:
            assert known is not None
            return _result(known)
        try:
            mine.set_result(_parse(self._text(origin, target, fetch)))
        except BaseException as error:
            mine.set_exception(error)
            if isinstance(error, Refused) and error.reason == "deferred":
                with self._lock:
                    del self._rules[origin]
            raise
        return mine.result()

    def _text(self, origin: str, target: Target, fetch: Callable[[Target], bytes]) -> bytes:
        text = None if self._cache is None else self._cache.get(origin)
        if text is None:
            text = fetch(Target(target.scheme, target.host, target.port, "/robots.txt"))
            if self._cache is not None:
                self._cache.put(origin, text[:MAX_ROBOTS_BYTES])
        return text

    def close(self) -> None:
        """Close the cache."""
        if self._cache is not None:
            self._cache.close()


def _result(known: "Future[Protego | None]") -> Protego | None:
    error = known.exception()
    if isinstance(error, Refused):
        # A new instance: threads that share one exception would write into each other's traceback.
        raise Refused(error.reason, error.detail)
    return known.result()


def _parse(text: bytes) -> Protego | None:
    if b":" not in text:
        return None
    return Protego.parse(text[:MAX_ROBOTS_BYTES].decode("utf-8", "replace").removeprefix("\ufeff"))


def read_robots(response: http.client.HTTPResponse) -> bytes:
    """Return the file in the answer, cut at its size limit; b"" if the origin has none.

    Raises:
        Refused: robots_unreachable for an answer of 5xx, or a coding that cannot be undone.
    """
    if response.status >= 500:
        raise Refused("robots_unreachable", f"HTTP {response.status} for robots.txt")
    if not 200 <= response.status < 300:
        return b""
    text = bytearray()
    while len(text) < _MAX_PACKED_BYTES and (piece := response.read(_MAX_PACKED_BYTES - len(text))):
        text += piece
    codings = codings_of(response.headers)
    try:
        return unpack(bytes(text), codings, MAX_ROBOTS_BYTES)[:MAX_ROBOTS_BYTES]
    except TooLarge as error:
        if len(codings) > 1:  # the start of a packed text cannot be unpacked
            raise
        return error.start


def refuse_robots(error: Exception, note: Note, *, is_redirected: bool) -> Refused | None:
    """Return why an origin's URLs cannot be requested when its robots.txt could not be; None if they can.

    Args:
        error: of the request.
        note: of the request that failed.
        is_redirected: whether the failed request was no longer to the origin's own /robots.txt.

    Raises:
        Exception: the error itself, if no server can cause it.
    """
    refused = classify(error)
    if refused is None:
        raise error
    # Behind a redirect it may be another host that has the fault: that says nothing of the origin's images.
    if refused.reason in _OURS or (refused.reason in _OF_THE_HOST and not is_redirected):
        return refused
    if refused.reason == "bad_redirect":
        return None  # to nowhere: RFC 9309 calls that unavailable
    if note.http_status is None and not is_redirected and refused.reason in _NO_ANSWER:
        return Refused(_NO_ANSWER[refused.reason], f"robots.txt: {refused.detail}")
    return Refused("robots_unreachable", f"robots.txt: {refused.detail}")
