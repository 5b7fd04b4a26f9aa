"""This machine: its GPUs, without importing torch (two seconds) or touching CUDA, and results of its benchmarks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_ANSWER_S = 10.0  # a driver that hangs must not hang the check


@dataclass(frozen=True)
class Gpu:
    """One GPU: its name and its total memory, GB; None if nvidia-smi states none, as where it is the main memory."""

    name: str
    memory_gb: float | None


@dataclass(frozen=True)
class Gpus:
    """The GPUs that this process may use, and the reason if there are none."""

    found: Sequence[Gpu]
    why_none: str = "nvidia-smi names none"


def find_gpus() -> Gpus:
    """Return the GPUs that this process may use by CUDA_VISIBLE_DEVICES, with nvidia-smi's names."""
    if not shutil.which("nvidia-smi"):
        return Gpus((), "there is no nvidia-smi")
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_ANSWER_S).stdout
    except subprocess.CalledProcessError as error:
        said = [*(error.stdout + error.stderr).strip().splitlines(), "nothing"][0]
        return Gpus((), f"nvidia-smi failed with status {error.returncode}: {said}")
    except subprocess.TimeoutExpired:
        return Gpus((), f"nvidia-smi gave no answer within {_ANSWER_S:g} s")
    except OSError as error:
        return Gpus((), f"nvidia-smi cannot be run: {error.strerror}")
    there, chosen = parse_gpus(answer), os.environ.get("CUDA_VISIBLE_DEVICES")
    found = visible(there, chosen)
    return Gpus(found, f'CUDA_VISIBLE_DEVICES = "{chosen}" hides them') if there and not found else Gpus(found)


def parse_gpus(lines: str) -> list[Gpu]:
    """Return the GPUs of nvidia-smi's lines `name, MiB`; in place of a number there may be `[N/A]`."""
    pairs = [line.rpartition(",")[::2] for line in lines.splitlines() if "," in line]
    return [Gpu(name.strip(), float(size) * 2**20 / 1e9 if size.strip().isdigit() else None) for name, size in pairs]


def visible(gpus: list[Gpu], chosen: str | None) -> list[Gpu]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES lists by number; all if it is unset or lists them in another way."""
    if chosen is None:
        return gpus
    words = [word.strip() for word in chosen.split(",") if word.strip()]
    if not all(word.lstrip("-").isdigit() for word in words):
        return gpus[: len(words)]
    return [gpus[int(word)] for word in words if 0 <= int(word) < len(gpus)]


def bench_rate(folder: Path, wanted: str) -> float | None:
    """Return seconds per row from a benchmark's result on this machine; None if it has not been run.

    Args:
        folder: of the results.
        wanted: `name: beginning of the case`.
    """
    name, _, case = wanted.partition(": ")
    try:
        rows = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["rows"]
    except (OSError, ValueError, KeyError):
        return None
    units = {"CPU s per 1 M rows": 1e-6, "CPU ms an image": 1e-3, "CPU ms a sample": 1e-3}
    found = [row for row in rows if row["case"].startswith(case) and row["unit"] in units]
    return float(found[0]["value"]) * units[found[0]["unit"]] if found else None
