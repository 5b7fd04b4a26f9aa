"""The commands that check and clean the files of a build: verify, gc."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from rich.console import Console

from flows.ask.report import say
from flows.ledger.garbage import collect_garbage
from flows.ledger.lease import hold_lease
from flows.ledger.ledger import Ledger
from flows.ledger.partition_check import Fault
from flows.ledger.verify import How, set_aside, verify
from flows.ledger.verify_progress import ProgressLine
from flows.ledger.writable import NotWritableError
from flows.opening import open_existing
from flows.options import command_again
from flows.run.purge import purge
from stages.contract import InputError
from stages.plurals import briefly, counted


def run_verify(options: argparse.Namespace, console: Console) -> int:
    """Print every fault; return 1 if there is one."""
    started = time.monotonic()
    settings, ledger = open_existing(options)
    faults, line = [], ProgressLine(sys.stderr)
    with ExitStack() as stack:
        is_writable = _is_leased(stack, ledger, options, console)
        how = How(settings.run.workers, options.quick, options.resume, is_writable, show=line.show)
        try:
            for found in verify(ledger, how):
                line.clear()
                if isinstance(found, Fault):
                    faults.append(found)
                    say(console, f"FAULT {found.where}: {found.what}", "red")
                else:
                    say(console, found)
        finally:
            line.clear()
            if options.repair:
                for text, style in set_aside(ledger, faults):
                    say(console, text, style)
    return _verdict(ledger, faults, options, console, time.monotonic() - started)


def _is_leased(stack: ExitStack, ledger: Ledger, options: argparse.Namespace, console: Console) -> bool:
    """Enter the lease and return True; if the build is a read-only archive, print that and return False.

    Raises:
        NotWritableError: the build cannot be written, and a repair would have to.
    """
    try:
        stack.enter_context(hold_lease(ledger.store.root, command_again(options), partial(say, console)))
    except NotWritableError:
        if options.repair:
            raise
        say(console, "the build cannot be written: verified without a lease, and RESUME=yes finds nothing", "yellow")
        return False
    return True


def _verdict(
    ledger: Ledger, faults: Sequence[Fault], options: argparse.Namespace, console: Console, seconds: float
) -> int:
    """Print the verdict of a verification and return the exit code."""
    if faults:
        can_repair = not options.repair and any(fault.folder for fault in faults)
        advice = (
            "; `make verify REPAIR=yes` sets their receipts aside, and the next run redoes them" if can_repair else ""
        )
        say(console, f"{counted(len(faults), 'fault')} in {seconds:.1f} s{advice}", "red")
        return 1
    undone = [stage.name for stage in ledger.stages if not ledger.state(stage).is_complete]
    if undone:
        some = briefly(undone, 5)
        say(console, f"incomplete by the settings of profile {options.profile}: {some} (`make status` lists all)")
    elif options.quick:
        console.print(f"sizes, receipts and schemas are right, in {seconds:.1f} s; no bytes and no rows were read")
    else:
        console.print(f"verified in {seconds:.1f} s: every row is accounted for")
    return 0


def run_gc(options: argparse.Namespace, console: Console) -> None:
    """Remove files that no current receipt names; with `purge`, then destroy bodies withdrawn or on a hash list."""
    _, ledger = open_existing(options)
    with hold_lease(ledger.store.root, command_again(options), partial(say, console)):
        if options.purge and options.dry_run:
            raise InputError("--purge has no --dry-run: `make fates` lists withdrawn samples")
        n_files, n_bytes, notes = collect_garbage(ledger, options.dry_run)
        for note in notes:
            say(console, note)
        verb = "would be removed" if options.dry_run else "removed"
        console.print(f"{counted(n_files, 'file')}, {n_bytes / 1e6:,.1f} MB {verb}")
        if options.purge:  # last: it needs space for a copy of the largest file
            for line in purge(ledger):
                say(console, line)
