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
from pathlib import Path

from rich.console import Console

from flows.dataset import funnel_for_people, funnel_report, module_reports, publish_dataset, tars
from flows.executor import Interrupted, LocalExecutor
from flows.inspect import collect_garbage, explain, failures, status_report, write_fates
from flows.lease import hold_lease
from flows.ledger import Ledger
from flows.progress import Terminal
from flows.runner import Runner, StageFailure
from flows.settings import Settings, load_settings, render_settings
from flows.store import Store
from flows.verify import Fault, verify
from flows.views import open_views
from flows.world import GeneratedWorld
from stages import MODULES, STAGES
from stages.contract import ContractError, InputError

EXAMPLES = """examples:
  python -m flows.cli demo
  python -m flows.cli build --profile demo --sources SOURCES --build build/mine
  python -m flows.cli stage dedup --profile demo --set dedup.max_distance=6
  python -m flows.cli stage download --profile paper --sources SOURCES --build BUILD --retry transient
  python -m flows.cli explain laion2b_0_12 --build build/demo
  python -m flows.cli fates --build build/demo --out fates.csv
  python -m flows.cli verify --build build/demo
  python -m flows.cli config --profile paper --set download.max_per_host=2

make targets with the same names take PROFILE=, SOURCES=, BUILD=, SET="key=value …", RETRY=, REFETCH=, ID=, OUT=.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return the exit code."""
    options = parse(arguments)
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return int(COMMANDS[options.command](options, console) or 0)
    except InputError as error:
        console.print(f"error: {error}", style="red", markup=False)
        return 2
    except (StageFailure, ContractError) as error:
        console.print(f"error: {error}", style="red", markup=False)
        return 1
    except (Interrupted, KeyboardInterrupt):
        console.print(
            f"stopped. What was finished stays finished; go on with: {_again(options)}", style="yellow", markup=False
        )
        return 130


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.cli",
        description="Rebuild RS5M, stage by stage, with every row accounted for.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("demo", "build the demo profile on the generated world and print its tables"),
        ("build", "bring all stages up to date and publish the dataset"),
        ("stage", "bring one stage up to date, or several, and print their tables"),
        ("verify", "check the whole build from its files"),
        ("explain", "print one sample's fate at every stage"),
        ("status", "print partitions done, stale, missing and failed"),
        ("fates", "write one row per candidate: who decided, and why"),
        ("gc", "remove files that no current receipt names"),
        ("config", "print all settings in full"),
    ):
        command = commands.add_parser(
            name, help=text, description=text, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        _add_options(command, name)
    return parser.parse_args(arguments)


def _add_options(command: argparse.ArgumentParser, name: str) -> None:
    command.add_argument("--profile", default="demo", help="a name under manifests/profiles, or a .toml file (demo)")
    command.add_argument("--build", type=Path, help="the build folder (build/<profile>)")
    command.add_argument("--sources", type=Path, help="folder with one folder per corpus; demo generates one")
    command.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override a setting; may be repeated"
    )
    if name == "stage":
        command.add_argument("modules", nargs="+", choices=MODULES, metavar="STAGE", help=", ".join(MODULES))
    if name in ("stage", "build", "demo"):
        command.add_argument("--retry", default="", choices=["", "transient"], help="fetch transient failures again")
        command.add_argument("--refetch", default="", help="fetch again what failed for these reasons, or all")
    if name == "explain":
        command.add_argument("sample_id")
    if name == "fates":
        command.add_argument("--out", type=Path, default=Path("fates.csv"), help="the CSV to write (fates.csv)")
    if name == "verify":
        command.add_argument("--repair", action="store_true", help="set damaged receipts aside, to be done again")
    if name == "gc":
        command.add_argument("--dry-run", action="store_true", help="only say what would go")


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
        with open_views(ledger) as db:
            funnel_for_people(funnel_report(db)).show(console)
    console.print(f"tables: {ledger.store.root / 'dataset' / 'tables'}", markup=False)


def run_verify(options: argparse.Namespace, console: Console) -> int:
    """Print every fault; return 1 where there is one."""
    started = time.monotonic()
    _, ledger = _open_existing(options)
    faults = []
    with hold_lease(ledger.store.root, _again(options), console.print):
        for found in verify(ledger):
            if isinstance(found, Fault):
                faults.append(found)
                console.print(f"FAULT {found.where}: {found.what}", style="red", markup=False)
            else:
                console.print(found, markup=False)
        if options.repair:
            _set_aside(ledger, faults, console)
    seconds = time.monotonic() - started
    if faults:
        advice = (
            "" if options.repair else "; `make verify REPAIR=yes` sets their receipts aside, the next run redoes them"
        )
        console.print(f"{len(faults)} faults in {seconds:.1f} s{advice}", style="red", markup=False)
        return 1
    console.print(f"verified in {seconds:.1f} s: every row is accounted for")
    return 0


def run_explain(options: argparse.Namespace, console: Console) -> None:
    """Print a sample's fate."""
    _, ledger = _open_existing(options)
    for line in explain(ledger, options.sample_id, _sources(options, ledger)):
        console.print(line, markup=False)


def run_status(options: argparse.Namespace, console: Console) -> None:
    """Print the state of every stage."""
    _, ledger = _open_existing(options)
    status_report(ledger).show(console)
    for name, message in failures(ledger):
        console.print(f"failed: {name}: {message.strip().splitlines()[-1]}", style="red", markup=False)


def run_fates(options: argparse.Namespace, console: Console) -> None:
    """Write the fates."""
    _, ledger = _open_existing(options)
    counts = write_fates(ledger, options.out)
    told = ", ".join(f"{n:,} {fate}" for fate, n in sorted(counts.items()))
    console.print(f"{options.out}: {sum(counts.values()):,} candidates, {told}", markup=False)


def run_gc(options: argparse.Namespace, console: Console) -> None:
    """Remove rubbish."""
    _, ledger = _open_existing(options)
    with hold_lease(ledger.store.root, _again(options), console.print):
        n_files, n_bytes, notes = collect_garbage(ledger, options.dry_run)
    for note in notes:
        console.print(note, markup=False)
    verb = "would be removed" if options.dry_run else "removed"
    console.print(f"{n_files:,} files, {n_bytes / 1e6:,.1f} MB {verb}")


def run_config(options: argparse.Namespace, console: Console) -> None:
    """Print the settings."""
    print(render_settings(_settings(options), STAGES))


COMMANDS = {
    "demo": run_demo,
    "build": run_build,
    "stage": run_stage,
    "verify": run_verify,
    "explain": run_explain,
    "status": run_status,
    "fates": run_fates,
    "gc": run_gc,
    "config": run_config,
}


def _run_modules(options: argparse.Namespace, console: Console, modules: Sequence[str]) -> None:
    settings, ledger = _open(options)
    build = ledger.store.root
    with hold_lease(build, _again(options), console.print), LocalExecutor(settings.run) as executor:
        world = _world(options, ledger)
        if world is not None:
            world.make()
        sources = _sources(options, ledger)
        terminal = Terminal(console)
        runner = Runner(
            ledger, executor, terminal, "stages:STAGES", sources or Path("SOURCES was not given"),
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


def _settings(options: argparse.Namespace) -> Settings:
    overrides = list(options.set)
    for name in ("retry", "refetch"):
        if getattr(options, name, ""):
            overrides.append(f'download.{name}="{getattr(options, name)}"')
    build = _build_folder(options)
    if len(overrides) > len(options.set):
        n_passes = len(Store(build).observations("fetch_pass", "open_pass"))
        overrides.append(f"download.asked_at_pass={n_passes}")
    if _is_generated(options):
        overrides.append("download.allow_loopback=true")
    return load_settings(options.profile, overrides, STAGES)


def _open(options: argparse.Namespace) -> tuple[Settings, Ledger]:
    settings = _settings(options)
    return settings, Ledger(Store(_build_folder(options)), STAGES, settings)


def _open_existing(options: argparse.Namespace) -> tuple[Settings, Ledger]:
    build = _build_folder(options)
    if not build.is_dir():
        raise InputError(f"{build} is no build folder: run `make build` first, or say which with BUILD=…")
    return _open(options)


def _build_folder(options: argparse.Namespace) -> Path:
    return Path(options.build or Path("build") / Path(options.profile).stem)


def _world(options: argparse.Namespace, ledger: Ledger) -> GeneratedWorld | None:
    return GeneratedWorld(ledger.store.root / "world") if _is_generated(options) else None


def _is_generated(options: argparse.Namespace) -> bool:
    return options.profile == "demo" and options.sources is None


def _sources(options: argparse.Namespace, ledger: Ledger) -> Path | None:
    world = _world(options, ledger)
    if world is not None:
        return world.sources
    return Path(options.sources) if options.sources is not None else None


def _set_aside(ledger: Ledger, faults: Sequence[Fault], console: Console) -> None:
    for folder in sorted({fault.folder for fault in faults if fault.folder}):
        receipt = ledger.store.path(folder) / "receipt.json"
        if receipt.exists():
            receipt.rename(receipt.with_name(f"receipt.json.set-aside-{int(time.time())}"))
            console.print(f"set aside: {folder}", markup=False)


def _show_result(ledger: Ledger, console: Console) -> None:
    with open_views(ledger) as db:
        funnel_for_people(funnel_report(db)).show(console)
    dataset = ledger.store.root / "dataset"
    for name in sorted(tars(ledger)):
        console.print(str(dataset / name), markup=False)
    console.print(f"metafiles: {dataset / 'metafiles'}   tables: {dataset / 'tables'}", markup=False)


def _again(options: argparse.Namespace) -> str:
    """Return the make command that does the same again."""
    targets = [f"stage-{m}" for m in options.modules] if options.command == "stage" else [options.command]
    words = [f"make {' '.join(targets)}"]
    if options.command != "demo":
        words.append(f"PROFILE={options.profile}")
    if options.sources is not None:
        words.append(f"SOURCES={options.sources}")
    if options.build is not None:
        words.append(f"BUILD={options.build}")
    if options.set:
        words.append(f"SET='{' '.join(options.set)}'")
    return " ".join(words)


if __name__ == "__main__":
    os.environ.setdefault("DO_NOT_TRACK", "1")
    sys.exit(main())
