"""`make train-detector`: train detectors of remote sensing images on a user's folder."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from flows.ask.report import say
from flows.detector.digests import Digests, contradictions, read_used, write_used
from flows.detector.evaluation import Overlap, find_overlap
from flows.detector.examples import Example, count_passed_over, find_examples, find_short_folders
from flows.detector.learners import Learner, Lite0Learner, YoloLearner
from flows.detector.manifest import LABELS
from flows.detector.measure import area_under_curve
from flows.detector.page import PAGE, write_pages
from flows.detector.training import N_NAMED, Prepared, Trained, prepare, train
from flows.options import NO_EVALUATION
from stages.contamination.sets import find_sets
from stages.contract import InputError
from stages.models.own_weights import METRICS
from stages.models.weights import DIGESTS, file_digest
from stages.models.yolo_detector import WEIGHTS
from stages.plurals import briefly, counted

NAMES = {"lite0": "rs-lite0", "yolo": "rs-detector"}
_LICENCES = {
    "lite0": "Weights of EfficientNet-Lite0: Apache-2.0; the head is yours, under the terms of the images.",
    "yolo": "ultralytics claims AGPL-3.0 for weights trained with it; the terms of the images also apply.",
}
_TELL_EVERY_S = 15.0
_POOR = 0.7  # share of right decisions on what was left out
_FEW = 100  # images of a label; two tenths of them are measured


def run_train_detector(options: argparse.Namespace, console: Console) -> int:
    """Train the requested detectors; print their folders and figures."""
    import torch

    torch.set_num_threads(options.n_threads)
    evaluation = Path(options.eval) if options.eval and options.eval != NO_EVALUATION else None
    if evaluation:
        find_sets(evaluation)  # a wrong EVAL is refused before minutes of work
    examples = find_examples(Path(options.data))
    counts = Counter((example.label, example.source) for example in examples)
    listed = ", ".join(f"{label}/{source} {n}" for (label, source), n in sorted(counts.items()))
    say(console, f"{counted(len(examples), 'image')}: {listed}")
    if n_passed_over := count_passed_over(Path(options.data)):
        say(console, f"passed over, because of their endings: {counted(n_passed_over, 'file')}", "yellow")
    if short := find_short_folders(Path(options.data)):
        say(console, f"fewer images than n asks for, all are taken: {briefly(short, N_NAMED, '; ')}", "yellow")
    for label in LABELS:
        if (n := sum(example.label == label for example in examples)) < _FEW:
            few = f"label {label} has {counted(n, 'image')}, fewer than {_FEW}"
            say(console, f"{few}: the figures are uncertain, and the detector is poor. Add more", "yellow")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    started = time.monotonic()
    learners = _learners(options, device)
    _say_start(learners, options, console)
    prepared = prepare(examples, learners, _teller(console, len(examples), started))
    if prepared.not_read:
        named = briefly(prepared.not_read, N_NAMED, "; ")
        n_left_out = counted(len(prepared.not_read), "image")
        say(console, f"left out, because they cannot be read: {n_left_out} ({named}); all are in {METRICS}", "yellow")
    if both := contradictions(prepared.examples, prepared.digests):
        named = briefly(both, N_NAMED, "; ")
        say(console, f"the same image has both labels, keep one and train again: {named}", "yellow")
    overlap = find_overlap(evaluation, prepared.digests.hashes) if evaluation else None
    for learner in learners:
        say(console, f"training {NAMES[learner.name]}")
        trained = train(learner, prepared.examples, prepared.digests, is_leaving_sources_out=learner.name == "lite0")
        folder = Path(options.out) / NAMES[learner.name]
        _write(folder, learner, trained, prepared, overlap, options, started, console)
    return 0


def _learners(options: argparse.Namespace, device: str) -> list[Learner]:
    if options.start and options.model == "lite0":
        raise InputError(
            "START=… is the start of the YOLO classifier, but MODEL=lite0 trains none: leave one of them out"
        )
    chosen = [options.model] if options.model else list(NAMES)
    for name in chosen:
        if (Path(options.out) / NAMES[name] / WEIGHTS).exists():
            raise InputError(
                f"{Path(options.out) / NAMES[name]} has a detector already. Move it away, or name another folder: OUT=…"
            )
    start = Path(options.start) if options.start else None
    make: dict[str, Callable[[], Learner]] = {
        "lite0": lambda: Lite0Learner(device=device),
        "yolo": lambda: YoloLearner(device=device, start=start, n_epochs=options.epochs),
    }
    return [make[name]() for name in chosen]


def _say_start(learners: Sequence[Learner], options: argparse.Namespace, console: Console) -> None:
    """Say which weights the YOLO classifier starts from."""
    for learner in learners:
        if isinstance(learner, YoloLearner) and learner.n_start_classes:
            n = learner.n_start_classes
            head = "" if n == len(LABELS) else f"; its last layer, of {n:,} classes, is replaced by a new one of two"
            say(console, f"{NAMES[learner.name]} starts from {options.start}, at {learner.input_px} px{head}")


def _teller(console: Console, n: int, started: float) -> Callable[[int], None]:
    last = [started]

    def advance(n_done: int) -> None:
        now = time.monotonic()
        if now - last[0] > _TELL_EVERY_S or n_done == n:
            last[0] = now
            left = (now - started) / n_done * (n - n_done)
            say(
                console,
                f"  {n_done:,} of {n:,} images seen, {n_done / (now - started):.1f} a second, {left:,.0f} s left",
            )

    return advance


def _write(
    folder: Path, learner: Learner, trained: Trained, prepared: Prepared,
    overlap: Sequence[Overlap] | None, options: argparse.Namespace, started: float,
    console: Console,
) -> None:  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    learner.save(trained.model, folder, {"threshold": trained.metrics["threshold"]})
    digest = file_digest(folder / WEIGHTS)
    (folder / DIGESTS).write_text(f"{digest}  {WEIGHTS}\n", encoding="utf-8")
    facts = {
        "name": folder.name,
        "sha256": digest,
        "data": str(options.data),
        "not_read": list(prepared.not_read),
        "seconds": round(time.monotonic() - started),
        "licence": _LICENCES[learner.name],
        "evaluation": None if overlap is None else [one.facts(trained.parts) for one in overlap],
        "baseline_auc": round(_guess_from_sizes(prepared.examples, prepared.sizes, trained), 4),
    }
    start = Path(options.start) if options.start else None
    write_used(folder, trained.parts, prepared.examples, prepared.digests, start)
    write_pages(folder, trained, prepared.examples, facts)
    found = trained.metrics
    kept, refused = found["kept_rs"], found["refused_other"]
    say(
        console,
        f"{folder}: area under the curve {found['auc']:.4f} of {found['n']} unseen images; at {found['threshold']:.3f}"
        f" {kept['share']:.1%} of remote sensing is kept ({kept['low']:.1%} to {kept['high']:.1%}) and"
        f" {refused['share']:.1%} of others refused ({refused['low']:.1%} to {refused['high']:.1%})",
    )
    _say_left_out(found, console)
    if start:
        _say_seen_before(start, prepared.digests.take(trained.test.tolist()), console)
    say(console, f"  look at {folder / PAGE}")
    say(
        console,
        f'  use it with SET="outliers.detector={folder.name} outliers.rule=absolute outliers.min_detector_prob=stated'
        f' outliers.models={folder.parent}"',
    )


def _say_seen_before(start: Path, measured: Digests, console: Console) -> None:
    """Warn if the detector's start has seen images that it is measured on, or if that is not known."""
    used = read_used(start)
    if used is None:
        say(console, f"  {start} lists no training images: some of the unseen ones may be among them", "yellow")
    elif n_seen := int(used.find(measured).sum()):
        seen = f"{n_seen:,} of {counted(len(measured.files), 'unseen image')}"
        say(console, f"  {start} was trained on {seen}, so the figures are too good. Begin without START", "yellow")


def _say_left_out(found: Mapping[str, Any], console: Console) -> None:
    """Say what the threshold was chosen on, and warn if the detector fails there."""
    left_out = found["classes_left_out"]
    kept, refused = (left_out[name]["share"] for name in ("kept_rs", "refused_other"))
    say(console, f"  the threshold was chosen on what was left out of training in five folds: {found['left_out']}")
    if min(kept, refused) < _POOR:
        say(
            console,
            f"  of these, {kept:.1%} of remote sensing is kept and {refused:.1%} of others refused: the detector fails"
            " on what it was not trained on, and the threshold means little. Add classes and images",
            "yellow",
        )


def _guess_from_sizes(examples: Sequence[Example], sizes: npt.NDArray[np.float64], trained: Trained) -> float:
    """Return the test split's AUC of a logistic regression on size and aspect alone."""
    from flows.detector.head import fit_head

    is_test = np.array([part == "test" for part in trained.parts])
    inputs = np.log(sizes).astype(np.float32)
    known = [example for example, test in zip(examples, is_test, strict=True) if not test]
    head = fit_head(inputs[~is_test], known)
    is_rs = np.array([example.is_rs for example in examples])
    return area_under_curve(is_rs[is_test], head.probabilities(inputs[is_test]))
