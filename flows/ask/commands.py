"""The commands that inspect a build or write what it has: tables, explain, show, fates, compare, card and others."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from rich.console import Console

from flows.ask.compare import compare
from flows.ask.compare_release import compare_release
from flows.ask.dataset import OUTLIERS, PAGE, all_reports, publish_dataset
from flows.ask.explain import explain
from flows.ask.fates import write_fates
from flows.ask.picture import write_picture
from flows.ask.release_metadata import write_release_metadata
from flows.ask.report import say
from flows.ask.status import failures, status_report
from flows.card.files import CARD, FACTS
from flows.card.identity import build_id, unfinished
from flows.corpora.draft import next_steps, write_draft
from flows.corpora.peek import peek_file
from flows.ledger.lease import hold_lease
from flows.ledger.ledger import Ledger
from flows.ledger.store import Store
from flows.opening import open_existing, sources_of
from flows.options import MEMORY, command_again, make_word, parse, remember, settings_of
from flows.settings import Settings, render_settings
from schemas.tables import EVALUATION_IMAGE, EVALUATION_KEYPOINTS
from stages import STAGES
from stages.collector import collector_paused
from stages.contamination.shared import write_shared
from stages.contract import InputError, Reads
from stages.plurals import briefly, counted


def run_tables(options: argparse.Namespace, console: Console) -> None:
    """Print all tables of a build."""
    _, ledger = open_existing(options)
    for report in all_reports(ledger):
        report.show(console)


def run_show(options: argparse.Namespace, console: Console) -> None:
    """Write the picture of a sample to a file."""
    _, ledger = open_existing(options)
    path, what = write_picture(ledger, options.sample_id, sources_of(options, ledger), options.out)
    say(console, f"{path}: {what}")


def run_report(options: argparse.Namespace, console: Console) -> None:
    """Write the two pages of a build, finished or not."""
    from flows.page.outliers import write_outliers  # import PIL and jinja2, which other commands do without
    from flows.page.page import write_page

    _, ledger = open_existing(options)
    path = options.out or ledger.store.root / PAGE
    beside = path.with_name(OUTLIERS)
    if path == beside:
        raise InputError(f"{path}: expected another name for the report, because {OUTLIERS} is written beside it")
    sources = sources_of(options, ledger)
    waiting = write_page(ledger, sources, path)
    if waiting:
        say(console, f"left out, because not computed yet: {', '.join(waiting)}", "yellow")
    for note in write_outliers(ledger, sources, beside):
        say(console, f"{OUTLIERS}: {note}", "yellow")
    say(console, f"{path}: {path.stat().st_size / 1e6:.1f} MB, open it in a browser")
    say(console, f"{beside}: {beside.stat().st_size / 1e6:.1f} MB, to move the thresholds of outliers and look")


def run_peek(options: argparse.Namespace, console: Console) -> int:
    """Print the first rows of a source file; return 1 if some of it cannot be read."""
    has_damage = False
    for line, style in peek_file(options, settings_of(options)):
        say(console, line, style)
        has_damage |= style == "red"
    return int(has_damage)


def run_new_corpus(options: argparse.Namespace, console: Console) -> None:
    """Write a draft manifest and print the next steps."""
    path = write_draft(options.code, options.file)
    sources, build = options.sources or Path("SOURCES"), options.build or Path("build") / options.code
    profile = "paper" if options.profile == "demo" else options.profile  # a demo generates its corpora
    for line in next_steps(options.code, options.file, path, profile, sources, build):
        say(console, line)


def run_explain(options: argparse.Namespace, console: Console) -> None:
    """Print a sample's fate."""
    _, ledger = open_existing(options)
    for line in explain(ledger, options.sample_id, sources_of(options, ledger)):
        say(console, line)


def run_status(options: argparse.Namespace, console: Console) -> None:
    """Print the state of every stage."""
    with collector_paused():  # to the end: a collection while printing would walk all receipts
        _, ledger = open_existing(options)
        status_report(ledger).show(console)
        for name, message in failures(ledger):
            say(console, f"failed: {name}: {message.strip().splitlines()[-1]}", "red")


def run_fates(options: argparse.Namespace, console: Console) -> None:
    """Write the fates."""
    _, ledger = open_existing(options)
    counts = write_fates(ledger, options.out)
    by_fate = ", ".join(f"{n:,} {fate}" for fate, n in sorted(counts.items()))
    say(console, f"{options.out}: {counted(sum(counts.values()), 'sample')}, {by_fate}")


def run_compare(options: argparse.Namespace, console: Console) -> None:
    """Print which rows of a list a build keeps, or how its images relate to those of a release."""
    settings, ledger = open_existing(options)
    if options.release is not None:
        for report in compare_release(ledger, options.release, options.out, partial(_open_other, settings)):
            report.show(console)
        say(console, f"every released sample: {options.out}")
        return
    found = compare(ledger, options.compared or options.metafile, options.out)
    for report in (found.lost, found.kept):
        report.show(console)
    for note in found.passed_over:
        say(console, note, "yellow")
    say(console, f"every listed row: {options.out}")


def _open_other(settings: Settings, build: Path) -> Ledger:
    """Return the ledger of another build, by the settings it was made with, or by given ones if it has no record."""
    if not (build / MEMORY).exists():
        return Ledger(Store(build), STAGES, settings)
    return open_existing(parse(["status", "--build", str(build)]))[1]


def run_release_metadata(options: argparse.Namespace, console: Console) -> None:
    """Write the metadata from which others can make the dataset again."""
    _, ledger = open_existing(options)
    n_rows, n_labelled, n_lost = write_release_metadata(ledger, options.out)
    how, more = f"make rebuild {make_word('from', options.out)}", ""
    if n_labelled:
        how += " SOURCES=…"
        more = f"; SOURCES is a folder with the corpora of the {counted(n_labelled, 'labelled image')}"
    say(console, f"{options.out}: {counted(n_rows, 'sample')}, no images")
    say(console, f"`{how}` makes the dataset again{more}")
    if n_lost:
        say(console, f"a rebuild lacks samples without a URL or a source file: {counted(n_lost, 'sample')}", "yellow")


def run_eval_hashes(options: argparse.Namespace, console: Console) -> None:
    """Write the hashes and keypoints of the build's evaluation sets into one file."""
    _, ledger = open_existing(options)
    stage = ledger.writer[EVALUATION_IMAGE.name]
    state = ledger.state(stage)
    if not state.is_complete or not state.receipts:
        raise InputError("the build has no evaluation sets: run `make stage-contamination EVAL=…` first")
    described = ledger.state(ledger.writer[EVALUATION_KEYPOINTS.name])
    if not described.is_complete:
        raise InputError("the evaluation sets are not described yet: run `make stage-contamination` first")
    rows, keypoints = (
        ledger.read(Reads(table.name, tuple(table.schema.names), is_whole=True))
        for table in (EVALUATION_IMAGE, EVALUATION_KEYPOINTS)
    )
    write_shared(rows, keypoints, options.out)
    n_sets = len(rows["evaluation_set"].unique())
    what = "hashes and keypoints" if keypoints.num_rows else "hashes"
    say(console, f"{options.out}: {what} of {rows.num_rows:,} pictures of {n_sets} evaluation sets; EVAL= reads them")


def run_card(options: argparse.Namespace, console: Console) -> int:
    """Bring the dataset folder up to date; return 1 if the build is unfinished and has no card."""
    _, ledger = open_existing(options)
    with hold_lease(ledger.store.root, command_again(options), partial(say, console)):
        remember(options)
        folder = publish_dataset(ledger, sources_of(options, ledger))
    if lacking := unfinished(ledger):
        some = briefly(lacking, 3)
        say(console, f"no card: {some} not finished, run `make build`. So far: {folder / FACTS}", "red")
        return 1
    say(console, f"card: {folder / CARD} (build {build_id(ledger)[:12]})")
    return 0


def run_config(options: argparse.Namespace, console: Console) -> None:
    """Print the settings."""
    print(render_settings(settings_of(options), STAGES))
