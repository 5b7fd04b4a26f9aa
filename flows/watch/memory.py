"""The flow runs that a build has opened and nobody has closed yet, in a file of the build folder.

A convenience for what Prefect shows, not a record: a file that is gone or damaged closes nothing.
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
        born: when that process started, in the kernel's ticks: an id is given again after a while.
        outcome: how it ended, where the server was away at that moment; "" while it runs.
        message: what goes with the outcome.
        figures: what its page shows at its end, if that could not be shown: key, kind, content, description of each.
    """

    run: str
    pid: int = 0
    born: str = ""
    outcome: str = ""
    message: str = ""
    figures: Sequence[Figure] = ()

    @property
    def is_alive(self) -> bool:
        """True while its process runs."""
        return bool(self.born) and _born(self.pid) == self.born


@dataclass
class Memory:
    """The file; read and written as a whole."""

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

    def note(self, run: str, outcome: str, message: str, figures: Sequence[Figure] = ()) -> None:
        """Note how a run ended that could not be closed."""
        ended = {"outcome": outcome, "message": message, "figures": figures}
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
