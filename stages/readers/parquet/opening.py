"""Open a foreign parquet file after a child process, which may crash, has read its footer.

Arrow aborts the process on some footers (a column encrypted with its own key), and one file must not end a reader of
millions of rows. Rows are read in the main process, because Arrow reports their faults without aborting.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.readers.batch import SourceFileError

_CHILD_SCRIPT = Path(__file__).with_name("probe_child.py")
_MEMORY_BYTES = 8 << 30  # address space of the child; the footer of a file of 10,000 row groups takes 1 GB
_BUFFER_BYTES = 1 << 20  # read column chunks in pieces: a row group may be larger than memory
# Exceptions of Arrow. A type without a Python class is a KeyError, a name that is not UTF-8 a ValueError.
FAULTS = (pa.ArrowException, OSError, ValueError, OverflowError, KeyError, MemoryError)


def open_parquet(path: Path) -> pq.ParquetFile:
    """Return an opened file whose footer can be read safely.

    Raises:
        SourceFileError: the file is damaged or encrypted; n_rows is the number of rows in the footer, one if unknown.
    """
    n_rows, fault = _PROBE.probe(path)
    if fault:
        raise SourceFileError(describe(path, fault), n_rows=max(1, n_rows), path=path)
    try:
        file = pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES, page_checksum_verification=True)
        rows = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        if min(rows, default=0) < 0 or sum(rows) != file.metadata.num_rows:
            raise ValueError(f"a footer of {file.metadata.num_rows} rows, whose row groups have {rows[:20]}")
    except FAULTS as error:
        raise SourceFileError(describe(path, str(error) or type(error).__name__), path=path) from error
    return file


def describe(path: Path, found: str, place: str = "") -> str:
    """Return the message of a fault: what was expected and found, and what to do."""
    first_line = next(iter(found.splitlines()), "")
    if "decrypt" in found.lower() or "encrypt" in found.lower():
        why = first_line.partition(" (reading")[0]
        return f"{path.name}: {place}it is encrypted: {why}; store it without encryption"
    return f"{path.name}: {place}expected a complete parquet file, found: {first_line}; download it again"


class _Probe:
    """The child process; started for the first file, replaced when it dies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._pid = 0

    def probe(self, path: Path) -> tuple[int, str]:
        """Return the number of rows in a footer, and how reading it killed the child ("" if it did not).

        Errors that the child only reports are ignored here: the caller gets them again.
        """
        with self._lock:
            found = self._ask(path)
            if isinstance(
                found, str
            ):  # another process may have killed the child: only a second death is blamed on the file
                found = self._ask(path)
            if isinstance(found, str):
                return self._n_rows, found
            return self._n_rows, ""

    def _ask(self, path: Path) -> str | None:
        child = self._running()
        self._n_rows = 0
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None
        try:
            child.stdin.write(json.dumps(str(path.absolute())) + "\n")
            child.stdin.flush()
            while line := child.stdout.readline():
                answer: dict[str, Any] = json.loads(line)
                if "fault" in answer:
                    return None
                self._n_rows = int(answer["n_rows"])
        except BrokenPipeError:
            pass
        except BaseException:
            self.close()
            raise
        last_words = [text for text in child.stderr.read().splitlines() if text.strip()][-1:]
        self._child = None
        code = child.wait()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        said = "".join(last_words).replace("what():", "").strip()
        return f"{said} (reading its footer ended a process with {how})"

    def _running(self) -> "subprocess.Popen[str]":
        # A forked process must not use its parent's child.
        if self._child is None or self._pid != os.getpid() or self._child.poll() is not None:
            command = [sys.executable, "-I", str(_CHILD_SCRIPT), str(_MEMORY_BYTES), str(os.getpid())]
            pipe = subprocess.PIPE
            self._child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
            self._pid = os.getpid()
        return self._child

    def close(self) -> None:
        """End the child, if there is one."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None


_PROBE = _Probe()
