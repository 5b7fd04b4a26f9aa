"""The command `withdraw`: take samples, URLs, hosts and images out of a build, and say which tars that changed."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.console import Console

from flows.ask.report import say
from flows.ask.tars import tar_digests
from flows.ask.views import open_views
from flows.ledger.ledger import Ledger
from flows.opening import open_existing
from flows.run.commands import run_modules
from stages.contract import Reads
from stages.withdraw.entries import read_entries

_SHOWN = 20


def run_withdraw(options: argparse.Namespace, console: Console) -> int:
    """Record the entries of a list, make anew the tars that hold what they name, and print the tars.

    Of a build without tars the entries are recorded alone: later commands apply them.

    Raises:
        InputError: the list cannot be read, or there is no build.
    """
    _, ledger = open_existing(options)
    entries = {value for _, value in read_entries(Path(options.list))}
    before = tar_digests(ledger)
    ledger, _ = run_modules(options, console, ["withdraw", "shard", "stats"] if before else ["withdraw"])
    ledger.refresh()
    for line in _lines(ledger, entries, before):
        say(console, line)
    return 0


def _lines(ledger: Ledger, entries: set[str], before: Mapping[str, str]) -> Iterator[str]:
    n_known = ledger.read(Reads("withdrawal", ("entry",), is_whole=True)).num_rows
    yield f"{len(entries)} entries read; {n_known} are recorded in this build, and applied by every later command"
    if not before:
        yield "no tars yet: withdrawn URLs are not requested, and what the entries name is not published"
        return
    with open_views(ledger, [ledger.writer["shard_plan"]]) as db:
        found = db.execute("SELECT detail, count(*) FROM shard_plan_rejects WHERE reason = 'withdrawn' GROUP BY detail")
        n_by_entry = {entry: n for entry, n in found.fetchall() if entry in entries}
    yield f"{sum(n_by_entry.values())} samples withdrawn by {len(n_by_entry)} of the entries"
    missed = sorted(entries - n_by_entry.keys())
    if missed:
        yield f"{len(missed)} entries name nothing that would be published: {_listed(missed)}"
    after = tar_digests(ledger)
    changed = sorted(name for name in before if before[name] != after.get(name))
    yield f"{len(changed)} of {len(before)} tars are new: {_listed(changed)}" if changed else "no tar has changed"
    if changed:
        yield "`make gc PURGE=yes` removes the former tars and destroys the fetched bytes, which the build still has"
        yield "folders that `make export` wrote before still have the images: export again"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
