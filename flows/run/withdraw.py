"""The command `withdraw`: take samples, URLs, hosts and images out of a build, and say which tars that changed."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.console import Console

from flows.ask.report import say
from flows.ask.tars import TABLES, published_tars, tar_digests
from flows.ask.views import open_views
from flows.card.identity import FINAL_MODULES, build_id
from flows.ledger.ledger import Ledger
from flows.ledger.receipt import read_receipt
from flows.opening import open_existing
from flows.run.commands import run_modules
from stages.contract import Reads, Stage
from stages.identity import digest_json
from stages.plurals import briefly, counted
from stages.withdraw.entries import read_entries

_SHOWN = 20


def run_withdraw(options: argparse.Namespace, console: Console) -> int:
    """Record the entries of a list, rewrite the tars that hold the named samples, and print these tars.

    In a build without tars the entries are only recorded: later commands apply them. A withdrawal that was interrupted
    is finished.

    Raises:
        InputError: the list cannot be read, or there is no build.
    """
    _, ledger = open_existing(options)
    entries = {value for _, value in read_entries(Path(options.list))}
    current, former_id = tar_digests(ledger), build_id(ledger)
    has_tars = bool(current) or was_interrupted(ledger)
    before = (published_tars(ledger.store.root) or current) if has_tars else {}
    try:
        ledger, _ = run_modules(options, console, ["withdraw", *FINAL_MODULES] if has_tars else ["withdraw"])
    except BaseException:
        if before:
            say(console, "not finished: the dataset still has the former tars, with what the list names", "red")
        raise
    ledger.refresh()
    for line in outcome(ledger, entries, before):
        say(console, line)
    if (identity := build_id(ledger)) and identity != former_id:
        say(console, f"the build's id is now {identity[:12]}" + (f", it was {former_id[:12]}" if former_id else ""))
    return 0


def was_interrupted(ledger: Ledger) -> bool:
    """Return whether tars were written by these settings, and nothing but their stages keeps them from being current.

    So a withdrawal leaves a build whose disk was full, or which was killed, once the entries are recorded.
    """
    if not all(ledger.state(stage).is_complete for stage in ledger.stages if stage.module not in FINAL_MODULES):
        return False
    layouts = ledger.settings.params(ledger.writer["shard"]).layouts  # type: ignore[attr-defined]
    return all(_has_run(ledger, ledger.writer[name]) for name in ("shard_plan", *(TABLES[one] for one in layouts)))


def _has_run(ledger: Ledger, stage: Stage) -> bool:
    """Return whether a receipt has the stage's version, parameters and tools, whatever its inputs were."""
    wanted = (stage.version, ledger.plain_params(stage), digest_json(ledger.tool_identities(stage)))
    bodies = (read_receipt(path) for path in ledger.store.root.glob(f"{stage.writes.name}/*/*/receipt.json"))
    return any(
        isinstance(body, dict) and (body["version"], body["params"], digest_json(body["tools"])) == wanted
        for body in bodies
    )


def outcome(ledger: Ledger, entries: set[str], before: Mapping[str, str]) -> Iterator[str]:
    """Yield what became of a list's entries, line by line.

    Args:
        ledger: the build, after the withdrawal.
        entries: values of the entries.
        before: sha256 of each tar with samples before it, by published path; empty if there was none.
    """
    n_known = ledger.read(Reads("withdrawal", ("entry",), is_whole=True)).num_rows
    n_read = counted(len(entries), "entry", "entries")
    yield f"{n_read} read; {n_known} recorded in this build, and applied by every later command"
    after = tar_digests(ledger)
    if not before and not after and any(any(ledger.store.root.glob(f"{table}/*/*/*.tar")) for table in TABLES.values()):
        yield (
            "the tars are of other settings or an earlier version, and no longer in the dataset: `make build` writes"
            " them anew, without what the entries name"
        )
        return
    if not before and not after:
        yield "no tars yet: withdrawn URLs are not requested, and what the entries name is not published"
        return
    with open_views(ledger, [ledger.writer["shard_plan"]]) as db:
        found = db.execute("SELECT detail, sample_id FROM shard_plan_rejects WHERE reason = 'withdrawn'").fetchall()
    n_by_entry = Counter(entry for entry, _ in found if entry in entries)
    if n_by_entry:
        yield f"{counted(n_by_entry.total(), 'sample')} withdrawn by {len(n_by_entry)} of the entries"
    others = sorted({sample_id for entry, sample_id in found if entry not in entries} & entries)
    if others:
        yield f"withdrawn by other entries before: {briefly(others, _SHOWN)}"
    missed = sorted(entries - n_by_entry.keys() - set(others))
    if missed:
        yield f"no sample to publish matches {counted(len(missed), 'entry', 'entries')}: {briefly(missed, _SHOWN)}"
    names = sorted(before.keys() | after.keys())
    changed = [name for name in names if before.get(name) != after.get(name)]
    yield f"new tars, {len(changed)} of {len(names)}: {briefly(changed, _SHOWN)}" if changed else "no tar has changed"
    if changed:
        yield "`make gc PURGE=yes` removes the former tars and destroys the fetched bytes, which the build still has"
        yield "what `make export` and `make report OUT=…` wrote before still has the images: write it again"
