"""The memory and GPUs of this machine, found without importing libraries that would use either."""

from __future__ import annotations

import os
import re
from itertools import chain
from pathlib import Path

from stages.process_times import process_times

_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_DEVICES = "CUDA_VISIBLE_DEVICES"


def memory_bytes() -> int:
    """Return the main memory of this machine, or of the container if that has less."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in map(Path, _CGROUP_LIMITS):
        text = path.read_text().strip() if path.exists() else ""
        found += [int(text)] if text.isdigit() else []  # "max" without a limit
    return min(found)


def gpu_devices(folder: Path = Path("/dev")) -> tuple[str, ...]:
    """Return the GPUs as CUDA names them: those that CUDA_VISIBLE_DEVICES allows, else all that are there."""
    allowed = os.environ.get(_DEVICES)
    if allowed is not None:
        return tuple(name.strip() for name in allowed.split(",") if name.strip() not in ("", "-1"))
    n_devices = sum(bool(re.fullmatch(r"nvidia\d+", path.name)) for path in folder.glob("nvidia*"))
    return tuple(str(number) for number in range(n_devices))  # CUDA counts from 0 whatever the files are called


def see_only(device: str) -> None:
    """Let this process see one GPU; torch must not be imported yet."""
    os.environ[_DEVICES] = device


def resident_bytes(pid: int) -> int:
    """Return the memory that a process holds, without mapped files, which can be dropped at will; 0 if it ended."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")


def family_cpu_s(pid: int) -> float:
    """Return the CPU time that a process and its children, and theirs, have used, in seconds; 0 if it ended."""
    own_s = sum(process_times(pid)) / os.sysconf("SC_CLK_TCK")
    return own_s + sum(family_cpu_s(child) for child in _children(pid))


def children_bytes(pid: int) -> int:
    """Return the memory that the children of a process hold, and theirs, as resident_bytes counts it."""
    return sum(resident_bytes(child) + children_bytes(child) for child in _children(pid))


def _children(pid: int) -> list[int]:
    try:  # each thread lists the children that it started
        lists = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for child in chain(*lists)]
