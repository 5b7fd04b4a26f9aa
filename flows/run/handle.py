"""A worker as its supervisor sees it, and how workers are started; here as child processes of this machine.

Not for judging a worker's silence or death: that is `flows/run/policy.py`. Another executor brings other `Hands`.
"""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Protocol

from flows.run.child import worker_main
from flows.run.machine import children_bytes, family_cpu_s, resident_bytes
from flows.run.worker import Committed, Failed, SignOfLife, Task

Message = SignOfLife | Committed | Failed | int
_END_S = 2.0  # for an idle worker to close its tools


class Handle(Protocol):
    """One worker: it serves one partition at a time, and says so."""

    def send(self, task: Task) -> None:
        """Give a partition to the worker; one that has died does not raise here: `receive` says so next."""

    def receive(self) -> Message | None:
        """Return the next message, of a handle that `Hands.wait` returned; None once the worker is gone.

        A number is the count of rows done so far; the first, 0, says that the partition was taken up.
        """

    def kill(self) -> None:
        """End the worker at once and wait until it is gone."""

    def dismiss(self) -> None:
        """Let an idle worker end."""

    def is_alive(self) -> bool:
        """Return whether the worker can still be given a partition."""

    def memory_bytes(self) -> int:
        """Return the main memory that the worker holds itself."""

    def children_bytes(self) -> int:
        """Return the main memory that processes of the worker hold, such as the one that decodes pictures."""

    def cpu_s(self) -> float:
        """Return the CPU time that the worker and its processes have used, in seconds."""

    def last_words(self) -> str:
        """Return how a worker that is gone has ended."""


class Hands(Protocol):
    """Starts workers and listens to them."""

    def start(self, device: str) -> Handle:
        """Start a worker that sees one GPU, "" for one that is given no model; it need not be ready."""

    def wait(self, handles: Sequence[Handle], timeout_s: float) -> Sequence[Handle]:
        """Return the handles that have something to receive, at the latest after some time."""


@dataclass
class ChildProcess:
    """A worker in a child process, at the other end of a pipe."""

    process: SpawnProcess
    pipe: Connection

    def send(self, task: Task) -> None:
        """Give a partition to the child."""
        with contextlib.suppress(BrokenPipeError):  # it died at its start: the end of the pipe says so next
            self.pipe.send(task)

    def receive(self) -> Message | None:
        """Return the next message; None once the child has closed the pipe."""
        try:
            message: Message = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return None
        return message

    def kill(self) -> None:
        """Kill the child; until it is gone it would look fit for the next partition."""
        self.process.kill()
        self.process.join()

    def dismiss(self) -> None:
        """Let an idle child close its tools and end, or kill it."""
        if self.process.is_alive():
            with contextlib.suppress(BrokenPipeError):
                self.pipe.send(None)
            self.process.join(_END_S)
        self.kill()

    def is_alive(self) -> bool:
        """Return whether the child runs or is stopped."""
        return self.process.is_alive()

    def memory_bytes(self) -> int:
        """Return the child's resident memory."""
        return resident_bytes(self.process.pid or 0)

    def children_bytes(self) -> int:
        """Return the resident memory of the child's own children."""
        return children_bytes(self.process.pid or 0)

    def cpu_s(self) -> float:
        """Return the CPU time of the child and its own children."""
        return family_cpu_s(self.process.pid or 0)

    def last_words(self) -> str:
        """Return the child's exit code or signal."""
        code = self.process.exitcode
        if code is None or code >= 0:
            return f"its process ended with exit code {code}"
        return f"its process ended with signal {signal.Signals(-code).name}"


@dataclass(frozen=True)
class ChildProcesses:
    """Starts child processes of this one.

    Attributes:
        n_threads: threads that libraries may use in each.
        beat_s: time between two signs of life, s.
    """

    n_threads: int
    beat_s: float

    def start(self, device: str) -> Handle:
        """Start a child."""
        context = mp.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=worker_main, args=(theirs, self.n_threads, device, self.beat_s))
        # A worker is deaf to Ctrl-C from its first moment: it inherits the mask.
        unmasked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unmasked)
        theirs.close()
        return ChildProcess(process, ours)

    def wait(self, handles: Sequence[Handle], timeout_s: float) -> Sequence[Handle]:
        """Return the children that have sent something or have died."""
        by_pipe = {handle.pipe: handle for handle in handles if isinstance(handle, ChildProcess)}
        return [by_pipe[pipe] for pipe in wait(list(by_pipe), timeout=timeout_s) if isinstance(pipe, Connection)]
