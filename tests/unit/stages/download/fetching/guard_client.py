"""Calls of the guard for tests: one URL with its note, or many URLs at once, also in a spawned process."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from schemas.reasons import REASON
from stages.download.fetching.addresses import Resolver
from stages.download.fetching.answer import Note
from stages.download.fetching.faults import Refused
from stages.download.fetching.guard import Guard
from stages.download.fetching.limits import FetchLimits

# Longer than a machine may stand still; HASTY is for URLs that never answer.
PATIENT_S = 120.0
LIMITS = FetchLimits(allow_loopback=True, timeout_s=PATIENT_S, max_fetch_s=PATIENT_S, max_bytes=10_000, max_redirects=3)
HASTY = dataclasses.replace(LIMITS, timeout_s=0.6, max_fetch_s=1.0)


def fetch(url: str, *, limits: FetchLimits = LIMITS, resolver: Resolver | None = None) -> tuple[bytes | None, Note]:
    guard = Guard(limits, resolver=resolver)
    try:
        with guard.open(f"{url}#key") as response:
            body: bytes | None = response.read()
    except Refused as refused:
        body = None
        assert guard.notes["key"].reason == refused.reason
    assert guard.failure is None
    note = guard.notes["key"]
    assert (body is None) == (note.reason is not None)
    assert note.reason is None or note.reason in REASON
    assert note.detail is None or len(note.detail) <= 200
    return body, note


def fetch_all(url: str, *, n_urls: int, limits: FetchLimits) -> list[bytes]:
    """Fetch n_urls URLs under the given one, with a guard and threads in this process."""
    guard = Guard(limits)

    def fetch_one(n: int) -> bytes:
        with guard.open(f"{url}/{n}") as response:
            return response.read()

    with ThreadPoolExecutor(limits.n_threads) as pool:
        return list(pool.map(fetch_one, range(n_urls)))


def fetch_in_child(url: str, n_urls: int, folder: Path, max_per_host: int) -> None:
    """Fetch in a spawned process; an exception gives a non-zero exit code."""
    limits = dataclasses.replace(LIMITS, n_threads=8, max_per_host=max_per_host, host_slots=folder)
    if fetch_all(url, n_urls=n_urls, limits=limits) != [b"slow"] * n_urls:
        raise AssertionError("a body is wrong")
