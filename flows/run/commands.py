"""The commands that run stages: demo, build, stage, inventory."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from flows.ask.damage import unreadable, warnings
from flows.ask.dataset import (
    OUTLIERS,
    PAGE,
    all_reports,
    module_reports,
    publish_dataset,
)
from flows.ask.dataset_folder import left_out, published_names
from flows.ask.report import say
from flows.ask.statistics import STATISTICS, statistics_for_people
from flows.ask.tars import layouts, tars
from flows.card.files import CARD
from flows.card.identity import build_id, unfinished
from flows.corpora.sources import has_corpus, holdings
from flows.corpora.sources_report import fault_of, render
from flows.ledger.lease import hold_lease
from flows.ledger.ledger import Ledger
from flows.ledger.store import Store
from flows.opening import open_build, sources_of, world_of
from flows.options import (
    build_folder,
    command_again,
    dropped_settings,
    is_generated,
    make_word,
    remember,
    resolved_paths,
    set_word,
)
from flows.preflight.commands import refuse_gaps
from flows.preflight.evaluation import check_evaluation, evaluation_of
from flows.run.executor import LocalExecutor
from flows.run.purge import count_waiting
from flows.run.runner import Runner, StageFailure
from flows.set_values import join_settings
from flows.watch.course import Course
from flows.watch.mirror import mirrored
from flows.watch.progress import Terminal
from flows.watch.ui import FLOW_RUN
from stages import MODULES, STAGES
from stages.contract import InputError
from stages.inventory.folders import check_chosen, no_folder
from stages.inventory.tree import is_below
from stages.plurals import counted
from stages.readers.corpora import load_corpora, manifest_faults

_UNDER = {"rs5m": "train/ and val/", "pairs": "pairs/"}
_SHOWN_AT_THE_END = ("PUB11 funnel", STATISTICS["pub11_rate"], "RS3")


def run_demo(options: argparse.Namespace, console: Console) -> int:
    """Build the demo, from nothing to the tars, and print the funnel; as `run_build`."""
    return run_build(options, console)


def run_build(options: argparse.Namespace, console: Console) -> int:
    """Bring all modules up to date, publish the dataset; return 1 if some of SOURCES cannot be read."""
    store = Store(build_folder(options))
    expected_s = refuse_gaps(options, console, store)
    ledger, n_run = run_modules(options, console, MODULES, expected_s, store)
    if n_run and not options.verbose:
        console.print()
        for report in module_reports(ledger, "inventory")[1:]:
            report.show(console)  # files passed over under SOURCES must not be overlooked
        for report in statistics_for_people(ledger):
            if report.title in _SHOWN_AT_THE_END:
                report.show(console)
    if options.verbose:
        for report in all_reports(ledger):
            report.show(console)
    return _show_result(ledger, options, console)


def run_stage(options: argparse.Namespace, console: Console) -> int:
    """Bring the stages of some modules up to date and print their tables; return 1 as `run_build` does."""
    ledger, _ = run_modules(options, console, options.modules)
    console.print()
    for module in options.modules:
        # The files passed over and the pictures that evaluation sets share must not be overlooked.
        has_all = options.verbose or module in ("inventory", "contamination")
        for report in module_reports(ledger, module)[: None if has_all else 1]:
            report.show(console)
    if "contamination" in options.modules and not evaluation_of(ledger.settings):
        say(
            console,
            "no evaluation set was named, so nothing was compared: give EVAL=…, a folder with one folder per set",
        )
    if "stats" in options.modules:
        for report in statistics_for_people(ledger):
            if options.verbose or report.title in _SHOWN_AT_THE_END:
                report.show(console)
    say(console, _where_tables_are(ledger, options))
    return _warn(ledger, options.modules, options, console)


def run_inventory(options: argparse.Namespace, console: Console) -> int:
    """Print how much of each corpus is under SOURCES, once it is listed and hashed; return 1 as `run_build` does."""
    _, ledger = open_build(options)
    sources, failure = sources_of(options, ledger), None
    if is_generated(options) or has_corpus(sources):
        try:
            run_modules(options, console, ["inventory"])
        except StageFailure as error:
            failure = error  # raised last: the report is true all the same
        ledger.refresh()
    for line, style in render(holdings(ledger, sources), sources):
        say(console, line, style)
    if failure is not None:
        raise failure
    if FLOW_RUN in os.environ and not (is_generated(options) or has_corpus(sources)):
        raise InputError(_no_corpus(sources))  # otherwise the flow run would show as completed
    return _warn(ledger, ["inventory"], options, console) if sources is not None else 0


def _no_corpus(sources: Path | None) -> str:
    if sources is None:
        return "SOURCES is not set, so no files are found"
    return f"SOURCES={sources} {fault_of(sources) or 'has no folder of a corpus (docs/corpora.md)'}"


def run_modules(
    options: argparse.Namespace,
    console: Console,
    modules: Sequence[str],
    expected_s: Mapping[str, float] | None = None,
    store: Store | None = None,
) -> tuple[Ledger, int]:
    """Bring modules up to date and return the build, and how many partitions were run.

    Args:
        options: of the command line.
        console: where to print.
        modules: their stages are run, in order.
        expected_s: seconds that stages were forecast to take, for the time left.
        store: of the build, if some of its receipts were read before.
    """
    settings, ledger = open_build(options, store)
    _refuse_inside_a_corpus(options)
    build, command = ledger.store.root, command_again(options)
    course = Course([stage for stage in STAGES if stage.module in modules], ledger.store, expected_s or {})
    terminal, tell = Terminal(console, course), partial(say, console)

    def tell_of_wait(text: str) -> None:
        ledger.store.forget_all()  # another run is at work: it makes receipts and sets some aside
        tell(text)

    with (
        hold_lease(build, command, tell_of_wait),
        LocalExecutor(settings.run) as executor,
        _shown(options, course, ledger, tell),
    ):
        if dropped := dropped_settings(options):
            tell(f"the last run had {set_word(dropped)} too; this run does not")
        world = world_of(options, ledger)
        if world is not None:
            if not world.is_made:
                say(
                    console,
                    f"making the generated world under {world.folder}: source files, images, a web server's faults",
                )
            world.make()
        sources = _checked_sources(options, ledger, modules)
        remember(options)  # not before they were checked: the next command would be given the same fault
        runner = Runner(
            ledger, executor, terminal, "stages:STAGES", sources or Path(),
            before_pass=world.serve if world is not None else lambda number: None,
        )  # fmt: skip
        try:
            runner.run(modules)
        finally:
            if world is not None:
                world.stop()
        before = published_names(build)
        publish_dataset(ledger, sources, tell)
        if (missing := left_out(before, published_names(build))) and unfinished(ledger):
            tell(f"later stages are not up to date: until the next `make build`, dataset/ lacks {', '.join(missing)}")
        if not terminal.n_run:
            console.print("nothing to do: every partition is current", style="bold")
    return ledger, terminal.n_run


def _refuse_inside_a_corpus(options: argparse.Namespace) -> None:
    """Raise InputError if BUILD is in a corpus's folder under SOURCES: its files would be listed as that corpus's."""
    if options.sources is None:
        return
    build = os.path.realpath(build_folder(options))
    for code in (*load_corpora(), *manifest_faults()):
        folder = Path(options.sources) / code
        if is_below(build, os.path.realpath(folder)):
            raise InputError(
                f"BUILD={build_folder(options)} is in the folder of the corpus {code} ({folder}), where its files would"
                " be taken for the corpus's: choose a folder elsewhere, such as BUILD="
                + shlex.quote(str(Path(options.sources) / "build"))
            )


def _checked_sources(options: argparse.Namespace, ledger: Ledger, modules: Sequence[str]) -> Path | None:
    """Return the SOURCES folder, if any.

    Raises:
        InputError: SOURCES is not given, is no folder or lacks a chosen corpus, or EVAL has a fault: now, not when
            other stages have run for hours.
    """
    if "contamination" in modules and (evaluation := evaluation_of(ledger.settings)):
        check_evaluation(evaluation)
    sources = sources_of(options, ledger)
    if sources is None and {"inventory", "filter"} & set(modules):
        raise InputError(
            "no corpora are named: give SOURCES=…, a folder with one folder per corpus (docs/corpora.md), or"
            " METAFILE=…, a list of RS5M; `make demo` needs neither"
        )
    if sources is not None and "inventory" in modules and not sources.is_dir():
        raise no_folder(sources, load_corpora())
    if sources is not None and "inventory" in modules:
        chosen = getattr(ledger.settings.params(ledger.writer["source_listing"]), "corpora", ())
        check_chosen(sources, load_corpora(), chosen, manifest_faults())
    return sources


def _shown(
    options: argparse.Namespace, course: Course, ledger: Ledger, tell: Callable[[str], None]
) -> contextlib.AbstractContextManager[None]:
    """Show the run in Prefect if a server is running; `inventory` is shown only if a flow has started it."""
    if options.command == "inventory" and FLOW_RUN not in os.environ:
        return contextlib.nullcontext()
    build = ledger.store.root
    flow = options.modules[0] if options.command == "stage" and len(options.modules) == 1 else "build"
    said = {**_parameters(options), "build": str(build.resolve()), "name": build.name, "flow": flow}
    course.lines.append(f"$ {command_again(options)}")
    return mirrored(course, ledger, {**said, "deployment": flow if _has_deployment(options) else ""}, tell)


def _has_deployment(options: argparse.Namespace) -> bool:
    """Return whether a deployment of `make ui` does the same: Retry on the run's page starts that."""
    is_target = options.command in ("demo", "build") or (options.command == "stage" and len(options.modules) == 1)
    return is_target and not getattr(options, "refetch", "")


def _parameters(options: argparse.Namespace) -> dict[str, str]:
    """Return the options as parameters of a flow, whose process may run in another folder."""
    given = {name: path for name, path in resolved_paths(options).items() if path}
    known = {"profile": options.profile or "demo", "set": join_settings(options.set)}
    return {**known, **given, "retry": getattr(options, "retry", "")}


def _warn(ledger: Ledger, modules: Sequence[str], options: argparse.Namespace, console: Console) -> int:
    """Print the faults of the sources; return 1 if a run looked at them and could not read some."""
    for sentence in warnings(ledger, modules, is_generated(options)):
        say(console, sentence, "red")
    return int("inventory" in modules and bool(unreadable(ledger)))


def _show_result(ledger: Ledger, options: argparse.Namespace, console: Console) -> int:
    dataset = ledger.store.root / "dataset"
    found = ", ".join(f"{len(tars(ledger, layout)):,} under {_UNDER[layout]}" for layout in layouts(ledger))
    if ledger.state(ledger.writer["shard"]).is_complete:
        in_tars = f"tars with samples: {found}; " if found else ""
        say(console, f"dataset: {dataset} ({in_tars}metafiles/, tables/)")
        say(console, f"report: {dataset / PAGE}, figures and pictures; {OUTLIERS} beside it moves thresholds")
    if identity := build_id(ledger):
        say(console, f"card: {dataset / CARD} (build {identity[:12]})")
        if n_waiting := count_waiting(ledger):
            held = counted(n_waiting, "body", "bodies")
            say(console, f"{held} of withdrawn or hash-listed images left: `make gc PURGE=yes` destroys them", "red")
    say(console, _where_tables_are(ledger, options))
    return _warn(ledger, MODULES, options, console)


def _where_tables_are(ledger: Ledger, options: argparse.Namespace) -> str:
    build = f" {make_word('build', options.build)}" if options.build is not None else ""
    return f"all tables: `make tables{build}`, or as CSV in {ledger.store.root / 'dataset' / 'tables'}"
