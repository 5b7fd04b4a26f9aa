"""The command line: one subcommand per make target; also the console script `rs5m`.

Exit codes: 0 done, 1 a fault or a failed partition, 2 wrong input or use, 130 stopped by the user.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from flows.ask import commands as ask
from flows.ask import upkeep
from flows.ask.report import say
from flows.ledger.disk import ADVICE, free_gb, is_disk_full
from flows.ledger.writable import NotWritableError, is_refused
from flows.options import build_folder, command_again, in_full, parse
from flows.preflight import commands as preflight
from flows.run import commands as run
from flows.run.interrupts import Interrupted
from flows.run.rebuild import run_rebuild
from flows.run.runner import StageFailure
from flows.run.withdraw import run_withdraw
from flows.run.without_pandas import leave_pandas_out
from schemas.manifest_files import ManifestError
from stages.contract import ContractError, InputError
from stages.readers.corpora import manifest_faults


def _train_detector(options: argparse.Namespace, console: Console) -> int:
    from flows.detector.commands import run_train_detector  # imports torch and scipy, which other commands do without

    return run_train_detector(options, console)


def _calibrate(options: argparse.Namespace, console: Console) -> int:
    from flows.calibrate.commands import run_calibrate  # imports scipy

    return run_calibrate(options, console)


def _rate(options: argparse.Namespace, console: Console) -> int:
    from flows.rate.commands import run_audit, run_rate

    return (run_rate if options.command == "rate" else run_audit)(options, console)


def _export(options: argparse.Namespace, console: Console) -> None:
    from flows.export.commands import run_export

    run_export(options, console)


COMMANDS = {
    "demo": run.run_demo,
    "build": run.run_build,
    "preflight": preflight.run_preflight,
    "weights": preflight.run_weights,
    "stage": run.run_stage,
    "inventory": run.run_inventory,
    "peek": ask.run_peek,
    "new-corpus": ask.run_new_corpus,
    "tables": ask.run_tables,
    "status": ask.run_status,
    "explain": ask.run_explain,
    "show": ask.run_show,
    "report": ask.run_report,
    "fates": ask.run_fates,
    "compare": ask.run_compare,
    "release-metadata": ask.run_release_metadata,
    "rebuild": run_rebuild,
    "eval-hashes": ask.run_eval_hashes,
    "verify": upkeep.run_verify,
    "card": ask.run_card,
    "export": _export,
    "gc": upkeep.run_gc,
    "withdraw": run_withdraw,
    "rate": _rate,
    "audit": _rate,
    "config": ask.run_config,
    "train-detector": _train_detector,
    "calibrate": _calibrate,
}


class _Output(Console):
    """A console whose reader, such as head, may leave: the command goes on in silence, and its exit code stays true."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        _discard_output()


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return the exit code."""
    options = parse(arguments)
    console = _Output(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for fault in manifest_faults().values():
            say(console, f"faulty manifest, so this corpus is not read: {fault}", "red")
        return int(COMMANDS[options.command](options, console) or 0)
    except (InputError, ManifestError) as error:
        say(console, f"error: {in_full(str(error), options)}", "red")
        return 2
    except BrokenPipeError:  # of print, which only commands use that do no more
        _discard_output()
        return 0
    except (StageFailure, ContractError) as error:
        say(console, f"error: {in_full(str(error), options)}", "red")
        return 1
    except (Interrupted, KeyboardInterrupt):
        say(console, f"stopped. {_after_stop(options)}", "yellow")
        return 130
    except Exception as error:  # of the system, outside of a partition
        if is_disk_full(error):
            say(console, f"error: {_disk_full(options)}", "red")
        elif isinstance(error, OSError):  # such as a folder without write permission
            say(console, f"error: {_os_error(error, build_folder(options))}", "red")
        else:
            raise
        return 2


def _after_stop(options: argparse.Namespace) -> str:
    """Return what is left of a stopped command, and how to run it again."""
    again = command_again(options)
    if options.command in ("train-detector", "calibrate"):  # they have no partitions
        return f"What was computed is lost; start again with: {again}"
    if options.command == "weights":
        return f"Files fetched so far are kept, and one that is half there is continued with: {again}"
    return f"Finished partitions are kept; continue with: {again}"


def _os_error(error: OSError, build: Path) -> str:
    if is_refused(error, build):
        return str(NotWritableError(build, error))
    return f"{error.strerror}: {error.filename or build}"


def _disk_full(options: argparse.Namespace) -> str:
    """Return the message for a disk that filled while a command wrote to the build or to its OUT."""
    folders = [build_folder(options), *([options.out] if getattr(options, "out", None) else [])]
    return f"the disk filled ({', '.join(f'{free_gb(folder)} under {folder}' for folder in folders)}). {ADVICE}"


def leave(code: int) -> NoReturn:
    """End the process once its threads have ended; a further Ctrl-C ends it at once."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
    if "duckdb" not in sys.modules:  # its binding prints the objects that are left as leaks
        gc.freeze()  # half a second of `status` went into looking at all objects again
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(130))  # the interpreter's own end would abort beside threads
    sys.exit(code)


def prepare() -> None:
    """Prepare a process that runs one command and ends."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    leave_pandas_out()


def script() -> NoReturn:
    """Run the console script `rs5m`."""
    prepare()
    leave(main())


if __name__ == "__main__":
    script()
