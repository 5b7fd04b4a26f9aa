"""Kill a decoding child that is awaited and uses no CPU time: it hangs, or was stopped.

Not for an image that takes too long: the child's own limit of CPU time rejects that.
"""

import contextlib
import subprocess
import threading
from collections.abc import Iterator

from stages.process_times import process_times

_LOOKS = 20  # at the child, within the time that it may be silent


class DecoderUnavailable(RuntimeError):
    """The child process does not start, or hangs without using CPU time; no image is at fault."""


class SilenceWatch:
    """A thread that watches one child until it is ended.

    Attributes:
        has_killed: whether the child was killed for its silence.
        silence_s: wall time in which an awaited child must use some CPU time.
    """

    def __init__(self, child: subprocess.Popen[bytes], silence_s: float) -> None:
        self.has_killed = False
        self.silence_s = silence_s
        self._child = child
        self._every_s = silence_s / _LOOKS
        self._n_awaited = 0
        self._is_awaited = False
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    @contextlib.contextmanager
    def awaiting(self) -> Iterator[None]:
        """Watch the child in the block, in which its answer is awaited."""
        self._n_awaited += 1
        self._is_awaited = True
        try:
            yield
        finally:
            self._is_awaited = False

    def end(self) -> None:
        """Watch no more."""
        self._ended.set()

    def _watch(self) -> None:
        last, n_alike = None, 0
        # Looks are counted, not seconds: if all processes were stopped together, no time has passed for the child.
        while not self._ended.wait(self._every_s):
            times = process_times(self._child.pid) if self._is_awaited else []
            now = (self._n_awaited, times) if times else None
            n_alike = n_alike + 1 if now is not None and now == last else 0
            last = now
            if n_alike >= _LOOKS:
                self.has_killed = True
                self._child.kill()
                return


def check_silence(watch: SilenceWatch | None) -> None:
    """Raise DecoderUnavailable if a child was killed for its silence."""
    if watch is not None and watch.has_killed:
        raise DecoderUnavailable(
            f"the decoding process used no CPU time for {watch.silence_s:g} s while an answer was awaited, and was"
            " killed"
        )
