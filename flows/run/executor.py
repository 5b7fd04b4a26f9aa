"""Run the partitions of a stage in supervised child processes, or in this one.

An executor yields what became of each partition; it decides nothing about what is due or done.
"""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Protocol

from flows.run.events import Advanced, Event, Poisoned, Retried
from flows.run.worker import Committed, Failed, Task, Toolbox, try_partition, worker_main
from flows.settings import RunSettings

_POLL_S = 0.2
_START_UP_S = 60.0  # a worker says when it takes a partition up; until then it may be importing
_DEATHS_ALLOWED = 1  # a partition whose worker died is tried once more, alone in a fresh worker


class Interrupted(Exception):
    """The user stopped the run; partitions ended whole or were abandoned whole."""


class Executor(Protocol):
    """Runs partitions of one stage."""

    def run(self, tasks: Sequence[Task]) -> Iterator[Event]:
        """Yield what happens, and for each task at the end one of Committed, Failed, Poisoned.

        Raises:
            Interrupted: after Ctrl-C, when all partitions under way have ended or were abandoned.
        """


class InlineExecutor:
    """Runs partitions one after the other in this process: for tests and debuggers."""

    def run(self, tasks: Sequence[Task]) -> Iterator[Event]:
        """Yield one event per task."""
        toolbox = Toolbox()
        with toolbox.stack:
            for task in tasks:
                yield try_partition(task, toolbox, lambda n_rows: None)


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    task: Task | None = None
    started: float = 0.0
    stopped_for: str = ""


@dataclass
class _Job:
    task: Task
    not_before: float = 0.0
    n_failures: int = 0
    n_deaths: int = 0


@dataclass
class LocalExecutor:
    """Supervised child processes on this machine, kept from one stage to the next."""

    settings: RunSettings
    _workers: list[_Worker] = field(default_factory=list)

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        for worker in self._workers:
            if worker.task is None and worker.process.is_alive():
                worker.pipe.send(None)
            else:
                worker.process.kill()
        for worker in self._workers:
            worker.process.join(2)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers.clear()

    def run(self, tasks: Sequence[Task]) -> Iterator[Event]:
        """Yield what happens to the tasks; see `Executor`."""
        jobs = {task.partition: _Job(task) for task in tasks}
        waiting = list(jobs.values())
        with _Interrupts() as interrupts:
            while waiting or self._busy():
                if interrupts.n:
                    yield from self._wind_down(interrupts)
                    raise Interrupted
                self._hand_out(waiting)
                for heard in self._listen():
                    yield from self._judge(heard, jobs, waiting)

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.task is not None]

    def _hand_out(self, waiting: list[_Job]) -> None:
        now = time.monotonic()
        for job in [job for job in waiting if job.not_before <= now]:
            limit = self.settings.model_workers if job.task.has_model else self.settings.workers
            worker = self._idle_worker() if len(self._busy()) < limit else None
            if worker is None:
                return
            waiting.remove(job)
            worker.task, worker.started, worker.stopped_for = job.task, now + _START_UP_S, ""
            with contextlib.suppress(BrokenPipeError):  # it died at its start: the end of the pipe says so next
                worker.pipe.send(job.task)

    def _idle_worker(self) -> _Worker | None:
        for worker in self._workers:  # always the first: one that held a model takes the next stage's in its place
            if worker.task is None and worker.process.is_alive():
                return worker
        self._workers = [w for w in self._workers if w.task is not None]
        if len(self._workers) >= self.settings.workers:
            return None
        ours, theirs = mp.get_context("spawn").Pipe()
        n_threads = max(1, (os.cpu_count() or 1) // self.settings.workers)
        process = mp.get_context("spawn").Process(target=worker_main, args=(theirs, n_threads))
        # A worker is deaf to Ctrl-C from its first moment: it inherits the mask.
        unmasked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unmasked)
        theirs.close()
        self._workers.append(_Worker(process, ours))
        return self._workers[-1]

    def _listen(self) -> Iterator[tuple[_Worker, object]]:
        busy = self._busy()
        self._watch(busy)
        ready = wait([w.pipe for w in busy], timeout=_POLL_S)
        for worker in busy:
            if worker.pipe in ready:
                try:
                    yield worker, worker.pipe.recv()
                except (EOFError, OSError):
                    worker.process.join()
                    yield worker, None

    def _watch(self, busy: list[_Worker]) -> None:
        for worker in busy:
            ran_s = time.monotonic() - worker.started
            resident = _resident_bytes(worker.process.pid or 0)
            if ran_s > self.settings.deadline_s:
                worker.stopped_for = f"it ran longer than run.deadline_s = {self.settings.deadline_s:g}"
            elif resident > self.settings.memory_gb * 1e9:
                worker.stopped_for = f"it held {resident / 1e9:.2f} GB; run.memory_gb = {self.settings.memory_gb:g}"
            if worker.stopped_for:
                worker.process.kill()
                worker.process.join()  # until it is gone it would look fit for the next partition

    def _judge(self, heard: tuple[_Worker, object], jobs: dict[str, _Job], waiting: list[_Job]) -> Iterator[Event]:
        worker, message = heard
        assert worker.task is not None
        job = jobs[worker.task.partition]
        if isinstance(message, int):
            worker.started = min(worker.started, time.monotonic())
            yield Advanced(job.task.partition, message)
            return
        worker.task = None
        if message is None:
            yield self._after_death(worker, job, waiting)
        elif isinstance(message, Failed) and message.kind == "transient" and job.n_failures < self.settings.retries:
            job.not_before = time.monotonic() + self.settings.backoff_s * 2**job.n_failures
            job.n_failures += 1
            waiting.append(job)
            yield Retried(job.task.partition, message.message)
        else:
            assert isinstance(message, Committed | Failed)
            yield message

    def _after_death(self, worker: _Worker, job: _Job, waiting: list[_Job]) -> Event:
        why = worker.stopped_for or f"its process ended with {_exit_words(worker.process.exitcode)}"
        message = f"{job.task.stage}/{job.task.partition}: {why}"
        job.n_deaths += 1
        if job.n_deaths > _DEATHS_ALLOWED:
            return Poisoned(job.task.partition, f"{message}, {job.n_deaths} times; nothing of it was kept")
        waiting.append(job)
        return Retried(job.task.partition, message)

    def _wind_down(self, interrupts: _Interrupts) -> Iterator[Event]:
        end = time.monotonic() + self.settings.grace_s
        while self._busy() and time.monotonic() < end and interrupts.n < 2:  # a second Ctrl-C abandons at once
            for worker, message in self._listen():
                if not isinstance(message, int):
                    worker.task = None
                if isinstance(message, Committed):
                    yield message
        for worker in self._busy():
            worker.process.kill()
            worker.process.join()
            worker.task = None


class _Interrupts:
    """Counts SIGINT and SIGTERM instead of raising: an exception in the middle of a pipe message would break it."""

    def __init__(self) -> None:
        self.n = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> _Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._count)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _count(self, number: int, frame: object) -> None:
        self.n += 1


def _resident_bytes(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")  # mapped files can be dropped at will


def _exit_words(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    return f"signal {signal.Signals(-code).name}"
