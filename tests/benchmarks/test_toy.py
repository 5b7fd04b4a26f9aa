"""Every benchmark runs at toy size and prints its figures; whether goals hold is not tested."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))


def test_there_are_benchmarks() -> None:
    assert {"filter", "ledger", "models", "readers", "screen", "shard"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_runs_and_prints_its_ratios(name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "BENCH_SIZE": "toy", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", f"tests.benchmarks.bench_{name}"]
    # Benchmarks write under their working directory.
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-2000:]
    written = json.loads((tmp_path / "build" / "bench-toy" / f"{name}.json").read_text())
    ratios = [row["ratio"] for row in written["rows"] if row["ratio"] is not None]
    assert ratios and all(ratio > 0 for ratio in ratios)
    assert written["goals"] and "ratio" in found.stdout
