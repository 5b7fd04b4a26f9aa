"""Run partitions in supervised workers, or in this process, and report their outcomes.

Not for deciding which partitions are due or done; the policy for failures is in `flows/run/policy.py`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from flows.run.events import Advanced, Event, Retried
from flows.run.handle import ChildProcesses, Handle, Hands
from flows.run.machine import gpu_devices
from flows.run.memory import total_bytes
from flows.run.policy import Attempt, Job, Policy
from flows.run.toolbox import Toolbox
from flows.run.worker import Committed, Failed, SignOfLife, Task, try_partition
from flows.settings import RunSettings
from stages.contract import Uses

_POLL_S = 0.2
_LONGEST_GAP_S = 2.0  # between two checks of the workers; after a longer gap this process itself was stopped or busy
_BEAT_S = 5.0
_BEATS_PER_SILENCE = 4.0

Happened = tuple[Task, Event]


class Executor(Protocol):
    """Runs partitions of any stages concurrently."""

    def has_room(self, uses: Uses, memory_gb: float) -> bool:
        """Return whether a partition with these needs may start now."""

    def start(self, task: Task, uses: Uses, memory_gb: float) -> None:
        """Start a partition for which there is room."""

    def is_busy(self) -> bool:
        """Return whether a started partition has not ended."""

    def listen(self) -> Iterator[Happened]:
        """Yield new events, or nothing after a moment; a task ends with Committed, Failed or Poisoned."""

    def wind_down(self, end: float) -> Iterator[Happened]:
        """Yield events of running partitions until `end`; then call again, or `abandon`."""

    def abandon(self) -> None:
        """Stop all running partitions without recording anything."""


@dataclass
class InlineExecutor:
    """Runs partitions one after the other in this process, for tests and debuggers."""

    _task: Task | None = None
    _toolbox: Toolbox | None = None

    def has_room(self, uses: Uses, memory_gb: float) -> bool:
        """Return whether no partition is waiting."""
        return self._task is None

    def start(self, task: Task, uses: Uses, memory_gb: float) -> None:
        """Take a partition."""
        self._task = task

    def is_busy(self) -> bool:
        """Return whether a partition is waiting."""
        return self._task is not None

    def listen(self) -> Iterator[Happened]:
        """Run the partition and yield its event."""
        task, self._task = self._task, None
        if task is not None:
            self._toolbox = self._toolbox or Toolbox()
            yield task, try_partition(task, self._toolbox, lambda n_rows: None)

    def wind_down(self, end: float) -> Iterator[Happened]:
        """Yield nothing, since no partition is running."""
        return iter(())

    def abandon(self) -> None:
        """Close the tools."""
        if self._toolbox is not None:
            self._toolbox.stack.close()
        self._toolbox = self._task = None


@dataclass
class _Worker:
    handle: Handle
    device: str
    runs_models: bool  # apart from the others without a GPU too: torch and its kin are imported once, not in each
    attempt: Attempt | None = None
    stage: str = ""  # stage of its last partition, whose tools are still open


@dataclass
class LocalExecutor:
    """Supervised workers that are reused for partitions; by default child processes of this one."""

    settings: RunSettings
    hands: Hands | None = None
    _workers: list[_Worker] = field(default_factory=list)
    _waiting: list[Job] = field(default_factory=list)  # for retries

    def __post_init__(self) -> None:
        settings = self.settings
        self._devices = gpu_devices()
        self.policy = Policy(settings, total_bytes(settings))
        self._hands = self.hands or ChildProcesses(
            n_threads=max(1, (os.cpu_count() or 1) // settings.workers),
            beat_s=min(_BEAT_S, settings.silence_s / _BEATS_PER_SILENCE),
        )

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.abandon()
        self._dismiss_idle()

    def has_room(self, uses: Uses, memory_gb: float) -> bool:
        """Return whether the limits of the resource and of memory allow a partition; retries go first."""
        now = time.monotonic()
        if any(job.uses == uses and job.not_before <= now for job in self._waiting):
            return False
        return self._fits(uses, memory_gb)

    def start(self, task: Task, uses: Uses, memory_gb: float) -> None:
        """Give a partition to an idle or a new worker."""
        self._begin(Job(task, uses, memory_gb))

    def is_busy(self) -> bool:
        """Return whether a partition is running or waits for a retry."""
        return bool(self._waiting or self._attempts())

    def listen(self) -> Iterator[Happened]:
        """Yield events of the workers, including silent ones; start due retries."""
        for job in [job for job in self._waiting if job.not_before <= time.monotonic()]:
            if self._fits(job.uses, job.memory_gb):
                self._waiting.remove(job)
                self._begin(job)
        yield from self._listen()

    def wind_down(self, end: float) -> Iterator[Happened]:
        """Yield the last events of running partitions, without retries."""
        if self._attempts() and time.monotonic() < end:
            yield from self._listen()
        self._waiting.clear()

    def abandon(self) -> None:
        """Kill the workers with a partition."""
        for worker in self._busy():
            worker.handle.kill()
        self._workers = [worker for worker in self._workers if worker.attempt is None]
        self._waiting.clear()

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.attempt is not None]

    def _attempts(self) -> list[Attempt]:
        return [worker.attempt for worker in self._workers if worker.attempt is not None]

    def _limit(self, uses: Uses) -> int:
        return self.settings.n_workers(uses, len(self._devices))

    def _fits(self, uses: Uses, memory_gb: float) -> bool:
        busy = [attempt.job.uses for attempt in self._attempts()]
        if busy.count(uses) >= self._limit(uses):
            return False
        # Without a GPU a model takes cores; with one it must not wait for them.
        on_cores: tuple[Uses, ...] = ("cores",) if self._devices else ("cores", "gpu")
        if uses in on_cores and sum(busy.count(kind) for kind in on_cores) >= self._limit("cores"):
            return False
        idle = sum(w.handle.memory_bytes() + w.handle.children_bytes() for w in self._workers if w.attempt is None)
        if not self.policy.has_memory(memory_gb, self._attempts(), idle):
            self._dismiss_idle()
        return self.policy.has_memory(memory_gb, self._attempts())

    def _begin(self, job: Job) -> None:
        worker = self._idle_worker(job)
        worker.stage = job.task.stage
        worker.attempt = self.policy.begin(job, worker.handle, time.monotonic())
        worker.handle.send(job.task)

    def _free_device(self) -> str:
        if not self._devices:
            return ""
        taken = [worker.device for worker in self._busy()]
        return min(self._devices, key=taken.count)

    def _idle_worker(self, job: Job) -> _Worker:
        runs_models = job.uses == "gpu"
        device = self._free_device() if runs_models else ""
        self._workers = [worker for worker in self._workers if worker.attempt is not None or worker.handle.is_alive()]
        idle = [worker for worker in self._workers if worker.attempt is None and worker.device == device]
        idle = [worker for worker in idle if worker.runs_models == runs_models]
        for worker in idle:
            if worker.stage == job.task.stage:  # its model is open
                return worker
        if idle:  # always the first, so that a worker with an open model replaces it
            return idle[0]
        self._workers.append(_Worker(self._hands.start(device), device, runs_models))
        return self._workers[-1]

    def _dismiss_idle(self) -> None:
        for worker in [worker for worker in self._workers if worker.attempt is None]:
            worker.handle.dismiss()
            self._workers.remove(worker)

    def _listen(self) -> Iterator[Happened]:
        busy = {id(worker.handle): worker for worker in self._busy()}
        if not busy:
            time.sleep(_POLL_S if self._waiting else 0)
            return
        for handle in self._hands.wait([worker.handle for worker in busy.values()], _POLL_S):
            yield from self._judge(busy[id(handle)], handle.receive())
        for attempt, stalled in self.policy.find_stalled(self._attempts(), time.monotonic()):
            yield attempt.job.task, stalled
        for attempt in self.policy.look(self._attempts(), time.monotonic(), _LONGEST_GAP_S):
            attempt.handle.kill()
            yield from self._judge(busy[id(attempt.handle)], None)

    def _judge(self, worker: _Worker, message: object) -> Iterator[Happened]:
        attempt, now = worker.attempt, time.monotonic()
        assert attempt is not None
        job, attempt.heard = attempt.job, now
        if isinstance(message, SignOfLife):
            return
        if isinstance(message, int):
            self.policy.advance(attempt, message, now)
            yield job.task, Advanced(job.task.partition, message)
            return
        worker.attempt = None
        event: Event
        if isinstance(message, Committed):
            event = message
        elif isinstance(message, Failed):
            event = self.policy.after_failure(job, message, now)
        else:
            event = self.policy.after_death(attempt)
        if isinstance(event, Retried):
            self._waiting.append(job)
        yield job.task, event
