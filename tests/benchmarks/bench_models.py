"""bench-models: images per second and memory of the stages with a model, for models of the published sizes.

Their weights are random (tests/benchmarks/model_folders.py), which costs the same as trained ones. Without a GPU the
demo's small models and the light detector are measured; with one, results on GPU and CPU are also compared.
"""

from __future__ import annotations

import hashlib
import io
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from schemas.fields import FIELD
from stages.caption.stage import DRAW_CAPTIONS, RANK_CAPTIONS
from stages.contract import Context, Outcome, Stage
from stages.embed.stage import EMBED, ModelResources
from stages.outliers.scores import SCORE_DETECTOR
from tests.benchmarks.harness import BENCH, Goal, Row, report, sized
from tests.benchmarks.model_floor import compare_with_floor
from tests.benchmarks.model_folders import write_folder

MODELS = BENCH / "models"
SIDE_PX, QUALITY = 512, 85
N_CANDIDATES, N_TOKENS = 20, 20  # published captions have 10 to 15 words
N_BODIES, N_COMPARED = sized(256, 8), sized(64, 4)
N_FLOOR = sized(2048 if torch.cuda.is_available() else 128, 4)

Setting = Mapping[str, object]
PUBLISHED: dict[str, Setting] = {
    "embed": {"model": "clip-convnext-xxl"},
    "score_detector": {"detector": "rs-detector"},
    "rank_captions": {"first_scorer": "clip-vit-h-14", "second_scorer": "clip-rn50x64"},
    "draw_captions": {"captioner": "blip2-opt-6.7b"},
}
DEMO: dict[str, Setting] = {
    "embed": {"model": "demo-clip"},
    "score_detector": {"detector": "demo-yolo"},
    "rank_captions": {"first_scorer": "demo-clip", "second_scorer": "demo-clip-2"},
    "draw_captions": {"captioner": "demo-blip2"},
}
LIGHT: Setting = {"detector": "rs-lite0"}
STAGES = (EMBED, SCORE_DETECTOR, RANK_CAPTIONS, DRAW_CAPTIONS)


class Bodies:
    """Image files in memory, in place of a stage's input files."""

    def __init__(self, n: int) -> None:
        rng = np.random.default_rng(0)
        self.bodies = [_jpeg(rng) for _ in range(n)]
        self.digests = [hashlib.sha256(body).hexdigest() for body in self.bodies]

    def read(self, address: str, offset: int, n_bytes: int) -> bytes:
        return self.bodies[offset]


def _jpeg(rng: np.random.Generator) -> bytes:
    """Return a JPEG of about 60 kB with large and small shapes."""
    coarse = Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)).resize((SIDE_PX, SIDE_PX))
    grain = rng.normal(0, 12, (SIDE_PX, SIDE_PX, 1))
    out = io.BytesIO()
    Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def rows_of(stage: Stage, files: Bodies, n: int) -> dict[str, pa.Table]:
    """Return the input tables of a stage for n images."""
    ids = [f"ben_{number:06d}" for number in range(n)]
    located = [
        {
            "sample_id": sample_id, "pixel_sha256": sample_id, "image_id": sample_id, "body_file": "memory",
            "body_offset": number % len(files.bodies), "n_bytes": len(files.bodies[number % len(files.bodies)]),
            "body_sha256": files.digests[number % len(files.bodies)], "image_format": "JPEG", "width_px": SIDE_PX,
            "height_px": SIDE_PX,
        }
        for number, sample_id in enumerate(ids)
    ]  # fmt: skip
    texts = [
        {"sample_id": sample_id, "n": k, "candidate_caption": f"an aerial view of field {number} with {k} trees"}
        for number, sample_id in enumerate(ids)
        for k in range(N_CANDIDATES)
    ]
    rows = {"picture": located, "labelled_image": located, "image": located, "caption_candidate": texts}
    return {
        reads.name: pa.Table.from_pylist(
            [{name: row[name] for name in reads.columns} for row in rows[reads.table]],
            pa.schema([(name, FIELD[name].type) for name in reads.columns]),
        )
        for reads in stage.reads
    }


@dataclass
class Bench:
    """A stage with its opened models, and images to process."""

    stage: Stage
    params: Any
    resources: ModelResources
    tools: Mapping[str, Any]
    files: Bodies

    def run(self, n: int, **changes: object) -> Outcome:
        """Run the stage over n images."""
        params, resources = _changed(self.params, changes), _changed(self.resources, changes)
        context = Context("p", params, resources, self.tools, self.files, Path())  # type: ignore[arg-type]
        return self.stage.run(rows_of(self.stage, self.files, n), context)

    def images_per_s(self, n: int, **changes: object) -> float:
        """Return the images per second over n images, with warm models."""
        started = time.perf_counter()
        outcome = self.run(n, **changes)
        taken = time.perf_counter() - started
        assert not outcome.rejects.num_rows, outcome.rejects.slice(0, 3).to_pylist()
        return n / taken


def _changed(settings: Any, changes: Mapping[str, object]) -> Any:
    known = type(settings).model_fields
    return settings.model_copy(update={name: value for name, value in changes.items() if name in known})


@contextmanager
def opened(stage: Stage, setting: Setting, files: Bodies, device: str) -> Iterator[Bench]:
    """Open a stage's models while the context lasts."""
    names = [str(name) for name in setting.values()]
    for name in names:
        if not name.startswith("demo"):
            write_folder(name, MODELS)
    changes = {"max_new_tokens": N_TOKENS} if stage is DRAW_CAPTIONS else {}
    params = stage.params(**setting, **changes)
    resources = ModelResources(models=str(MODELS), device=device)
    with ExitStack() as stack:
        tools = {tool.name: stack.enter_context(tool.open(params, resources)) for tool in stage.tools}
        yield Bench(stage, params, resources, tools, files)


# Stage, number of images to warm up and to time, and variants; the first variant is the default.
PLAN: tuple[tuple[Stage, int, int, tuple[Setting, ...]], ...] = (
    (EMBED, sized(256, 4), sized(1024, 8), ({}, {"loaders": 1})),
    (SCORE_DETECTOR, sized(64, 4), sized(2048, 8), ({}, {"loaders": 1})),
    (RANK_CAPTIONS, sized(32, 2), sized(96, 2), ({}, {"loaders": 1})),
    (DRAW_CAPTIONS, sized(8, 2), sized(32, 2), ({}, {"captioner_batch_size": 1}, {"captioner_batch_size": 8})),
)


def main() -> None:
    """Measure, print and write build/bench/models.json."""
    is_gpu = torch.cuda.is_available()
    names = sys.argv[1:] or [stage.name for stage in STAGES]
    if unknown := set(names) - {stage.name for stage in STAGES}:
        sys.exit(f"no stage with a model: {', '.join(sorted(unknown))}")
    settings = PUBLISHED if is_gpu else DEMO
    files = Bodies(N_BODIES)
    rows: list[Row] = []
    goals: list[Goal] = []
    for stage, n_warm, n, variants in PLAN:
        if stage.name in names:
            started = time.perf_counter()
            with opened(stage, settings[stage.name], files, "auto") as bench:
                opened_s = time.perf_counter() - started
                rows += measure(bench, settings[stage.name], n_warm, n, variants)
                goals.append(Goal(f"{stage.name}: rows that differ in a second run", differing(bench, n_warm), 0))
                if stage in (EMBED, SCORE_DETECTOR):
                    add_floor(bench, settings[stage.name], rows, goals)
            print(f"{stage.name}: written and opened in {opened_s:.0f} s", flush=True)
    if SCORE_DETECTOR.name in names:
        with opened(SCORE_DETECTOR, LIGHT, files, "auto") as bench:
            add_floor(bench, LIGHT, rows, goals)
    if is_gpu:
        goals += [compare_devices(stage, files) for stage in STAGES if stage.name in names]
    report("models", rows, goals)


def measure(bench: Bench, setting: Setting, n_warm: int, n: int, variants: tuple[Setting, ...]) -> list[Row]:
    """Return each variant's speed over the first one's, and its memory."""
    rows: list[Row] = []
    default = 0.0
    for changes in variants:
        bench.run(n_warm, **changes)
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        found = bench.images_per_s(n, **changes)
        default = default or found
        case = f"{bench.stage.name}, {' + '.join(map(str, setting.values()))}"
        varied = "".join(f", {name}={value}" for name, value in changes.items())
        rows.append(Row(case + varied, found, "images/s", default, found / default))
        print(f"{case}{varied}: {found:.1f} images/s", flush=True)
        if torch.cuda.is_available():
            rows.append(Row(case + varied, torch.cuda.max_memory_allocated() / 1e9, "GB on the GPU"))
    return rows


def add_floor(bench: Bench, setting: Setting, rows: list[Row], goals: list[Goal]) -> None:
    """Add the stage's time beside its floor's."""
    row, goal = compare_with_floor(bench, f"{bench.stage.name}, {' + '.join(map(str, setting.values()))}", N_FLOOR)
    rows.append(row)
    goals.append(goal)


def differing(bench: Bench, n: int) -> int:
    """Return how many rows differ between two identical runs."""
    return _differences(bench.run(n).kept, bench.run(n).kept)


def compare_devices(stage: Stage, files: Bodies) -> Goal:
    """Return how far the GPU results of the demo's models differ from the CPU results."""
    found = []
    for device in ("cpu", "cuda"):
        with opened(stage, DEMO[stage.name], files, device) as bench:
            found.append(bench.run(N_COMPARED).kept)
    if stage is DRAW_CAPTIONS:
        share = _differences(*found) / found[0].num_rows
        return Goal("draw_captions, demo: share of captions that differ between CPU and GPU", share, 0.005)
    column = {"embed": "image_feature", "score_detector": "detector_prob"}.get(stage.name, "second_score_cos")
    values = [np.array(table[column].to_pylist(), float) for table in found]
    furthest = float(np.nanmax(np.abs(values[0] - values[1])))
    return Goal(f"{stage.name}, demo: furthest that {column} is between CPU and GPU", furthest, 1e-3)


def _differences(one: pa.Table, other: pa.Table) -> int:
    return sum(a != b for a, b in zip(one.to_pylist(), other.to_pylist(), strict=True))


if __name__ == "__main__":
    main()
