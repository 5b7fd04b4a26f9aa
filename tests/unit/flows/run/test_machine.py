import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.run.machine import children_bytes, family_cpu_s, gpu_devices, memory_bytes, resident_bytes


def test_memory_is_at_most_that_of_the_machine(tmp_path: Path) -> None:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 100e6 < memory_bytes() <= total
    assert 1e6 < resident_bytes(os.getpid()) < total
    assert resident_bytes(2**22 + 1) == 0  # no process has this id


def test_memory_of_children_is_counted_apart_from_that_of_their_parent() -> None:
    held = "import sys; held = bytearray(200_000_000); print(1, flush=True); sys.stdin.read()"
    own, before = resident_bytes(os.getpid()), children_bytes(os.getpid())
    with subprocess.Popen([sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline() == b"1\n"
        assert children_bytes(os.getpid()) - before > 200e6
        assert abs(resident_bytes(os.getpid()) - own) < 100e6
        child.communicate()
    assert children_bytes(os.getpid()) <= before and children_bytes(2**22 + 1) == 0


def test_cpu_time_of_running_children_counts() -> None:
    busy = "import time\nwhile time.process_time() < 0.5: pass\nprint(1, flush=True); input()"
    before = family_cpu_s(os.getpid())
    with subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline() == b"1\n"
        assert 0.4 < family_cpu_s(os.getpid()) - before < 20
        child.communicate()
    assert family_cpu_s(2**22 + 1) == 0


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [(None, ("0", "1")), ("", ()), ("-1", ()), ("1", ("1",)), ("GPU-8f2c, 3", ("GPU-8f2c", "3"))],
)
def test_gpus_are_those_that_exist_and_are_visible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: str | None, expected: tuple[str, ...]
) -> None:
    for name in ("nvidia3", "nvidia5", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if allowed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
    assert gpu_devices(tmp_path) == expected
