"""The flow runs that a build has opened and that are not closed yet, in a file of the build folder.

Only for display in Prefect: if the file is missing or damaged, no run is closed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from uuid import UUID

MEMORY = ".prefect-runs.json"
Figure = tuple[str, str, object, str]  # of a run: key, kind, content, description
_REMEMBERED = 20  # runs that were killed while their server was away


@dataclass(frozen=True)
class OpenRun:
    """A flow run that was opened.

    Attributes:
        run: its id.
        pid: the process that reports to it.
        born: start time of that process in the kernel's ticks, because process ids are reused.
        outcome: how it ended, if the server could not be reached at that moment; "" while it runs.
        message: text that goes with the outcome.
        figures: final figures of its page that could not be sent: key, kind, content and description of each.
        lines: lines of its log that could not be sent.
    """

    run: str
    pid: int = 0
    born: str = ""
    outcome: str = ""
    message: str = ""
    figures: Sequence[Figure] = ()
    lines: Sequence[str] = ()

    @property
    def is_alive(self) -> bool:
        """True while its process runs."""
        return bool(self.born) and _born(self.pid) == self.born


@dataclass
class Memory:
    """The file of open runs; read and written as a whole."""

    path: Path

    def read(self) -> list[OpenRun]:
        """Return the runs that were opened and not closed."""
        try:
            found = [OpenRun(**entry) for entry in json.loads(self.path.read_text(encoding="utf-8"))]
            return [entry for entry in found if UUID(entry.run)]
        except (OSError, ValueError, AttributeError, TypeError):
            return []  # never written, or not by us

    def add(self, run: str) -> None:
        """Note a run of this process."""
        entry = OpenRun(run, os.getpid(), _born(os.getpid()))
        self._write([*(e for e in self.read() if e.run != run), entry])

    def remove(self, run: str) -> None:
        """Forget a run: it is closed."""
        self._write([entry for entry in self.read() if entry.run != run])

    def note(
        self, run: str, outcome: str, message: str, figures: Sequence[Figure] = (), lines: Sequence[str] = ()
    ) -> None:
        """Note the outcome of a run that could not be closed on the server."""
        ended = {"outcome": outcome, "message": message, "figures": figures, "lines": lines}
        self._write([replace(e, **ended) if e.run == run else e for e in self.read()])  # type: ignore[arg-type]

    def _write(self, runs: Sequence[OpenRun]) -> None:
        draft = self.path.with_suffix(f".draft-{os.getpid()}")
        draft.write_text(json.dumps([asdict(entry) for entry in runs[-_REMEMBERED:]]), encoding="utf-8")
        draft.replace(self.path)


def _born(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]
