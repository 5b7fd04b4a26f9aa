"""Decisions on partitions that fail and on workers that die, hang or take too much; no process is touched here.

Not for sending anything to a worker: that is the executor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from flows.run.events import Poisoned, Retried, Stalled
from flows.run.handle import Handle
from flows.run.worker import Failed, Task
from flows.settings import RunSettings
from stages.contract import Uses

START_UP_S = 60.0  # a worker says when it takes a partition up; until then it may be importing
_LEAST_CPU_S = 1.0  # signs of life alone take some milliseconds an hour
_LOOKS_PER_STALL = 30.0  # at a worker's CPU time
_WARNED_AFTER = 1 / 3  # of run.stall_s
_DEATHS_ALLOWED = 1  # a partition whose worker died is tried once more, in a fresh worker


@dataclass
class Job:
    """A partition to run, over all its attempts.

    Attributes:
        task: the partition.
        uses: the kind of resource that limits it.
        memory_gb: memory to keep free for it, GB; 0 where it is little.
        not_before: when it may be tried again.
        n_failures: attempts that failed outside the program.
        n_deaths: attempts in which its worker died or was stopped for its own sake.
    """

    task: Task
    uses: Uses
    memory_gb: float = 0.0
    not_before: float = 0.0
    n_failures: int = 0
    n_deaths: int = 0


@dataclass
class Attempt:
    """A job in the hands of a worker.

    Attributes:
        job: the job.
        handle: the worker.
        started: when its deadline began to run; in the future while the worker may be importing.
        heard: when the worker last gave a sign of life.
        memory_bytes: memory that the worker and its children held at the last look.
        moved: when it last made progress or was seen to use CPU time.
        n_rows: rows done.
        cpu_s: CPU time of the worker and its children at the last look that found it grown.
        cpu_looked: when that time was looked at last.
        stopped_for: why it was stopped, "" if it was not.
        has_stalled: whether a person was told that it makes no progress.
        is_own_fault: False for one that was stopped since all workers together took too much.
    """

    job: Job
    handle: Handle
    started: float
    heard: float
    memory_bytes: int = 0
    moved: float = 0.0
    n_rows: int = 0
    cpu_s: float = 0.0
    cpu_looked: float = 0.0
    has_stalled: bool = False
    stopped_for: str = ""
    is_own_fault: bool = True


@dataclass
class Policy:
    """Decides about attempts under the settings of a run.

    Attributes:
        settings: the section `run`.
        total_bytes: memory that all workers together may hold.
    """

    settings: RunSettings
    total_bytes: float
    _looked: float = field(default=0.0)

    def begin(self, job: Job, handle: Handle, now: float) -> Attempt:
        """Return an attempt that begins now."""
        return Attempt(job, handle, now + START_UP_S, now + START_UP_S, moved=now + START_UP_S)

    def advance(self, attempt: Attempt, n_rows: int, now: float) -> None:
        """Take note of the rows that a worker has done."""
        attempt.started = min(attempt.started, now)
        if n_rows != attempt.n_rows:
            attempt.n_rows, attempt.moved, attempt.has_stalled = n_rows, now, False

    def find_stalled(self, attempts: Sequence[Attempt], now: float) -> list[tuple[Attempt, Stalled]]:
        """Return the attempts that have made no progress for long; each is named once in a standstill."""
        warned_s = self.settings.stall_s * _WARNED_AFTER
        found = [a for a in attempts if not a.has_stalled and now - a.moved > warned_s]
        for attempt in found:
            attempt.has_stalled = True
        return [(a, Stalled(a.job.task.partition, _standstill(a, now))) for a in found]

    def has_memory(self, needed_gb: float, attempts: Sequence[Attempt], idle_bytes: int = 0) -> bool:
        """Return whether a further partition fits beside those that run; one alone is always let in."""
        held = sum(max(a.memory_bytes, a.job.memory_gb * 1e9) for a in attempts)
        return not attempts or held + idle_bytes + needed_gb * 1e9 <= self.total_bytes

    def look(self, attempts: Sequence[Attempt], now: float, longest_gap_s: float) -> list[Attempt]:
        """Return the attempts to stop, with the reason set; none of them was before."""
        gap = now - self._looked if self._looked else 0.0
        self._looked = now
        if gap > longest_gap_s:  # this process was stopped itself: nothing was looked at, nobody is to blame
            for attempt in attempts:
                attempt.started, attempt.heard = attempt.started + gap, attempt.heard + gap
                attempt.moved += gap
        for attempt in attempts:
            own_bytes = attempt.handle.memory_bytes()
            attempt.memory_bytes = own_bytes + attempt.handle.children_bytes()
            self._look_at_cpu(attempt, now)
            attempt.stopped_for = self._own_fault(attempt, own_bytes, now)
        stopped = [attempt for attempt in attempts if attempt.stopped_for]
        return stopped or self._too_much_together(attempts)

    def _look_at_cpu(self, attempt: Attempt, now: float) -> None:
        if now - attempt.cpu_looked < self.settings.stall_s / _LOOKS_PER_STALL:
            return
        cpu_s, attempt.cpu_looked = attempt.handle.cpu_s(), now
        if abs(cpu_s - attempt.cpu_s) >= _LEAST_CPU_S:  # less if a child ended that nobody waited for
            attempt.cpu_s, attempt.moved, attempt.has_stalled = cpu_s, max(attempt.moved, now), False

    def _own_fault(self, attempt: Attempt, own_bytes: int, now: float) -> str:
        settings = self.settings
        limit_gb = attempt.job.task.memory_gb
        if now - attempt.started > settings.deadline_s:
            return f"it ran longer than run.deadline_s = {settings.deadline_s:g}"
        if now - attempt.heard > settings.silence_s:
            return f"its worker gave no sign of life for run.silence_s = {settings.silence_s:g}"
        if now - attempt.moved > settings.stall_s:
            return f"{_standstill(attempt, now)}; run.stall_s = {settings.stall_s:g}"
        if own_bytes > limit_gb * 1e9:  # children that decode have a limit of their own, and reject the picture
            return f"it held {own_bytes / 1e9:.2f} GB; run.memory_gb = {limit_gb:g}"
        return ""

    def _too_much_together(self, attempts: Sequence[Attempt]) -> list[Attempt]:
        held = sum(attempt.memory_bytes for attempt in attempts)
        if held <= self.total_bytes:
            return []
        youngest = max(attempts, key=lambda attempt: attempt.started)  # the others go on: something always ends
        youngest.is_own_fault = len(attempts) == 1
        youngest.stopped_for = (
            f"all workers together held {held / 1e9:.2f} GB; run.total_memory_gb = {self.total_bytes / 1e9:.3g}"
        )
        return [youngest]

    def after_failure(self, job: Job, failed: Failed, now: float) -> Retried | Failed:
        """Return whether a failed partition is tried again, at `job.not_before`, or fails for good."""
        if failed.kind != "transient" or job.n_failures >= self.settings.retries:
            return failed
        job.not_before = now + self.settings.backoff_s * 2**job.n_failures
        job.n_failures += 1
        return Retried(job.task.partition, failed.message)

    def after_death(self, attempt: Attempt) -> Retried | Poisoned:
        """Return whether a partition whose worker is gone is tried again or counts as poisoned."""
        job = attempt.job
        message = f"{job.task.stage}/{job.task.partition}: {attempt.stopped_for or attempt.handle.last_words()}"
        if not attempt.is_own_fault:
            job.memory_gb = max(job.memory_gb, attempt.memory_bytes / 1e9)
            return Retried(job.task.partition, f"{message}; it begins again when there is room for it")
        job.n_deaths += 1
        if job.n_deaths > _DEATHS_ALLOWED:
            return Poisoned(job.task.partition, f"{message}, {job.n_deaths} times; nothing of it was kept")
        return Retried(job.task.partition, message)


def _standstill(attempt: Attempt, now: float) -> str:
    return f"it has made no progress and used no CPU time for {(now - attempt.moved) / 60:.3g} minutes"
