"""A run of a stage as a server shows it: partitions in waves, faults counted, figures in Markdown.

Makes no calls: `flows.watch.sync` sends the content.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from dataclasses import dataclass, field

from flows.ask.report import printable
from flows.run.events import Event, Poisoned, Retried
from flows.run.worker import Committed, Failed
from flows.watch.pace import Pace, first_line, speed
from stages.contract import Stage

MOST_WAVES = 200  # a server with its database in one file labours at thousands of task runs
_DOUBLED_EVERY = 16  # waves, in a stage whose number of partitions is not known: 65,536 in 192
_TOP = 5
_LONGEST_FAULT = 300  # characters
_MARKS = frozenset(string.punctuation) - {","}
_BARE_LINK = re.compile(r"(?i)www(?=\.)|:(?=//)|@")  # renderers make links of bare addresses: a break after these


@dataclass
class Wave:
    """Partitions shown as one task run: those that were started one after the other."""

    number: int
    size: int
    first: str
    n_taken: int = 0
    n_ended: int = 0
    is_closed: bool = False  # the stage ended: nothing more joins
    faults: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name of the wave: that of its first partition."""
        others = f" and {self.size - 1:,} more" if self.size > 1 else ""
        return f"{printable(self.first)}{others}"

    @property
    def is_over(self) -> bool:
        """True if all its partitions have ended."""
        return self.n_ended == self.n_taken and (self.n_taken >= self.size or self.is_closed)


@dataclass
class StageRun:
    """One run of a stage; a stage that records observations, such as passes, has one for each."""

    number: int
    stage: Stage
    n_partitions: int
    pace: Pace
    faults: Counter[str] = field(default_factory=Counter)
    n_failed: int = 0
    is_over: bool = False  # successfully or not
    is_whole: bool = False  # nothing of it is left by a stopped run
    n_grown: int = 0
    waves: list[Wave] = field(default_factory=list)
    table: list[dict[str, object]] | None = None  # once it is over and was counted
    by_corpus: Counter[str] = field(default_factory=Counter)  # partitions that ended, by the code they begin with
    _wave_of: dict[str, Wave] = field(default_factory=dict)

    @property
    def has_begun(self) -> bool:
        """True once a worker has started a partition; before, all of them wait for a worker."""
        return bool(self.waves)

    @property
    def is_complete(self) -> bool:
        """True if it has ended with everything done."""
        return self.is_over and self.is_whole and self.pace.n_ended == self.pace.n_due and not self.n_failed

    @property
    def is_cut_off(self) -> bool:
        """True if the build ended while some of its partitions, known or still to come, had not been tried."""
        has_rest = self.pace.n_ended < self.pace.n_due or not self.n_failed
        return self.is_over and not self.is_whole and has_rest

    @property
    def is_idle(self) -> bool:
        """True if all due partitions have ended and more may become due, as between two download passes."""
        return not self.is_over and self.pace.n_due > 0 and self.pace.n_ended == self.pace.n_due

    def grow(self, n_due: int, n_rows_due: int) -> None:
        """Note that more partitions became due."""
        self.pace.n_due += n_due
        self.pace.n_rows_due += n_rows_due
        self.n_partitions += n_due
        self.n_grown += 1

    def take(self, event: Event) -> Wave:
        """Update the figures by an event; return the wave it belongs to."""
        wave = self._wave_of.get(event.partition) or self._assign(event.partition)
        self.pace.take(event)
        if isinstance(event, Retried | Failed | Poisoned):
            fault = first_line(event.message).removeprefix(f"{self.stage.name}/{event.partition}: ")[:_LONGEST_FAULT]
            self.faults[fault] += 1
            if not isinstance(event, Retried):
                wave.faults.append(f"{event.partition}: {fault}")
                self.n_failed += 1
        if isinstance(event, Committed | Failed | Poisoned):
            wave.n_ended += 1
            self.by_corpus[event.partition.partition("-")[0]] += 1
        return wave

    @property
    def n_given(self) -> int:
        """Rows that it read; where each is kept or rejected, these, once it is over."""
        if self.stage.grain not in ("map", "count"):
            return self.pace.n_rows
        n_decided = self.pace.n_kept + sum(self.pace.reasons.values())
        return n_decided if self.is_over else max(self.pace.n_rows, n_decided)

    @property
    def looks(self) -> str:
        """How often the world was looked at, by a stage that observes it; a look without news is no partition."""
        n = self.pace.n_ended
        return "" if self.stage.keeps == "current" else "looked once" if n == 1 else f"looked {n} times"

    @property
    def rate(self) -> float | None:
        """Rows per second of work; None if it is too early to estimate."""
        if self.is_over:
            return self.n_given / self.pace.busy_s if self.n_given and self.pace.busy_s else None
        return self.pace.rate

    def end(self, is_whole: bool) -> None:
        """Note that it is over."""
        self.is_over, self.is_whole = True, is_whole
        for wave in self.waves:
            wave.is_closed = True

    def _assign(self, partition: str) -> Wave:
        last = self.waves[-1] if self.waves else None
        if last is None or (last.n_taken >= last.size and len(self.waves) < MOST_WAVES):
            size = wave_size(max(self.pace.n_due, self.n_partitions))
            if self.n_grown:
                size = max(size, 2 ** (len(self.waves) // _DOUBLED_EVERY))
            size = min(size, max(1, self.pace.n_due - len(self._wave_of)))
            last = Wave(len(self.waves), size, partition)
            self.waves.append(last)
        last.n_taken += 1
        self._wave_of[partition] = last
        return last

    def summary(self) -> str:
        """Return in one line the number of ended partitions, the rate and the time left; and whether it was cut off."""
        failed = f", {self.n_failed} failed" if self.n_failed else ""
        before = self.n_partitions - self.pace.n_due
        earlier = f", {before} were done before" if before > 0 else ""
        words = self.pace.words()
        if self.is_over:
            words = f"{self.pace.busy_s:,.1f} s"
            if self.rate:
                words += f", {speed(self.rate)}"
        ended = self.looks or f"{self.pace.n_ended} of {self.pace.n_due} partitions"
        if self.is_cut_off:
            ended = f"stopped: {ended}"
            ended += " so far" if self.pace.n_ended == self.pace.n_due else ""  # it waited for more
        return f"{ended}{failed}{earlier}{', ' if words else ''}{words}"

    def markdown(self) -> str:
        """Return the figures, the rejects by reason and the most frequent faults, safe to render."""
        rows = f"{self.n_given:,} rows read, {self.pace.n_kept:,} kept, {sum(self.pace.reasons.values()):,} rejected"
        lines = [f"## {safe_markdown(self.stage.name)}", "", safe_markdown(self.stage.does), ""]
        lines += [safe_markdown(self.summary()), "", safe_markdown(rows), ""]
        lines += counted("rejected because", self.pace.reasons, len(self.pace.reasons))
        if not self.faults:
            return "\n".join([*lines, "No partition failed or had to be tried again."])
        return "\n".join([*lines, *counted("fault of a partition", self.faults, _TOP)])


def counted(what: str, counts: Counter[str], n_shown: int) -> list[str]:
    """Return counts as the lines of a Markdown table, highest first; no lines if there are none."""
    if not counts:
        return []
    lines = [f"| {what} | times |", "|---|---:|"]
    lines += [f"| {safe_markdown(name)} | {n:,} |" for name, n in counts.most_common(n_shown)]
    n_others = len(counts) - n_shown
    return [*lines, *(["", f"{n_others} others"] if n_others > 0 else []), ""]


def wave_size(n_due: int) -> int:
    """Return how many partitions make a wave, so that there are at most `MOST_WAVES`."""
    return max(1, -(-n_due // MOST_WAVES))


def safe_markdown(text: str) -> str:
    """Return a text escaped for Markdown and HTML, because faults quote foreign names and texts."""
    one_line = printable(text).replace("\n", " ")
    # With backslashes, not entities: one of Prefect's two pages shows entities as they are written.
    return "".join(f"\\{c}" if c in _MARKS else c for c in _BARE_LINK.sub("\\g<0>\u200b", one_line))
