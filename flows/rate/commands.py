"""`make rate` and `make audit`: draw a sample, serve its page until Ctrl-C, then write and print the figures."""

from __future__ import annotations

import argparse
from pathlib import Path
from urllib.parse import urlencode

from rich.console import Console

from flows.ask.report import say
from flows.detector.used import detector_folder, say_used
from flows.ledger.ledger import Ledger
from flows.opening import open_existing, sources_of
from flows.rate.labels import checked_rater, label_file, read
from flows.rate.questions import AUDITS, RATING, Task
from flows.rate.results import OUTLIER_LABELS, write_results
from flows.rate.sample import Drawn, Location, draw
from flows.rate.strata import rated_halves
from flows.rate.tables import outlier_labels, reports, unjudged_strata, unresolved_items
from stages.contract import InputError
from stages.plurals import counted


def run_rate(options: argparse.Namespace, console: Console) -> int:
    """Have captions rated."""
    _, ledger = open_existing(options)
    halves = rated_halves(ledger)
    half = options.half or next(iter(halves), "")
    if half not in halves:
        raise InputError(f"no caption of {half or 'either half'} in this build yet: run `make build` first")
    say(console, f"captions of {half}, each subset by its share of the build")
    return _run(RATING, f"rating {half}", ledger, options, console)


def run_audit(options: argparse.Namespace, console: Console) -> int:
    """Have the decisions of a stage audited."""
    _, ledger = open_existing(options)
    task = AUDITS[options.stage]
    return _run(task, task.name, ledger, options, console)


def _run(task: Task, name: str, ledger: Ledger, options: argparse.Namespace, console: Console) -> int:
    rater = checked_rater(options.rater) if options.rater else ""
    drawn = draw(ledger, name, options.n, options.seed, is_even=task is not RATING)
    if task is AUDITS["outliers"] and (folder := detector_folder(ledger)):
        say_used(folder, drawn.n_used, console)
    n_drawn = ", ".join(f"{s.name} {s.n_drawn:,} of {s.size:,}" for s in drawn.strata)
    say(console, f"{counted(len(drawn.items), 'item')}: {n_drawn}")
    if len(drawn.items) < options.n:
        say(console, f"the build has no more than {counted(len(drawn.items), 'item')}", "yellow")
    labels = label_file(ledger.store.root, task.name)
    if not options.results:
        _serve(task, drawn, labels, rater, ledger, options, console)
    _conclude(task, drawn, labels, ledger, console)
    if not options.results:
        say(console, f"stopped; every answer is kept in {labels}, and the same command goes on from there")
    return 0


def _serve(
    task: Task, drawn: Drawn, labels: Path, rater: str, ledger: Ledger, options: argparse.Namespace, console: Console
) -> None:
    """Serve the page until Ctrl-C."""
    from flows.rate.server import Desk, RatingServer

    sources = sources_of(options, ledger) or Path()

    def read_bytes(place: Location) -> bytes:
        if place.is_outside:
            return _read_whole(Path(place.file))
        return ledger.store.read_located(place.file, place.offset, place.n_bytes, sources)

    with RatingServer(Desk(task, drawn, labels, read_bytes), options.port) as server:
        own = f"{server.url}?{urlencode({'rater': rater})}" if rater else server.url
        say(console, f"{own} on this machine alone; every answer is stored at once in {labels}")
        say(console, f"{server.url} asks for a name: for each other rater. Ctrl-C ends it and prints the figures.")
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            say(console, "")


def _read_whole(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: the evaluation set was moved since it was compared") from error


def _conclude(task: Task, drawn: Drawn, labels: Path, ledger: Ledger, console: Console) -> None:
    """Write and print the figures of the answers so far."""
    known, n_unreadable = read(labels)
    names = {item.item for item in drawn.items}
    used = {key: judgement for key, judgement in known.items() if judgement.item in names}
    if n_unreadable:
        say(console, f"{labels}: left out, since unreadable: {counted(n_unreadable, 'line')}", "yellow")
    if len(used) < len(known):
        others = len(known) - len(used)
        say(
            console, f"{counted(others, 'judgement')} of items outside this sample (another N, seed or build)", "yellow"
        )
    if not used:
        say(console, "no item of this sample is judged yet", "yellow")
        return
    found = reports(task, drawn, used)
    for report in found.values():
        report.show(console)
    if task.note:
        say(console, f"note: {task.note}")
    is_audit = task is not RATING
    if is_audit and (empty := unjudged_strata(task, drawn, used)):
        say(console, f"rates stay empty until every stratum has an answer: {'; '.join(empty)}", "yellow")
    if is_audit and (open_items := unresolved_items(task, drawn, used)):
        why = "left out: raters disagree or were unsure"
        say(console, f"{counted(len(open_items), 'item')} {why}, such as {open_items[0]}", "yellow")
    n_judged = {r: sum(key[0] == r for key in used) for r in sorted({rater for rater, _ in used})}
    say(console, "judged: " + ", ".join(f"{rater} {n:,} of {len(drawn.items):,}" for rater, n in n_judged.items()))
    if task is AUDITS["outliers"]:
        found[OUTLIER_LABELS] = outlier_labels(task, drawn, used)
    for path in write_results(ledger.store.root, found):
        say(console, f"table: {path}")
