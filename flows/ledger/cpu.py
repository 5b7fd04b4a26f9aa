"""CPU time of this process and its children, for the `run` block of receipts and the forecasts made from them."""

from __future__ import annotations

import os
import time
from pathlib import Path

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


def _children() -> set[str]:
    lists = Path("/proc/self/task").glob("*/children")
    return {child for path in lists for child in _text(path).split()}


def _cpu_of(process: str) -> float:
    # The command's name may hold blanks and brackets: fields count from behind the last bracket.
    fields = _text(Path("/proc") / process / "stat").rpartition(")")[2].split()
    return sum(map(int, fields[_FIRST_TIME : _FIRST_TIME + 4])) / _TICKS_PER_S


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""  # it ended meanwhile: its time is among those that were waited for
