"""CPU time of this process and its children, for the `run` block of receipts and the forecasts made from them."""

from __future__ import annotations

import os
import time

_READ_BYTES = 1 << 12  # the kernel gives at most a page at once
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_FIRST_TIME = 11  # utime, stime, cutime, cstime: fields 14 to 17 of proc(5), counted behind the command's name


def cpu_seconds() -> float:
    """Return the CPU time that this process and its children have used, in seconds.

    Children that run on, such as the one that decodes images, are read from /proc: times(2) counts only those that
    were waited for.
    """
    times = os.times()
    running = sum(_cpu_of(child) for child in _children())
    return time.process_time() + times.children_user + times.children_system + running


def _children() -> set[bytes]:
    # A child is listed under the thread that started it; the pools of libraries make dozens of threads.
    threads = os.listdir("/proc/self/task")  # noqa: PTH208
    return {child for thread in threads for child in _read(f"/proc/self/task/{thread}/children").split()}


def _cpu_of(process: bytes) -> float:
    # The command's name may hold blanks and brackets: fields count from behind the last bracket.
    fields = _read(f"/proc/{process.decode()}/stat").rpartition(b")")[2].split()
    return sum(map(int, fields[_FIRST_TIME : _FIRST_TIME + 4])) / _TICKS_PER_S


def _read(path: str) -> bytes:
    # Without pathlib and text files, which take three times as long: a file a thread, several times a partition.
    try:
        file = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, ProcessLookupError):
        return b""  # it ended meanwhile: its time is among those that were waited for
    try:
        whole = os.read(file, _READ_BYTES)
        while chunk := os.read(file, _READ_BYTES):
            whole += chunk
        return whole
    except ProcessLookupError:
        return b""
    finally:
        os.close(file)
