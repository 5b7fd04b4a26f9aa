"""The command line: one subcommand per make target.

Exit codes: 0 done, 1 a fault or a failed partition, 2 wrong input or use, 130 stopped by the user.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from flows.ask.compare import compare
from flows.ask.damage import unreadable, warnings
from flows.ask.dataset import module_reports, publish_dataset, statistics_for_people, tars
from flows.ask.dictionary import assumptions_report
from flows.ask.fates import write_fates
from flows.ask.inspect import explain, failures, status_report
from flows.ask.report import say
from flows.corpora.draft import next_steps, write_draft
from flows.corpora.peek import peek_file
from flows.corpora.sources import has_corpus, holdings
from flows.corpora.sources_report import render
from flows.ledger.garbage import collect_garbage
from flows.ledger.lease import hold_lease
from flows.ledger.ledger import Ledger
from flows.ledger.verify import Fault, set_aside, verify
from flows.opening import open_build, open_existing, sources_of, world_of
from flows.options import build_folder, command_again, is_generated, parse, remember, settings_of
from flows.run.executor import Interrupted, LocalExecutor
from flows.run.runner import Runner, StageFailure
from flows.settings import render_settings
from flows.watch.mirror import mirrored
from flows.watch.progress import Terminal
from schemas.manifest_files import ManifestError
from stages import MODULES, STAGES
from stages.contract import ContractError, InputError
from stages.readers.corpora import manifest_faults


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return the exit code."""
    options = parse(arguments)
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for fault in manifest_faults().values():
            say(console, f"faulty manifest, so this corpus is not read: {fault}", "red")
        return int(COMMANDS[options.command](options, console) or 0)
    except (InputError, ManifestError) as error:
        say(console, f"error: {error}", "red")
        return 2
    except OSError as error:
        # Whatever the system refuses outside of a partition: a full disk, a folder without the right to write.
        say(console, f"error: {error.strerror}: {error.filename or build_folder(options)}", "red")
        return 2
    except (StageFailure, ContractError) as error:
        say(console, f"error: {error}", "red")
        return 1
    except (Interrupted, KeyboardInterrupt):
        say(console, f"stopped. What was finished stays finished; go on with: {command_again(options)}", "yellow")
        return 130


def leave(code: int) -> NoReturn:
    """End the process once its threads have ended; a further Ctrl-C ends it at once."""
    sys.stdout.flush()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(130))  # the interpreter's own end would abort beside threads
    sys.exit(code)


def run_demo(options: argparse.Namespace, console: Console) -> int:
    """Build everything and end with the tables and the tars; return 1 where some of SOURCES cannot be read."""
    run_build(options, console)
    _, ledger = open_build(options)
    for module in MODULES:
        for report in module_reports(ledger, module)[:1]:
            report.show(console)
    return _show_result(ledger, options, console)


def run_build(options: argparse.Namespace, console: Console) -> int:
    """Bring all modules up to date, publish the dataset; return 1 where some of SOURCES cannot be read."""
    _run_modules(options, console, MODULES)
    return _show_result(open_build(options)[1], options, console) if options.command == "build" else 0


def run_stage(options: argparse.Namespace, console: Console) -> int:
    """Bring the stages of some modules up to date and print their tables; return 1 as `run_build` does."""
    _run_modules(options, console, options.modules)
    _, ledger = open_build(options)
    for module in options.modules:
        for report in module_reports(ledger, module):
            report.show(console)
    if "stats" in options.modules:
        for report in statistics_for_people(ledger):
            report.show(console)
    say(console, f"tables: {ledger.store.root / 'dataset' / 'tables'}")
    return _warn(ledger, options.modules, options, console)


def run_inventory(options: argparse.Namespace, console: Console) -> int:
    """Print what is there of each corpus, once what is there is listed and hashed; return 1 as `run_build` does."""
    _, ledger = open_build(options)
    sources, failure = sources_of(options, ledger), None
    if is_generated(options) or has_corpus(sources):
        try:
            _run_modules(options, console, ["inventory"])
        except StageFailure as error:
            failure = error  # said last: the report tells of what is there all the same
        ledger.refresh()
    for line, style in render(holdings(ledger, sources), sources):
        say(console, line, style)
    if failure is not None:
        raise failure
    return _warn(ledger, ["inventory"], options, console) if sources is not None else 0


def run_peek(options: argparse.Namespace, console: Console) -> int:
    """Print the first rows of a source file; return 1 where some of it cannot be read."""
    has_damage = False
    for line, style in peek_file(options, settings_of(options)):
        say(console, line, style)
        has_damage |= style == "red"
    return int(has_damage)


def run_new_corpus(options: argparse.Namespace, console: Console) -> None:
    """Write the draft of a manifest and print the next steps."""
    path = write_draft(options.code, options.file)
    for line in next_steps(options.code, options.file, path):
        say(console, line)


def run_verify(options: argparse.Namespace, console: Console) -> int:
    """Print every fault; return 1 where there is one."""
    started = time.monotonic()
    _, ledger = open_existing(options)
    faults = []
    with hold_lease(ledger.store.root, command_again(options), partial(say, console)):
        try:
            for found in verify(ledger):
                if isinstance(found, Fault):
                    faults.append(found)
                    say(console, f"FAULT {found.where}: {found.what}", "red")
                else:
                    say(console, found)
        finally:
            if options.repair:
                for text, style in set_aside(ledger, faults):
                    say(console, text, style)
    seconds = time.monotonic() - started
    if faults:
        can_repair = not options.repair and any(fault.folder for fault in faults)
        advice = "; `make verify REPAIR=yes` sets their receipts aside, the next run redoes them" if can_repair else ""
        say(console, f"{len(faults)} faults in {seconds:.1f} s{advice}", "red")
        return 1
    undone = [stage.name for stage in ledger.stages if not ledger.state(stage).is_complete]
    if undone:
        console.print(f"incomplete by the settings of profile {options.profile}: {', '.join(undone)} (`make status`)")
    else:
        console.print(f"verified in {seconds:.1f} s: every row is accounted for")
    return 0


def run_explain(options: argparse.Namespace, console: Console) -> None:
    """Print a sample's fate."""
    _, ledger = open_existing(options)
    for line in explain(ledger, options.sample_id, sources_of(options, ledger)):
        say(console, line)


def run_status(options: argparse.Namespace, console: Console) -> None:
    """Print the state of every stage."""
    _, ledger = open_existing(options)
    status_report(ledger).show(console)
    for name, message in failures(ledger):
        say(console, f"failed: {name}: {message.strip().splitlines()[-1]}", "red")


def run_fates(options: argparse.Namespace, console: Console) -> None:
    """Write the fates."""
    _, ledger = open_existing(options)
    counts = write_fates(ledger, options.out)
    told = ", ".join(f"{n:,} {fate}" for fate, n in sorted(counts.items()))
    say(console, f"{options.out}: {sum(counts.values()):,} samples, {told}")


def run_compare(options: argparse.Namespace, console: Console) -> None:
    """Print what a build keeps of a list."""
    _, ledger = open_existing(options)
    for report in compare(ledger, options.compared or options.metafile, options.out):
        report.show(console)
    say(console, f"every listed row: {options.out}")


def run_gc(options: argparse.Namespace, console: Console) -> None:
    """Remove rubbish."""
    _, ledger = open_existing(options)
    with hold_lease(ledger.store.root, command_again(options), partial(say, console)):
        n_files, n_bytes, notes = collect_garbage(ledger, options.dry_run)
    for note in notes:
        say(console, note)
    verb = "would be removed" if options.dry_run else "removed"
    console.print(f"{n_files:,} files, {n_bytes / 1e6:,.1f} MB {verb}")


def run_config(options: argparse.Namespace, console: Console) -> None:
    """Print the settings."""
    print(render_settings(settings_of(options), STAGES))


COMMANDS = {
    "demo": run_demo,
    "build": run_build,
    "stage": run_stage,
    "inventory": run_inventory,
    "peek": run_peek,
    "new-corpus": run_new_corpus,
    "verify": run_verify,
    "explain": run_explain,
    "status": run_status,
    "fates": run_fates,
    "compare": run_compare,
    "gc": run_gc,
    "config": run_config,
}


def _run_modules(options: argparse.Namespace, console: Console, modules: Sequence[str]) -> None:
    settings, ledger = open_build(options)
    build, command = ledger.store.root, command_again(options)
    terminal, tell = Terminal(console), partial(say, console)
    said = {"profile": Path(options.profile or "demo").stem, "build": str(build), "command": command}
    with (
        hold_lease(build, command, tell),
        LocalExecutor(settings.run) as executor,
        mirrored(terminal, ledger, said, tell) as watcher,
    ):
        remember(options)
        world = world_of(options, ledger)
        if world is not None:
            world.make()
        sources = sources_of(options, ledger)
        if sources is None and {"inventory", "filter"} & set(modules):
            raise InputError("where are the corpora? Say SOURCES=…: a folder per corpus in it (README), or METAFILE=…")
        runner = Runner(
            ledger, executor, watcher, "stages:STAGES", sources or Path(),
            before_pass=world.serve if world is not None else lambda number: None,
        )  # fmt: skip
        try:
            for module in modules:
                runner.run_module(module)
        finally:
            if world is not None:
                world.stop()
        ledger.refresh()
        publish_dataset(ledger)
        if not terminal.n_run:
            console.print("nothing was to be done: every partition is current", style="bold")


def _warn(ledger: Ledger, modules: Sequence[str], options: argparse.Namespace, console: Console) -> int:
    """Print what is wrong with the sources; return 1 where a run looked at them and could not read some."""
    for sentence in warnings(ledger, modules, is_generated(options)):
        say(console, sentence, "red")
    return int("inventory" in modules and bool(unreadable(ledger)))


def _show_result(ledger: Ledger, options: argparse.Namespace, console: Console) -> int:
    for report in module_reports(ledger, "inventory")[1:]:
        report.show(console)  # what was left out must not be overlooked
    for report in (*statistics_for_people(ledger), assumptions_report(ledger.settings, ledger.stages)):
        report.show(console)
    dataset = ledger.store.root / "dataset"
    for name in sorted(tars(ledger)):
        say(console, str(dataset / name))
    say(console, f"metafiles: {dataset / 'metafiles'}   tables: {dataset / 'tables'}")
    return _warn(ledger, MODULES, options, console)


if __name__ == "__main__":
    os.environ.setdefault("DO_NOT_TRACK", "1")
    leave(main())
