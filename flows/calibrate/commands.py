"""`make calibrate`: choose both outlier thresholds from labelled images, and write them as a profile."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console

from flows.ask.report import say
from flows.calibrate.labels import read_labels
from flows.calibrate.scores import score_images, stored_scores
from flows.calibrate.thresholds import NO_LIMIT, Scores, Thresholds, choose, cross_measure, measure
from flows.detector.digests import NONE, read_used
from flows.detector.examples import count_passed_over
from flows.detector.measure import Share
from flows.detector.used import detector_folder, say_used
from flows.opening import open_build, open_existing
from flows.options import make_word
from flows.settings import sections_of, toml_sections
from stages.contract import InputError
from stages.plurals import briefly, counted

_FEW = 100  # images per label; with fewer, Wilson's interval of 97 % is wider than 93 to 99 %
_TELL_EVERY_S = 15.0
_N_NAMED = 3  # unreadable files in a message
_SETTINGS = {"vlm": "min_vlm_score_cos", "detector": "min_detector_prob"}


def run_calibrate(options: argparse.Namespace, console: Console) -> int:
    """Print precision and recall of the chosen thresholds, and write a profile with them."""
    if not 0 < options.precision <= 1:
        raise InputError(f"PRECISION={options.precision:g}: expected a share from 0 to 1, such as 0.97")
    scores = _gather(options, console)
    if scores.is_rs.all() or not scores.is_rs.any():
        raise InputError(
            f"{scores.is_rs.sum():,} of {len(scores.is_rs):,} labelled images with a score are rs: label images of both"
            " kinds"
        )
    thresholds = choose(scores, options.precision)
    _report(scores, thresholds, options, console)
    _write(thresholds, options)
    values = [f"outliers.{name}={value:g}" for name, value in _values(thresholds).items()]
    say(console, f"{options.out}: a profile with them; use it with {make_word('profile', options.out)}")
    say(console, f'  or with SET="outliers.rule=absolute {" ".join(values)}"')
    return 0


def _gather(options: argparse.Namespace, console: Console) -> Scores:
    """Return the labelled images with their scores; images in files are scored here."""
    labels = read_labels(Path(options.labels))
    if n_passed_over := count_passed_over(Path(options.labels)):
        say(console, f"passed over, because of their endings: {counted(n_passed_over, 'file')}", "yellow")
    if missing := labels.missing:
        n_names = len(labels.is_rs) + len(labels.examples)
        raise InputError(
            f"{len(missing):,} of {n_names:,} names in {options.labels} look like files, but there are none:"
            f" {briefly(missing, _N_NAMED)}. Expected paths relative to the table's folder or the one above it"
        )
    _, ledger = open_existing(options) if labels.is_rs else open_build(options)
    folder = detector_folder(ledger)
    seen = read_used(folder) if folder else None
    found = []
    if labels.is_rs:
        stored = stored_scores(ledger, labels.is_rs, seen or NONE, len(labels.is_rs) + len(labels.examples))
        found.append(stored)
        without = f"; {stored.n_invalid:,} have no valid image" if stored.n_invalid else ""
        n_stored = f"{counted(len(stored.scores.names), 'picture')} with stored scores"
        say(console, f"{len(labels.is_rs):,} labelled names: {n_stored}{without}")
    if labels.examples:
        n = len(labels.examples)
        say(console, f"scoring {counted(n, 'image')} with the models of profile {options.profile}")
        scored = score_images(ledger, labels.examples, _teller(console, n), seen or NONE)
        if scored.not_read:
            named = f"{counted(len(scored.not_read), 'image')} ({briefly(scored.not_read, _N_NAMED, '; ')})"
            say(console, f"left out, because they cannot be read: {named}", "yellow")
        found.append(scored)
    if folder:
        say_used(folder, sum(one.n_seen for one in found), console)
    return _join([one.scores for one in found])


def _join(found: list[Scores]) -> Scores:
    columns = [[getattr(one, name) for one in found] for name in ("is_rs", "vlm", "detector")]
    joined = [None if values[0] is None else np.concatenate(values) for values in columns]
    names = [name for one in found for name in one.names]
    return Scores(names, *joined)  # type: ignore[arg-type]


def _teller(console: Console, n: int) -> Callable[[int], None]:
    last = [time.monotonic()]

    def advance(n_done: int) -> None:
        if time.monotonic() - last[0] > _TELL_EVERY_S:
            last[0] = time.monotonic()
            say(console, f"  {n_done:,} of {n:,}")

    return advance


def _report(scores: Scores, thresholds: Thresholds, options: argparse.Namespace, console: Console) -> None:
    n_rs, n = int(scores.is_rs.sum()), len(scores.is_rs)
    say(
        console,
        f"{n:,} labelled pictures, {n_rs:,} of remote sensing ({n_rs / n:.1%}); precision holds for such a mixture",
    )
    if min(n_rs, n - n_rs) < _FEW:
        say(console, f"fewer than {_FEW} of a label: label more, because the intervals are wide", "yellow")
    for name, value in (("vlm_score_cos", thresholds.vlm), ("detector_prob", thresholds.detector)):
        least = "no limit" if value in NO_LIMIT.values() else f"at least {value:.6f}" if value is not None else "off"
        say(console, f"  {name}: {least}")
    for where, shares in (
        ("on these images", measure(scores, thresholds.keeps(scores))),
        ("on images left out when choosing (five folds)", cross_measure(scores, options.precision)),
    ):
        words = "too few to tell" if shares is None else ", ".join(map(_words, shares))
        say(console, f"  {where}: {words}")


def _words(share: Share) -> str:
    low, high = share.interval
    return f"{share.name} {share.share:.1%} ({low:.1%} to {high:.1%}; {share.n_right:,} of {share.n:,})"


def _values(thresholds: Thresholds) -> dict[str, float]:
    found = {"vlm": thresholds.vlm, "detector": thresholds.detector}
    return {_SETTINGS[name]: value for name, value in found.items() if value is not None}


def _write(thresholds: Thresholds, options: argparse.Namespace) -> None:
    """Write the profile with the settings of SET and the thresholds."""
    sections = sections_of(options.profile, options.set)
    sections["outliers"] = {**sections.get("outliers", {}), "rule": "absolute", **_values(thresholds)}
    for name in ("top_share_vlm", "top_share_detector"):
        sections["outliers"].pop(name, None)
    about = f"Profile {options.profile} with thresholds for a precision of {options.precision:g}, by make calibrate."
    path = Path(options.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# {about}\n\n{toml_sections(sections)}", encoding="utf-8")
