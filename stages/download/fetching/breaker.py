"""Hosts that refuse, stay silent or are busy, over all threads and processes here: requested no more in a pass.

Not for rescheduling their URLs: the pass opener decides when they are requested again.
"""

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from stages.download.fetching.damaged import report_damage
from stages.download.fetching.faults import Refused

# Files cannot be removed without a race, so their number is bounded: hosts that share a name share a file.
_NAME_DIGITS = 3
_NEVER = -1
# Several, as one URL alone may be at fault: a host half of whose URLs are silent passes in 7 of 8 cases.
_PROBES = 3
# A host that asks for a long rest is given up after a fifth of the failures: one for each of its slots by default.
_REST_COUNTS = 5
_WHY = {
    "host_refuses": "gave no answer",
    "host_silent": "gave no answer",
    "host_busy": "gave no answer but 429 or 503",
}


@dataclass(frozen=True)
class _Record:
    """The failures and answers of a host and port.

    Attributes:
        in_pass: pass in which it failed last; failures of earlier passes do not count.
        n_in_row: failures since its last answer; 429 and 503 are failures.
        n_trips: passes in which it was given up.
        has_answered: whether it ever sent the head of another answer, as far as was seen.
        open_in_pass: pass in which it was given up last.
        reason: why.
    """

    in_pass: int = _NEVER
    n_in_row: int = 0
    n_trips: int = 0
    has_answered: bool = False
    open_in_pass: int = _NEVER
    reason: str = ""


_UNKNOWN = _Record()


class Breaker:
    """Counts failures in a row by host and port, and refuses further requests of this pass when they are too many.

    A host that was given up in an earlier pass and never answered gets one request at a time: if the first few fail
    too, it is given up again. One that has answered is given up after twice as many failures each time, so that a host
    with both good and silent URLs is requested for all of them in few passes, whatever the order.
    """

    def __init__(self, folder: Path | None, *, pass_number: int, max_in_row: int) -> None:
        """Without a folder, or with max_in_row 0, no host is ever given up."""
        self._folder = folder if max_in_row else None
        self._pass = pass_number
        self._max_in_row = max_in_row
        self._answered: set[str] = set()
        self._files: dict[str, str] = {}
        self._seen: dict[str, tuple[object, dict[str, _Record]]] = {}
        self._lock = threading.Lock()
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)

    def check(self, authority: str) -> None:
        """Refuse a request to a host that was given up in this pass.

        Raises:
            Refused: host_silent, host_refuses or host_busy.
        """
        record = self._record(authority)
        if record.open_in_pass == self._pass:
            why = f"{authority} {_WHY[record.reason]} {record.n_in_row} times in a row; not asked"
            raise Refused(record.reason, why)

    def is_probing(self, authority: str) -> bool:
        """Return whether the host takes one request at a time: it was given up before, and never answered.

        One that was busy takes one at a time also after each 429 or 503, until its next answer.
        """
        record = self._record(authority)
        return record.n_trips > 0 and (
            not record.has_answered or (record.reason == "host_busy" and record.n_in_row > 0)
        )

    def may_rest(self, authority: str) -> bool:
        """Return whether to rest as a busy host asks: not for ever, or a large one would hold up the pass for days."""
        record = self._record(authority)
        return record.open_in_pass != self._pass and record.n_in_row <= self._max_in_row

    def note_answer(self, authority: str) -> None:
        """Note that the host sent the head of an answer other than 429 and 503."""
        if self._folder is None:
            return
        self._answered.add(authority)
        record = self._record(authority)
        if record.n_in_row or (record.n_trips and not record.has_answered):
            with self._changing(self._folder, authority) as records:
                known = records.get(authority, _UNKNOWN)
                n_in_row = known.n_in_row if known.open_in_pass == self._pass else 0
                records[authority] = replace(known, n_in_row=n_in_row, has_answered=True)

    def note_failure(self, authority: str, reason: str, *, asks_rest: bool = False) -> None:
        """Take note that the host refused the connection, gave no answer, or answered 429 or 503.

        Args:
            authority: host and port.
            reason: host_refuses, host_silent or host_busy.
            asks_rest: whether it asks for a longer rest than a request can wait; it is then given up sooner.
        """
        if self._folder is None:
            return
        with self._changing(self._folder, authority) as records:
            known = records.get(authority, _UNKNOWN)
            if known.open_in_pass == self._pass:
                return
            n_in_row = (known.n_in_row if known.in_pass == self._pass else 0) + 1
            has_answered = known.has_answered or authority in self._answered
            found = replace(known, in_pass=self._pass, n_in_row=n_in_row, has_answered=has_answered)
            if n_in_row >= self._limit(found, asks_rest):
                found = replace(found, open_in_pass=self._pass, n_trips=known.n_trips + 1, reason=reason)
            records[authority] = found

    def _limit(self, record: _Record, asks_rest: bool) -> int:
        least = min(_PROBES, self._max_in_row)
        if record.n_trips and not record.has_answered:
            return least
        limit = int(self._max_in_row * 2**record.n_trips)
        return max(least, limit // _REST_COUNTS) if asks_rest else limit

    def _record(self, authority: str) -> _Record:
        if self._folder is None:
            return _UNKNOWN
        path = self._files.get(authority) or self._files.setdefault(authority, _file_of(self._folder, authority))
        try:
            found = os.stat(path)  # noqa: PTH116  # for each request: a Path costs more than the call
        except FileNotFoundError:
            return _UNKNOWN
        # A changed file is another file: it is read again only then.
        version = (found.st_ino, found.st_mtime_ns, found.st_size)
        with self._lock:
            if self._seen.get(path, (None,))[0] != version:
                self._seen[path] = (version, _read(path))
            return self._seen[path][1].get(authority, _UNKNOWN)

    @contextmanager
    def _changing(self, folder: Path, authority: str) -> Iterator[dict[str, _Record]]:
        """Let the caller change the records of a file while nobody else does."""
        path = _file_of(folder, authority)
        handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            records = _read(path)
            yield records
            records = {name: record for name, record in records.items() if record.n_in_row or record.n_trips}
            draft = Path(f"{path}.draft")
            draft.write_text(json.dumps({name: asdict(record) for name, record in records.items()}))
            draft.replace(path)
        finally:
            os.close(handle)


def _file_of(folder: Path, authority: str) -> str:
    return f"{folder}/{hashlib.sha256(authority.encode()).hexdigest()[:_NAME_DIGITS]}"


def _read(path: str) -> dict[str, _Record]:
    try:
        return {name: _Record(**values) for name, values in json.loads(Path(path).read_text()).items()}
    except FileNotFoundError:
        return {}
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        report_damage(path, error, "the failures of its hosts are counted anew")
        return {}
