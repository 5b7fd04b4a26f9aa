"""One attempt per URL through img2dataset's own Reader and Downloader: bodies into a tar, fates into rows.

Not for retries or for choosing URLs: a pass hands over its selection, once.
"""

import hashlib
import re
import shutil
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from stages.download.fetching.answer import Note
from stages.download.fetching.faults import Refused
from stages.download.fetching.guard import Guard
from stages.download.fetching.limits import FetchLimits
from stages.download.fetching.shard import download_shard
from stages.download.fetching.spool import Spool
from stages.readers.rs5m_tars.located import Located

__all__ = ["Attempt", "FetchLimits", "fetch"]

_FETCH_ID = re.compile(r"[0-9a-f]{32}")
# The opener and the redirected output belong to the whole process.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Attempt:
    """The result of one URL's fetch.

    Attributes:
        reason: reject reason, None if fetched.
        n_bytes: size of the decoded body; 0 is also a fetched body.
        sha256: sha256 of the decoded body, in hex.
        md5: MD5 of the decoded body, in hex.
        tar_offset: offset of the body's first byte in the tar.
        retry_after_s: the server's Retry-After.
        fetch_ms: time without waiting for a host slot.
        peer_address: IP address of the last connection.
        final_url: URL of the last request, or of the refused one.
    """

    fetch_id: str
    is_fetched: bool
    reason: str | None
    detail: str | None
    http_status: int | None
    n_bytes: int | None
    sha256: str | None
    md5: str | None
    tar_offset: int | None
    retry_after_s: float | None
    fetch_ms: int
    peer_address: str | None
    final_url: str | None

    @classmethod
    def withdrawn(cls, fetch_id: str) -> Self:
        """Return the attempt of a withdrawn URL, which was not requested."""
        return cls(fetch_id, False, "withdrawn", None, None, None, None, None, None, None, 0, None, None)

    @classmethod
    def located(cls, fetch_id: str, url: str, place: Located) -> Self:
        """Return the attempt of an image in a released tar, without a request."""
        found = (place.n_bytes, place.sha256, None, place.offset)  # screen computes its MD5
        return cls(fetch_id, True, None, None, None, *found, None, 0, None, url)


def fetch(
    urls: Sequence[tuple[str, str]],
    *,
    tar_path: Path,
    work: Path,
    limits: FetchLimits,
    pass_number: int = 0,
    on_progress: Callable[[int], None] | None = None,
) -> list[Attempt]:
    """Fetch every URL once; return one attempt per URL, in the given order, and write the bodies to one tar.

    Runs in this process and installs the guarded opener in it; calls from several threads take turns. Bodies in
    flight are held in memory: at most limits.max_bytes times twice limits.n_threads (those that arrive, and those
    that wait for the writer).

    Args:
        urls: pairs of fetch_id (32 hex digits, unique) and URL.
        tar_path: written whole, or not at all if this raises.
        work: folder for temporary files; none are left in it.
        limits: times, bytes, concurrency.
        pass_number: hosts that are given up are given up for this pass.
        on_progress: called in this thread with the number of URLs done; an exception from it ends the fetch, and its
            prints are lost (the output of this process is suppressed while img2dataset runs).

    Raises:
        ValueError: a fetch_id is malformed or occurs twice.
        OSError: the tar or the work folder cannot be written.
    """
    _check_ids([fetch_id for fetch_id, _ in urls])
    scratch = work / "fetching"
    with _ONE_AT_A_TIME:
        shutil.rmtree(scratch, ignore_errors=True)  # of a process that died
        scratch.mkdir(parents=True)
        guard = Guard(limits, pass_number=pass_number)
        spool = Spool(tar_path, on_write=on_progress, on_failure=guard.stop)
        try:
            urllib.request.install_opener(guard)
            download_shard(_take_turns(urls, pass_number), scratch, limits, spool)
            failure = spool.failure or guard.failure
            if failure is not None:
                raise failure
            spool.finish()
        finally:
            guard.stop()
            guard.close()
            spool.close()
            shutil.rmtree(scratch, ignore_errors=True)
    return [attempt_of(fetch_id, guard.notes.get(fetch_id, Note()), spool) for fetch_id, _ in urls]


def _check_ids(fetch_ids: list[str]) -> None:
    """Refuse ids that could not be tar members or would mix up two URLs."""
    for fetch_id, n_times in Counter(fetch_ids).items():
        if not _FETCH_ID.fullmatch(fetch_id):
            raise ValueError(f"a fetch_id is 32 lower-case hex digits, found {fetch_id!r}")
        if n_times > 1:
            raise ValueError(f"fetch_id {fetch_id} occurs {n_times} times")


def _take_turns(urls: Sequence[tuple[str, str]], pass_number: int) -> list[tuple[str, str]]:
    """Return the URLs with hosts taking turns: threads that wait for one slow host would keep all others waiting.

    Each pass takes a host's own URLs in another order: a few consecutive ones may be the cause of its silence.
    """
    n_before: Counter[str] = Counter()
    turns = []
    for fetch_id, url in sorted(urls, key=lambda one: hashlib.sha256(f"{pass_number} {one[0]}".encode()).digest()):
        try:
            host = urlsplit(url).netloc.lower()
        except ValueError:
            host = ""
        turns.append((n_before[host], fetch_id, url))
        n_before[host] += 1
    return [(fetch_id, url) for _, fetch_id, url in sorted(turns, key=lambda turn: turn[0])]


def attempt_of(fetch_id: str, note: Note, spool: Spool) -> Attempt:
    """Return the row of one URL, from the guard's note and img2dataset's result."""
    body = spool.bodies.get(fetch_id)
    refused = None if body is not None else _refusal(note, spool.errors.get(fetch_id))
    return Attempt(
        fetch_id=fetch_id,
        is_fetched=body is not None,
        reason=refused.reason if refused else None,
        detail=refused.detail if refused else None,
        http_status=note.http_status,
        n_bytes=body.n_bytes if body else None,
        sha256=body.sha256 if body else None,
        md5=body.md5 if body else None,
        tar_offset=body.offset if body else None,
        retry_after_s=note.retry_after_s,
        fetch_ms=note.fetch_ms,
        peer_address=note.peer_address,
        final_url=note.final_url,
    )


def _refusal(note: Note, error: str | None) -> Refused:
    """Return why there is no body; the guard's note takes precedence over img2dataset's error."""
    if error is None:
        return Refused("no_result", "img2dataset gave no result")
    if note.reason is not None:
        return Refused(note.reason, note.detail or "")
    # The guard saw nothing of it: urllib could not make a request of the URL.
    return Refused("invalid_response" if note.final_url is None else "no_result", error)
