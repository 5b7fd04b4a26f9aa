from pathlib import Path

import pytest

from flows.preflight import machine
from flows.preflight.machine import Gpu, find_gpus, parse_gpus, visible

TWO = "NVIDIA H200, 143771\nTesla T4, 15360\n"


def test_gpus_are_read_from_nvidia_smi() -> None:
    sizes = [(gpu.name, round(gpu.memory_gb or 0)) for gpu in parse_gpus(TWO)]
    assert sizes == [("NVIDIA H200", 151), ("Tesla T4", 16)]
    assert parse_gpus("\nNo devices were found\n") == []


@pytest.mark.parametrize("size", ["[N/A]", "[Not Supported]", ""])
def test_a_gpu_may_have_no_memory_of_its_own(size: str) -> None:
    assert parse_gpus(f"NVIDIA GB10, {size}\n") == [Gpu("NVIDIA GB10", None)]


@pytest.mark.parametrize(
    ("script", "chosen", "why"),
    [
        ("echo no driver >&2; exit 9", None, "nvidia-smi failed with status 9: no driver"),
        ("exec sleep 5", None, "nvidia-smi gave no answer within 0.05 s"),
        ("exit 0", None, "nvidia-smi names none"),
        ("echo Tesla T4, 15360", "", 'CUDA_VISIBLE_DEVICES = "" hides them'),
        (None, None, "there is no nvidia-smi"),
    ],
)
def test_the_reason_for_no_gpu_is_the_true_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, chosen: str | None, why: str
) -> None:
    if script is not None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin" if script else str(tmp_path))
    monkeypatch.setattr(machine, "_ANSWER_S", 0.05 if "sleep" in (script or "") else 60.0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    found = find_gpus()
    assert (list(found.found), found.why_none) == ([], why)


def test_only_visible_gpus_count() -> None:
    gpus = [Gpu("a", 1), Gpu("b", 2)]
    assert visible(gpus, None) == gpus
    assert visible(gpus, "") == [] and visible(gpus, "-1") == []
    assert visible(gpus, "1") == [gpus[1]] and visible(gpus, "1,7") == [gpus[1]]
    assert visible(gpus, "GPU-0123") == gpus[:1]
