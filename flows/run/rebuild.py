"""The command `rebuild`: make a published dataset again from its release metadata, and count the losses."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console

from flows.ask.compare import compare
from flows.ask.release_metadata import read_about
from flows.ask.report import Report, query_report, say
from flows.ask.views import open_views
from flows.ledger.ledger import Ledger
from flows.opening import open_existing
from flows.run.commands import run_build
from stages.plurals import counted
from stages.rows import parquet_sql


def run_rebuild(options: argparse.Namespace, console: Console) -> int:
    """Fetch, read the labelled corpora if given, compare and write the tars again; print losses by reason.

    Returns 1 as `run_build` does.

    Raises:
        InputError: the file is no release metadata.
    """
    path = Path(options.from_file).resolve()
    about = read_about(path)
    options.metafile = path
    own = stated_settings(path, about, has_sources=options.sources is not None)
    options.set = [*own, *(said for said in options.set if said not in own)]
    code = run_build(options, console)
    _, ledger = open_existing(options)
    lost = compare(ledger, path, options.out).lost
    replace(lost, title="stated samples, kept and lost").show(console)
    made_again(ledger, path).show(console)
    if options.sources is None and (n_labelled := count_labelled(path)):
        say(
            console,
            f"{counted(n_labelled, 'labelled image')} without a URL: name the folder with the corpora, SOURCES=…, to"
            " make them again too",
            "yellow",
        )
    say(console, f"every stated sample: {options.out}")
    return code


def stated_settings(path: Path, about: Mapping[str, Any], *, has_sources: bool) -> list[str]:
    """Return the overrides with which a build makes stated samples again.

    Args:
        path: the release metadata.
        about: the facts on its build, from `read_about`.
        has_sources: whether the labelled corpora are given too.
    """
    stated = json.dumps(str(path), ensure_ascii=False)
    own = [f"{module}.stated={stated}" for module in ("download", "geometa", "shard")]
    own.append(f"shard.n_shards={about['n_shards']}")
    if has_sources:
        rendered = [f"labelled.{name}={json.dumps(value)}" for name, value in about.get("labelled", {}).items()]
        own += ['inventory.halves="both"', f"labelled.stated={stated}", *rendered]
    return own


def count_labelled(path: Path) -> int:
    """Return how many stated samples are labelled images."""
    return int(pc.sum(pc.equal(pq.read_table(path, columns=["half"])["half"], "rs3")).as_py() or 0)


def made_again(ledger: Ledger, path: Path) -> Report:
    """Return how many stated samples of each corpus are published again, and with which bytes and text."""
    with open_views(ledger) as db:
        db.execute(f"CREATE TEMP VIEW stated AS FROM {parquet_sql([path])}")
        return query_report(
            db,
            "samples made again",
            """SELECT coalesce(s.corpus, 'Total') AS corpus, count(*) AS stated,
                      count(*) FILTER (m.published_sha256 = s.published_sha256 AND m.shard = s.shard
                                       AND m.published_text = s.published_text) AS identical,
                      count(*) FILTER (m.published_sha256 <> s.published_sha256) AS other_bytes,
                      count(*) FILTER (m.published_sha256 = s.published_sha256
                                       AND (m.shard <> s.shard OR m.published_text <> s.published_text))
                          AS other_text_or_tar,
                      count(*) FILTER (m.sample_id IS NULL) AS lost
               FROM stated s LEFT JOIN metafile m USING (sample_id)
               GROUP BY ROLLUP (s.corpus) ORDER BY s.corpus IS NULL, 1""",
        )
