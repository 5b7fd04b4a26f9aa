"""The report of `make inventory`: per corpus the files found and published, its rights, and how to get the rest.

`flows/corpora/sources.py` finds these facts.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from flows.corpora.sources import Holding
from schemas.corpora import CORPUS_CODES
from schemas.corpus import Corpus
from stages.plurals import briefly, counted

WIDTH = 100  # columns of a terminal
_LABEL_WIDTH = 14
_SHOWN = 12  # files or runs of numbers


def render(found: Sequence[Holding], sources: Path | None) -> Iterator[tuple[str, str]]:
    """Yield the lines of the report with their style; the last is the total."""
    yield f"SOURCES={sources}" if sources is not None else "SOURCES is not set, so no files are found", "bold"
    if sources is not None and (fault := fault_of(sources)):
        yield fault, ""
    for holding in found:
        if holding.code == _first_other(found):
            yield "", ""
            yield "Others that can be read:", "bold"
        yield "", ""
        title = f"{holding.code:<11} {_title(holding)}"
        room = WIDTH - len(holding.state) - 1
        yield (
            f"{textwrap.shorten(title, room, placeholder='…') if len(title) > room else title:<{room}} "
            + (holding.state),
            "bold",
        )
        for label, text, style in _facts(holding):
            yield from ((line, style) for line in _wrap(label, text))
    yield "", ""
    yield summary(found), "bold"


def fault_of(sources: Path) -> str:
    """Return why SOURCES is no folder, "" if it is one."""
    if sources.is_dir():
        return ""
    state = "is not a folder: give one" if sources.exists() else "does not exist yet: make it,"
    return f"{state} with one folder per corpus, named by its code"


def _title(holding: Holding) -> str:
    if holding.corpus is not None:
        return holding.corpus.title
    return "its manifest has a fault" if holding.note else "no reader yet"


def summary(found: Sequence[Holding]) -> str:
    """Return a sentence on how many of RS5M's corpora are complete, partly there and missing."""
    ours = [holding.state for holding in found if holding.code in CORPUS_CODES]
    words = [f"{ours.count(state)} {state}" for state in ("complete", "partly there", "missing")]
    if unknown := ours.count("there"):
        words.insert(2, f"{unknown} there (published size unknown)")
    others = [holding.code for holding in found if holding.code not in CORPUS_CODES and holding.state != "missing"]
    return f"of {len(ours)} corpora: {', '.join(words)}" + (f"; others: {', '.join(others)}" if others else "")


def _first_other(found: Sequence[Holding]) -> str:
    return next((holding.code for holding in found if holding.code not in CORPUS_CODES), "")


def _facts(holding: Holding) -> Iterator[tuple[str, str, str]]:
    """Yield label, text and style of the report's lines on a corpus."""
    corpus = holding.corpus
    there = (
        f"{counted(holding.n_files, 'file')}, {_size(holding.n_bytes)}"
        if holding.n_files
        else holding.note or "nothing"
    )
    if holding.pilot_share < 1:
        there += f": a slice of {holding.pilot_share:.2%} (inventory.pilot)"
    if holding.companions:
        there += f"; beside it {briefly(holding.companions, _SHOWN)}"
    yield "there", there, ""
    if corpus is None:
        if not holding.note:
            yield "get it", "this version has no reader for it", ""
        return
    yield "published", _published(corpus), ""
    if holding.gone:
        yield "gone", f"{briefly(holding.gone, _SHOWN)}: listed before, and their rows stay in this build", "yellow"
    if holding.missing_parts:
        yield "missing", f"files number {_runs(holding.missing_parts)}", "yellow"
    for mismatch in holding.mismatches[:_SHOWN]:
        yield "sha256", str(mismatch), "red"
    if len(holding.mismatches) > _SHOWN:
        yield "sha256", f"… and {len(holding.mismatches) - _SHOWN} more files", "red"
    if corpus.is_withdrawn:
        yield "withdrawn", f"by its publisher; use instead: {corpus.replaced_by}", "yellow"
    yield "licence", f"of texts and tables: {corpus.annotation_licence}", ""
    yield "images", corpus.image_rights, ""
    if holding.state != "complete":
        yield "get it", corpus.how_to_get, ""


def _published(corpus: Corpus) -> str:
    words = [f"{corpus.n_rows_published:,} rows" if corpus.n_rows_published is not None else "rows not stated"]
    if corpus.n_files_published is not None:
        words.insert(0, counted(corpus.n_files_published, "file"))
    words.append(_size(corpus.n_bytes_published) if corpus.n_bytes_published is not None else "size not stated")
    return ", ".join(words)


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.2f} GB" if n_bytes >= 5_000_000 else f"{n_bytes:,} bytes"


def _runs(numbers: Sequence[int]) -> str:
    """Return ascending numbers as runs: 0, 3-7, 12."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return briefly([f"{first}-{last}" if last > first else str(first) for first, last in runs], _SHOWN)


def _wrap(label: str, text: str) -> list[str]:
    indent = " " * _LABEL_WIDTH
    return textwrap.wrap(
        re.sub(r"\s+", " ", text), WIDTH, initial_indent=f"  {label:<{_LABEL_WIDTH - 2}}", subsequent_indent=indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
