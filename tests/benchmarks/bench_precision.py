"""bench-precision: how many decisions of the outlier filter differ in half precision, and on another device.

Pictures are generated, or those of a folder (IMAGES=…); models are the demo's, or SCORER=… and DETECTOR=… of
manifests/models.toml in MODELS=…. A decision is an image kept or refused at the published shares of its own scores.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from flows.demo.world.drawings import KINDS
from flows.settings import load_settings
from schemas.manifests import MANIFESTS, load_prompts
from stages import STAGES
from stages.models.open_clip_scorer import OpenClipScorer
from stages.models.opening import find_model
from stages.models.transformers_scorer import TransformersScorer
from stages.models.yolo_detector import YoloDetector
from stages.outliers.scores import mean_direction
from stages.outliers.stage import RuleParams, quantile_threshold
from tests.benchmarks.harness import Goal, Row, report, sized

N_PICTURES, AT_ONCE = sized(2000, 12), 32
MAX_FLIPPED = 0.005  # of the decisions
SEED, SIDE_PX = 7, 256

Scores = npt.NDArray[np.float64]
Scorer = Callable[[Sequence[Image.Image], str, str], Scores]  # pictures, device, precision


def main() -> None:
    """Measure, print and write build/bench/precision.json."""
    rule = load_settings("paper", ['download.contact="a@example.org"'], STAGES).by_stage["set_thresholds"][0]
    assert isinstance(rule, RuleParams)
    pictures = list(find_pictures())
    rows = [Row("pictures", len(pictures), "")]
    goals: list[Goal] = []
    scored = ("VLM", vlm_scores, rule.top_share_vlm), ("detector", detector_scores, rule.top_share_detector)
    for what, score, share in scored:
        exact, exact_s = timed(score, pictures, "cpu", "float32")
        for device, precision in variants():
            found, took_s = timed(score, pictures, device, precision)
            flipped = share_of_flips(exact, found, share)
            case = f"{what}, {precision} on {device}: decisions other than in float32 on a CPU"
            rows += [
                Row(case, 100 * flipped, "%"),
                Row(f"{what}, {precision} on {device}: largest difference over the deviation of the scores",
                    float(np.abs(exact - found).max()), "", float(exact.std()),
                    float(np.abs(exact - found).max() / exact.std())),
                Row(f"{what}, {precision} on {device}: time", took_s, "s", exact_s, took_s / exact_s),
            ]  # fmt: skip
            goals.append(Goal(f"share of {case}", flipped, MAX_FLIPPED))
    report("precision", rows, goals)


def variants() -> list[tuple[str, str]]:
    """Return devices and precisions to compare with float32 on a CPU."""
    halves = ["float16", "bfloat16"]
    if torch.cuda.is_available():
        return [("cuda", precision) for precision in ("float32", *halves)]
    return [("cpu", precision) for precision in halves]


def find_pictures() -> Iterator[Image.Image]:
    """Yield RGB pictures, generated or of IMAGES."""
    folder = os.environ.get("IMAGES")
    if not folder:
        kinds = sorted(KINDS)
        for n in range(N_PICTURES):
            yield KINDS[kinds[n % len(kinds)]](np.random.default_rng([SEED, n]), SIDE_PX, SIDE_PX)
        return
    endings = (".jpg", ".jpeg", ".png", ".tif", ".webp")
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in endings)
    for n in np.random.default_rng(SEED).permutation(len(paths))[:N_PICTURES]:
        yield Image.open(paths[n]).convert("RGB")


def timed(score: Scorer, pictures: Sequence[Image.Image], device: str, precision: str) -> tuple[Scores, float]:
    """Return scores, and the seconds that they and the loading of the model took."""
    started = time.perf_counter()
    found = score(pictures, device, precision)
    return found, time.perf_counter() - started


def share_of_flips(exact: Scores, found: Scores, share: float) -> float:
    """Return the share of images that are kept by one set of scores and refused by the other."""
    kept = [values >= quantile_threshold(values, share) for values in (exact, found)]
    return float(np.mean(kept[0] != kept[1]))


def vlm_scores(pictures: Sequence[Image.Image], device: str, precision: str) -> Scores:
    """Return the cosine of each picture with the mean of the published prompts."""
    name = os.environ.get("SCORER", "demo-clip")
    kind: Any = OpenClipScorer if find_model(name, "scorer").library == "open_clip" else TransformersScorer
    model = kind(_folder(name), device=device, precision=precision)
    direction = mean_direction(np.asarray(model.text_features(load_prompts().texts("published")), np.float32), "raw")
    features = np.concatenate([np.asarray(model.image_features(one), np.float32) for one in _batches(pictures, model)])
    return np.asarray(features @ direction / np.linalg.norm(features, axis=1), float)


def detector_scores(pictures: Sequence[Image.Image], device: str, precision: str) -> Scores:
    """Return the probability of remote sensing of each picture."""
    model = YoloDetector(_folder(os.environ.get("DETECTOR", "demo-yolo")), device=device, precision=precision)
    return np.concatenate([model.probabilities(one) for one in _batches(pictures, model)]).astype(float)


def _batches(pictures: Sequence[Image.Image], model: Any) -> Iterator[list[Any]]:
    for first in range(0, len(pictures), AT_ONCE):
        yield [model.prepare(picture) for picture in pictures[first : first + AT_ONCE]]


def _folder(name: str) -> Path:
    model = find_model(name)
    return MANIFESTS / model.folder if model.folder else Path(os.environ.get("MODELS", "models")) / name


if __name__ == "__main__":
    main()
