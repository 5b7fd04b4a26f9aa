"""Run a command as a child process that outlives its parent, and pass on its lines.

The child writes into a file, not into a pipe, so the end of the reader does not affect it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

_POLL_S = 0.2
_ERROR = "error: "
_FAULT_LINES = 3  # the failed stage, and its first two partitions
_LONGEST_LINE = 4000  # characters; Prefect refuses a log line of a megabyte


@dataclass
class Child:
    """A command in a session of its own.

    Attributes:
        log: the file its output goes to, appended.
        say: receives each line of it.
        last_line: the last line so far.
        fault: the first lines from the last "error: " on; empty if there is none.
    """

    words: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    say: Callable[[str], None]
    last_line: str = ""
    fault: list[str] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None
    _is_told: bool = False
    _rest: bytes = field(default=b"")

    def start(self) -> BinaryIO:
        """Start it and return the log, open for reading at the place where its output begins."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            reader = self.log.open("rb")
            reader.seek(0, os.SEEK_END)
            self._process = subprocess.Popen(
                list(self.words), env=dict(self.environment), stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        return reader

    def wait(self, reader: BinaryIO) -> int:
        """Pass on its lines until it ends; return its exit code, negative for a signal."""
        assert self._process is not None
        while (code := self._process.poll()) is None:
            if not self._pass_on(reader):
                time.sleep(_POLL_S)
        while self._pass_on(reader):
            pass
        if self._rest:
            self._say(self._rest)
        return code

    def stop(self) -> None:
        """Ask it once to end, as Ctrl-C does."""
        if self._process is not None and not self._is_told:
            self._is_told = True
            self._process.send_signal(signal.SIGTERM)

    def _pass_on(self, reader: BinaryIO) -> bool:
        data = reader.read(1 << 16)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._say(line)
        return bool(data)

    def _say(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        if text:
            self.last_line = text[:_LONGEST_LINE]
            if text.startswith(_ERROR):
                self.fault = [self.last_line]
            elif self.fault and len(self.fault) < _FAULT_LINES:
                self.fault.append(self.last_line.strip())
            self.say(self.last_line)
