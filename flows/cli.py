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

from rich.console import Console

from flows.compare import compare
from flows.dataset import module_reports, publish_dataset, statistics_for_people, tars
from flows.executor import Interrupted, LocalExecutor
from flows.fates import write_fates
from flows.garbage import collect_garbage
from flows.inspect import explain, failures, status_report
from flows.lease import LEASE, hold_lease
from flows.ledger import Ledger
from flows.mirror import mirrored
from flows.options import build_folder, command_again, given_sources, is_generated, parse, remember, settings_of
from flows.progress import Terminal
from flows.report import printable
from flows.runner import Runner, StageFailure
from flows.settings import Settings, render_settings
from flows.store import Store
from flows.verify import Fault, verify
from flows.world import GeneratedWorld
from stages import MODULES, STAGES
from stages.contract import ContractError, InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return the exit code."""
    options = parse(arguments)
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return int(COMMANDS[options.command](options, console) or 0)
    except InputError as error:
        _say(console, f"error: {error}", "red")
        return 2
    except OSError as error:
        # Whatever the system refuses outside of a partition: a full disk, a folder without the right to write.
        _say(console, f"error: {error.strerror}: {error.filename or build_folder(options)}", "red")
        return 2
    except (StageFailure, ContractError) as error:
        _say(console, f"error: {error}", "red")
        return 1
    except (Interrupted, KeyboardInterrupt):
        _say(console, f"stopped. What was finished stays finished; go on with: {command_again(options)}", "yellow")
        return 130


def run_demo(options: argparse.Namespace, console: Console) -> None:
    """Build everything and end with the tables and the tars."""
    run_build(options, console)
    _, ledger = _open(options)
    for module in MODULES:
        for report in module_reports(ledger, module)[:1]:
            report.show(console)
    _show_result(ledger, console)


def run_build(options: argparse.Namespace, console: Console) -> None:
    """Bring all modules up to date, publish the dataset."""
    _run_modules(options, console, MODULES)
    if options.command == "build":
        _show_result(_open(options)[1], console)


def run_stage(options: argparse.Namespace, console: Console) -> None:
    """Bring the stages of some modules up to date and print their tables."""
    _run_modules(options, console, options.modules)
    _, ledger = _open(options)
    for module in options.modules:
        for report in module_reports(ledger, module):
            report.show(console)
    if "stats" in options.modules:
        for report in statistics_for_people(ledger):
            report.show(console)
    _say(console, f"tables: {ledger.store.root / 'dataset' / 'tables'}")


def run_verify(options: argparse.Namespace, console: Console) -> int:
    """Print every fault; return 1 where there is one."""
    started = time.monotonic()
    _, ledger = _open_existing(options)
    faults = []
    with hold_lease(ledger.store.root, command_again(options), partial(_say, console)):
        try:
            for found in verify(ledger):
                if isinstance(found, Fault):
                    faults.append(found)
                    _say(console, f"FAULT {found.where}: {found.what}", "red")
                else:
                    _say(console, found)
        finally:
            if options.repair:
                _set_aside(ledger, faults, console)
    seconds = time.monotonic() - started
    if faults:
        advice = (
            "" if options.repair else "; `make verify REPAIR=yes` sets their receipts aside, the next run redoes them"
        )
        _say(console, f"{len(faults)} faults in {seconds:.1f} s{advice}", "red")
        return 1
    undone = [stage.name for stage in ledger.stages if not ledger.state(stage).is_complete]
    if undone:
        console.print(f"incomplete by the settings of profile {options.profile}: {', '.join(undone)} (`make status`)")
    else:
        console.print(f"verified in {seconds:.1f} s: every row is accounted for")
    return 0


def run_explain(options: argparse.Namespace, console: Console) -> None:
    """Print a sample's fate."""
    _, ledger = _open_existing(options)
    for line in explain(ledger, options.sample_id, _sources(options, ledger)):
        _say(console, line)


def run_status(options: argparse.Namespace, console: Console) -> None:
    """Print the state of every stage."""
    _, ledger = _open_existing(options)
    status_report(ledger).show(console)
    for name, message in failures(ledger):
        _say(console, f"failed: {name}: {message.strip().splitlines()[-1]}", "red")


def run_fates(options: argparse.Namespace, console: Console) -> None:
    """Write the fates."""
    _, ledger = _open_existing(options)
    counts = write_fates(ledger, options.out)
    told = ", ".join(f"{n:,} {fate}" for fate, n in sorted(counts.items()))
    _say(console, f"{options.out}: {sum(counts.values()):,} samples, {told}")


def run_compare(options: argparse.Namespace, console: Console) -> None:
    """Print what a build keeps of a list."""
    _, ledger = _open_existing(options)
    for report in compare(ledger, options.compared or options.metafile, options.out):
        report.show(console)
    _say(console, f"every listed row: {options.out}")


def run_gc(options: argparse.Namespace, console: Console) -> None:
    """Remove rubbish."""
    _, ledger = _open_existing(options)
    with hold_lease(ledger.store.root, command_again(options), partial(_say, console)):
        n_files, n_bytes, notes = collect_garbage(ledger, options.dry_run)
    for note in notes:
        _say(console, note)
    verb = "would be removed" if options.dry_run else "removed"
    console.print(f"{n_files:,} files, {n_bytes / 1e6:,.1f} MB {verb}")


def run_config(options: argparse.Namespace, console: Console) -> None:
    """Print the settings."""
    print(render_settings(settings_of(options), STAGES))


COMMANDS = {
    "demo": run_demo,
    "build": run_build,
    "stage": run_stage,
    "verify": run_verify,
    "explain": run_explain,
    "status": run_status,
    "fates": run_fates,
    "compare": run_compare,
    "gc": run_gc,
    "config": run_config,
}


def _run_modules(options: argparse.Namespace, console: Console, modules: Sequence[str]) -> None:
    settings, ledger = _open(options)
    build, command = ledger.store.root, command_again(options)
    terminal, say = Terminal(console), partial(_say, console)
    said = {"profile": Path(options.profile or "demo").stem, "build": str(build), "command": command}
    with (
        hold_lease(build, command, say),
        LocalExecutor(settings.run) as executor,
        mirrored(terminal, ledger, said, say) as watcher,
    ):
        remember(options)
        world = _world(options, ledger)
        if world is not None:
            world.make()
        sources = _sources(options, ledger)
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


def _open(options: argparse.Namespace) -> tuple[Settings, Ledger]:
    settings = settings_of(options)
    return settings, Ledger(Store(build_folder(options)), STAGES, settings)


def _open_existing(options: argparse.Namespace) -> tuple[Settings, Ledger]:
    build = build_folder(options)
    if not any((build / mark).exists() for mark in (LEASE, STAGES[0].writes.name)):
        raise InputError(f"{build} is no build folder: run `make build` first, or say which with BUILD=…")
    return _open(options)


def _world(options: argparse.Namespace, ledger: Ledger) -> GeneratedWorld | None:
    return GeneratedWorld(ledger.store.root / "world") if is_generated(options) else None


def _sources(options: argparse.Namespace, ledger: Ledger) -> Path | None:
    world = _world(options, ledger)
    if world is not None:
        return world.sources
    return given_sources(options)


def _say(console: Console, text: str, style: str = "") -> None:
    """Print a line as it is, without what would steer the terminal."""
    console.print(printable(text), style=style, markup=False)


def _set_aside(ledger: Ledger, faults: Sequence[Fault], console: Console) -> None:
    observed = {stage.writes.name for stage in ledger.stages if stage.keeps != "current"}
    for folder in sorted({fault.folder for fault in faults if fault.folder}):
        receipt = ledger.store.path(folder) / "receipt.json"
        if folder.split("/")[0] in observed:
            _say(console, f"left as it is: {folder} records what was seen and cannot be made again", "red")
            continue
        if receipt.exists():
            receipt.rename(receipt.with_name(f"receipt.json.set-aside-{int(time.time())}"))
            _say(console, f"set aside: {folder}")


def _show_result(ledger: Ledger, console: Console) -> None:
    for report in module_reports(ledger, "inventory")[1:]:
        report.show(console)  # what was left out must not be overlooked
    for report in statistics_for_people(ledger):
        report.show(console)
    dataset = ledger.store.root / "dataset"
    for name in sorted(tars(ledger)):
        _say(console, str(dataset / name))
    _say(console, f"metafiles: {dataset / 'metafiles'}   tables: {dataset / 'tables'}")


if __name__ == "__main__":
    os.environ.setdefault("DO_NOT_TRACK", "1")
    sys.exit(main())
