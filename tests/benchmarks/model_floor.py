"""Time of a stage with a model over its floor: bare decoding and forward pass; on a GPU the forward pass alone.

Not for the models' absolute speed: that is bench_models.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Protocol

import torch
from PIL import Image

from tests.benchmarks.harness import Goal, Pairs, Row, cpu_seconds, run_pairs, seconds, sized

N_PAIRS = sized(5, 1)
# Rates: at least .85 of 1 / (1 / decoding + 1 / forward) on a CPU, .9 of the forward pass on a GPU.
CPU_SHARE, GPU_SHARE = 0.85, 0.9


class Stepping(Protocol):
    """A stage with its opened models: `bench_models.Bench`."""

    tools: Any
    params: Any
    files: Any

    def run(self, n: int) -> Any:
        """Run the stage over n images."""


def compare_with_floor(bench: Stepping, case: str, n: int) -> tuple[Row, Goal]:
    """Return the time per image beside its floor's, and the goal of their ratio.

    On a CPU, CPU seconds are compared: they are what a machine with a worker per core has, whatever else runs on it.
    """
    is_gpu = torch.cuda.is_available()
    prepare, forward, size = _steps(bench)
    bodies = [bench.files.bodies[number % len(bench.files.bodies)] for number in range(n)]
    ready = [_decode(body, prepare) for body in bodies]

    def floor() -> None:
        prepared = ready if is_gpu else [_decode(body, prepare) for body in bodies]
        for start in range(0, n, size):
            forward(prepared[start : start + size])

    timed = seconds if is_gpu else cpu_seconds
    pairs: Pairs = run_pairs(lambda _: timed(lambda: bench.run(n)), lambda _: timed(floor), N_PAIRS)
    kind, share = ("forward pass", GPU_SHARE) if is_gpu else ("decoding and forward pass", CPU_SHARE)
    return pairs.row(f"{case}, over {kind}", "ms an image", 1000 / n), Goal(f"{case}: {kind}", pairs.ratio, 1 / share)


def _steps(bench: Stepping) -> tuple[Callable[[Image.Image], Any], Callable[[Any], Any], int]:
    """Return how an image is prepared, the forward pass of a batch, and the size of a batch."""
    if "scorer" in bench.tools:
        scorer = bench.tools["scorer"]
        return scorer.prepare, scorer.image_features, bench.params.batch_size
    detector = bench.tools["detector"]
    return detector.prepare, detector.probabilities, bench.params.detector_batch_size


def _decode(body: bytes, prepare: Callable[[Image.Image], Any]) -> Any:
    with Image.open(io.BytesIO(body)) as opened:
        return prepare(opened.convert("RGB"))
