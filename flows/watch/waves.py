"""What a run of a stage looks like to a server: partitions in waves, faults counted, figures in Markdown.

Knows no server: `flows.watch.mirror` passes on what is said here.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from dataclasses import dataclass, field

from flows.ask.report import printable
from flows.run.events import Event, Poisoned, Retried
from flows.run.worker import Committed, Failed
from flows.watch.pace import Pace, first_line
from stages.contract import Stage

MOST_WAVES = 200  # a server with its database in one file labours at thousands of task runs
_TOP_FAULTS = 5
_LONGEST_FAULT = 300  # characters
_MARKS = frozenset(string.punctuation) - {","}
_BARE_LINK = re.compile(r"(?i)www(?=\.)|:(?=//)|@")  # renderers make links of bare addresses: a break after these


@dataclass
class Wave:
    """Partitions shown as one: those taken up one after the other."""

    number: int
    n_partitions: int
    first: str
    n_ended: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """How it is called: by its first partition."""
        others = f" and {self.n_partitions - 1} more" if self.n_partitions > 1 else ""
        return f"{printable(self.first)}{others}"

    @property
    def is_over(self) -> bool:
        """True where all its partitions ended."""
        return self.n_ended == self.n_partitions


@dataclass
class StageRun:
    """One run of a stage: a stage that observes has one for each observation."""

    number: int
    stage: Stage
    n_partitions: int
    pace: Pace
    faults: Counter[str] = field(default_factory=Counter)
    n_failed: int = 0
    seconds: float = 0.0  # once it is over
    _waves: list[Wave] = field(default_factory=list)
    _wave_of: dict[str, Wave] = field(default_factory=dict)

    def take(self, event: Event) -> tuple[Wave, bool]:
        """Take an event in; return the wave it belongs to, and whether that has just begun."""
        wave = self._wave_of.get(event.partition)
        is_new = False
        if wave is None:
            wave, is_new = self._assign(event.partition)
        self.pace.take(event)
        if isinstance(event, Retried | Failed | Poisoned):
            fault = first_line(event.message).removeprefix(f"{self.stage.name}/{event.partition}: ")[:_LONGEST_FAULT]
            self.faults[fault] += 1
            if not isinstance(event, Retried):
                wave.faults.append(f"{event.partition}: {fault}")
                self.n_failed += 1
        wave.n_ended += isinstance(event, Committed | Failed | Poisoned)
        return wave, is_new

    def _assign(self, partition: str) -> tuple[Wave, bool]:
        size = wave_size(self.pace.n_due)
        is_new = len(self._wave_of) % size == 0
        if is_new:
            left = self.pace.n_due - len(self._wave_of)
            self._waves.append(Wave(len(self._waves), min(size, left), partition))
        self._wave_of[partition] = self._waves[-1]
        return self._waves[-1], is_new

    def summary(self) -> str:
        """Return in a few words how many partitions ended, how fast, how long it may take."""
        failed = f", {self.n_failed} failed" if self.n_failed else ""
        before = self.n_partitions - self.pace.n_due
        earlier = f", {before} were done before" if before > 0 else ""
        words = f"{self.seconds:,.1f} s" if self.seconds else self.pace.words()
        if self.seconds and self.pace.n_rows:
            words += f", {self.pace.n_rows / self.seconds:,.0f} rows/s"
        return f"{self.pace.n_ended} of {self.pace.n_due} partitions{failed}{earlier}{', ' if words else ''}{words}"

    def markdown(self) -> str:
        """Return the figures and the faults that came most, safe to render."""
        lines = [f"## {safe_markdown(self.stage.name)}", "", safe_markdown(self.summary()), ""]
        if not self.faults:
            return "\n".join([*lines, "No faults."])
        lines += ["| times | fault |", "|---:|---|"]
        lines += [f"| {n:,} | {safe_markdown(fault)} |" for fault, n in self.faults.most_common(_TOP_FAULTS)]
        n_others = len(self.faults) - _TOP_FAULTS
        return "\n".join([*lines, *(["", f"{n_others} other faults"] if n_others > 0 else [])])


def wave_size(n_due: int) -> int:
    """Return how many partitions make a wave, so that there are at most `MOST_WAVES`."""
    return max(1, -(-n_due // MOST_WAVES))


def safe_markdown(text: str) -> str:
    """Return a text that Markdown and HTML show as it is: faults quote foreign names and texts."""
    one_line = printable(text).replace("\n", " ")
    # With backslashes, not entities: one of Prefect's two pages shows entities as they are written.
    return "".join(f"\\{c}" if c in _MARKS else c for c in _BARE_LINK.sub("\\g<0>\u200b", one_line))
