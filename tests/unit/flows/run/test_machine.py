import os
from pathlib import Path

import pytest

from flows.run.machine import gpu_devices, memory_bytes, resident_bytes


def test_memory_is_at_most_that_of_the_machine(tmp_path: Path) -> None:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 100e6 < memory_bytes() <= total
    assert 1e6 < resident_bytes(os.getpid()) < total
    assert resident_bytes(2**22 + 1) == 0  # no process has this id


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
