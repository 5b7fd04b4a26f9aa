"""The commands `preflight` and `weights`, and the check before `build`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from flows.ask.report import say
from flows.ledger.ledger import Ledger
from flows.ledger.store import Store
from flows.opening import open_build, sources_of
from flows.options import is_generated, make_word
from flows.preflight.check import find_gaps, needed_models
from flows.preflight.fetch import fetch_models
from flows.preflight.forecast import Forecaster
from flows.preflight.gaps import Gap
from flows.preflight.history import read_history
from flows.preflight.machine import Gpus, find_gpus
from flows.preflight.models import Digests, Need, needs_of
from flows.preflight.report import cost_lines, gap_lines, model_lines
from flows.preflight.stage_forecast import StageForecast
from flows.preflight.volumes import own_rows, shares_listed, shares_present
from stages import STAGES
from stages.contract import InputError, Reads
from stages.inventory.folders import chosen_codes
from stages.plurals import counted
from stages.readers.corpora import load_corpora

BENCH = Path("build") / "bench"
_BUDGET_S = 10.0  # for reading weight files whose digest is not remembered


@dataclass(frozen=True)
class Preflight:
    """The result of the check."""

    needs: Sequence[Need]
    gaps: Sequence[Gap]
    forecast: Sequence[StageForecast]
    gpus: Gpus
    n_unread: int


def run_preflight(options: argparse.Namespace, console: Console) -> int:
    """Print the models, the gaps and the expected costs of the build; return 2 if there is a gap."""
    _, ledger = open_build(options)
    found = look(ledger, sources_of(options, ledger), _weights_command(options))
    for lines in (
        model_lines(found.needs, found.gaps, found.gpus.found, found.n_unread),
        gap_lines(found.gaps),
        cost_lines(found.forecast, found.gpus.found),
    ):
        for text, style in lines:
            say(console, text, style)
        console.print()
    return 2 if found.gaps else 0


def run_weights(options: argparse.Namespace, console: Console) -> int:
    """Fetch the weights of a profile's models; if some are still missing, print how to get them and return 2."""
    settings, ledger = open_build(options)
    has_labelled = settings.params(STAGES[0]).halves == "both"  # type: ignore[attr-defined]
    unused = {table for table, half in ledger.halves.items() if half == "rs3" and not has_labelled}
    stages = [stage for stage in STAGES if not ledger.why_off(stage) and stage.writes.name not in unused]
    needs = [one for one in needs_of(settings, stages) if isinstance(one, Need)]
    is_whole = True
    for text, style in fetch_models(needs):
        say(console, text, style)
        is_whole &= style != "red"
    return 0 if is_whole else 2


def refuse_gaps(options: argparse.Namespace, console: Console, store: Store) -> dict[str, float]:
    """Refuse a build that would fail days from now because something is missing; the generated world lacks nothing.

    Args:
        options: of the command line.
        console: where to print.
        store: of the build; it keeps the receipts that are read here.

    Returns:
        Seconds that each stage still takes by the forecast; empty if the check is switched off or needless.

    Raises:
        InputError: there is a gap without which a stage fails; all such gaps are printed first.
    """
    if is_generated(options):
        return {}
    settings, ledger = open_build(options, store)
    sources = sources_of(options, ledger)
    if not settings.run.preflight or sources is None:  # without SOURCES nothing runs
        return {}
    if _is_done(ledger):  # many receipts take seconds to look through
        return {}
    found = look(ledger, sources, _weights_command(options))
    fatal = [gap for gap in found.gaps if gap.is_fatal]
    n_wanted = len(found.gaps) - len(fatal)
    if n_wanted:
        say(
            console,
            f"missing: {counted(n_wanted, 'file or tool', 'files or tools')} that this build does not need;"
            " `make preflight` names them",
            "yellow",
        )
    if fatal:
        for text, style in gap_lines(fatal):
            say(console, text, style)
        raise InputError(
            f"{counted(len(fatal), 'gap')} would stop this build later"
            f" ({', '.join(dict.fromkeys(gap.name for gap in fatal))})."
            " Fix them, or build anyway with SET='run.preflight=false'; single stages run by `make stage-…`"
        )
    return {one.stage: one.wall_s * one.share_left for one in found.forecast}


def _is_done(ledger: Ledger) -> bool:
    """Return whether every stage is complete for the share of the corpora that is wanted."""
    listing = STAGES[0]
    history = read_history(ledger.store.root, [listing])
    if not history or history[-1].pilot != ledger.settings.params(listing).pilot:  # type: ignore[attr-defined]
        return False
    try:
        return all(ledger.why_off(stage) or ledger.state(stage).is_complete for stage in STAGES)
    except InputError:
        return False  # a tool is missing: a gap


def look(ledger: Ledger, sources: Path | None, weights_command: str) -> Preflight:
    """Return all gaps of a build and the costs of the remaining work."""
    listing = ledger.settings.params(STAGES[0])
    known = load_corpora()
    chosen = chosen_codes(known, listing.corpora, listing.halves)  # type: ignore[attr-defined]
    corpora = {code: one for code, one in known.items() if not chosen or code in chosen}
    gpus = find_gpus()
    listed = Reads("source_listing", ("corpus", "path", "size_bytes", "sample_id", "pilot_share"), is_whole=True)
    shares = shares_present(
        sources, corpora, ledger.settings.profile, lambda: shares_listed(ledger.read(listed), corpora)
    )
    forecast = Forecaster(ledger, shares, len(gpus.found), BENCH, own_rows(sources, corpora, shares)).forecast()
    digests = Digests(_models_folder(ledger), _BUDGET_S)
    gaps = find_gaps(ledger, sources, corpora, forecast, gpus, digests, weights_command)
    digests.save()
    needs = [one for one in needed_models(ledger, forecast) if isinstance(one, Need)]
    return Preflight(needs, gaps, forecast, gpus, len(digests.unread))


def _models_folder(ledger: Ledger) -> Path:
    folders = [getattr(ledger.settings.resources(stage), "models", "") for stage in STAGES if stage.has_model]
    return Path(next((folder for folder in folders if folder), "models"))


def _weights_command(options: argparse.Namespace) -> str:
    return f"make weights {make_word('profile', options.profile or 'demo')}"
