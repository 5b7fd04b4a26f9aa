"""Show the first rows of a source file as its reader sees them, before a corpus is filtered.

`explain` shows the samples of a build.
"""

from __future__ import annotations

import argparse
import difflib
import tempfile
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flows.ask.report import printable
from flows.settings import Settings
from schemas.corpora import known_codes
from schemas.corpus import Corpus
from schemas.tables import SOURCE_LISTING
from stages import STAGES
from stages.contract import Context, InputError, Stage, no_rejects
from stages.filter.stage import FILTER, choices_of
from stages.inventory.hashing import hash_files
from stages.inventory.stage import ListingParams, list_sources
from stages.labelled.stage import READ_LABELLED
from stages.readers.batch import Choices, Counted, Damage, SourceBatch, SourceFiles
from stages.readers.corpora import load_corpora, manifest_faults
from stages.readers.readers import count_source, read_source, reader_of

Line = tuple[str, str]  # text and style; unreadable rows are red
_WIDTH, _LABEL_WIDTH, _TEXT_SHOWN = 100, 28, 1000


def peek_file(options: argparse.Namespace, settings: Settings) -> Iterator[Line]:
    """Yield the lines that show the first rows of a source file, or the first samples of a labelled corpus's folder.

    Raises:
        InputError: the corpus is unknown, the file does not exist, or it needs a companion.
    """
    corpus = _corpus(options.corpus)
    if options.rows < 1 or options.from_row < 0:
        raise InputError(
            f"expected --rows of at least 1 and --from of at least 0; found {options.rows} and {options.from_row}"
        )
    for path in (options.path, *options.companion):
        if not path.exists():
            raise InputError(f"{path} does not exist: name a file of {corpus.title}. {corpus.how_to_get}")
    if corpus.half == "rs3":
        yield from _labelled(corpus, options, settings)
        return
    for path in (options.path, *options.companion):
        if not path.is_file():
            raise InputError(
                f"{path} is not a file: name one file of {corpus.title} (named like {corpus.file_pattern})"
            )
    if options.companion and corpus.companion_pattern == Corpus.model_fields["companion_pattern"].default:
        raise InputError(f"{corpus.code} has no companions: leave out --companion {options.companion[0]}")
    source = SourceFiles(
        ((options.path, corpus.part_of(options.path.name) or 0),), tuple(sorted(options.companion))
    )  # fmt: skip
    choices = choices_of(settings.params(FILTER))  # type: ignore[arg-type]
    yield from _web(source, corpus, choices, options.rows, options.from_row)


def _corpus(code: str) -> Corpus:
    corpora = load_corpora()
    if code in corpora:
        return corpora[code]
    if fault := manifest_faults().get(code):
        raise InputError(fault)
    if code in known_codes():
        raise InputError(f"{code} has no reader in this version; corpora with one: {', '.join(sorted(corpora))}")
    near = difflib.get_close_matches(code.lower(), corpora, 1, 0.4)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise InputError(f"no corpus {code!r}{hint}; corpora with a reader: {', '.join(sorted(corpora))}")


def _web(source: SourceFiles, corpus: Corpus, choices: Choices, n_rows: int, from_row: int) -> Iterator[Line]:
    n_shown, counted = 0, Counter[str]()
    for found in read_source(source, corpus, choices, from_row):
        if isinstance(found, Counted):
            counted[found.reason] += found.n_rows
        elif isinstance(found, Damage):
            if found.first_row + found.n_rows > from_row:
                n_lost = f"{found.n_rows} rows cannot" if found.n_rows > 1 else "cannot"
                yield f"{n_lost} be read, from row {found.first_row} on: {found.reason}", "red"
                yield from _facts({"detail": found.detail})
        else:
            for row in _rows_of(found, from_row)[: n_rows - n_shown]:
                n_shown += 1
                yield from _row(row, corpus, found.part)
        if n_shown >= n_rows:
            break
    for reason, n in sorted(counted.items()):
        if n:
            yield f"counted, but not shown: {reason} {n:,}", ""
    yield from _count(source, corpus, n_shown)


def _count(source: SourceFiles, corpus: Corpus, n_shown: int) -> Iterator[Line]:
    n_given = count_source(source, corpus)
    yield f"rows shown: {n_shown:,}; counted separately: {n_given:,} in {source.files[0][0]}", "bold"


def _rows_of(batch: SourceBatch, from_row: int) -> list[Mapping[str, Any]]:
    """Return the rows of a batch from a row on, in file order: our columns, or reason and detail if malformed."""
    chosen = batch.choose(pa.array(_readable(batch), pa.int64()))
    rows: list[Mapping[str, Any]] = chosen.table.to_pylist()
    rows += [fault._asdict() for fault in (*batch.malformed, *chosen.malformed)]
    return sorted((row for row in rows if row["source_row"] >= from_row), key=lambda row: int(row["source_row"]))


def _readable(batch: SourceBatch) -> list[int]:
    """Return the offsets of the rows that are not malformed, with or without a caption."""
    is_null = batch.captions.is_null().to_pylist()
    if len(batch.malformed) == batch.captions.null_count:
        return [i for i, has_none in enumerate(is_null) if not has_none]
    bad = {fault.source_row - batch.first_row for fault in batch.malformed}
    return [i for i, has_none in enumerate(is_null) if not has_none or i not in bad]


def _row(row: Mapping[str, Any], corpus: Corpus, part: int) -> Iterator[Line]:
    facts = {name: value for name, value in row.items() if value is not None and name != "source_row"}
    by_row = f"{corpus.code}_{part}_{row['source_row']}"
    name = (
        f"{corpus.code}_{row['native_id']}" if reader_of(corpus).has_native_sample_ids and row["native_id"] else by_row
    )
    yield f"row {row['source_row']:,}  {name}" + ("  malformed" if "reason" in facts else ""), "bold"
    yield from _facts(facts)


def _facts(facts: Mapping[str, Any]) -> Iterator[Line]:
    for name, value in facts.items():
        text = value if isinstance(value, str) else repr(value)
        if len(text) > _TEXT_SHOWN:
            text = f"{text[:_TEXT_SHOWN]}… ({len(text):,} characters)"
        shown = printable(text).replace("\n", "\\n")
        for line in textwrap.wrap(
            shown, _WIDTH, initial_indent=f"    {name:<{_LABEL_WIDTH - 4}}", subsequent_indent=" " * _LABEL_WIDTH,
            break_on_hyphens=False, break_long_words=False,
        ) or [f"    {name:<{_LABEL_WIDTH - 4}}''"]:  # fmt: skip
            yield line, ""
    yield "", ""


@dataclass(frozen=True)
class _Scratch:
    """Files of a stage that is run only for its rows."""

    root: Path

    def new_file(self, name: str) -> Path:
        return self.root / name

    def address(self, path: Path) -> str:
        return path.name

    def work(self) -> Path:
        return self.root

    def shared(self, name: str) -> Path:
        return self.root

    def read(self, address: str, offset: int, n_bytes: int) -> bytes:
        raise InputError(f"{address} is not stored: peek writes no build")


def _labelled(corpus: Corpus, options: argparse.Namespace, settings: Settings) -> Iterator[Line]:
    """Yield the samples of a folder by running the stages' functions on a SOURCES with only this folder."""
    if not options.path.is_dir():
        raise InputError(f"{options.path} is not a folder: {corpus.code} is read by folders laid out as SOURCES/<code>")
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as opened:
        sources = Path(scratch, "sources")
        sources.mkdir()
        (sources / corpus.code).symlink_to(options.path.resolve(), target_is_directory=True)
        params, resources = settings.params(READ_LABELLED), settings.resources(READ_LABELLED)
        tools = {tool.name: opened.enter_context(tool.open(params, resources)) for tool in READ_LABELLED.tools}
        context = Context(f"{corpus.code}-sample", params, resources, tools, _Scratch(Path(scratch)), sources)
        listed = _list(context)
        names = sorted(pc.unique(listed["sample_id"]).drop_null().to_pylist())
        chosen = [*names[options.from_row : options.from_row + options.rows], None]  # None: files of all samples
        rows = listed.filter(pc.is_in(listed["sample_id"], pa.array(chosen, pa.string())))
        tables = {"source_listing": rows, "source_file": hash_files({"source_listing": rows}, context).kept}
        outcome = READ_LABELLED.run(_inputs(READ_LABELLED, tables, context, settings), context)
        found = outcome.kept.to_pylist() + outcome.rejects.to_pylist()
        for row in sorted(found, key=lambda row: str(row["sample_id"])):
            yield f"{row.pop('sample_id')}" + ("  REJECTED" if "reason" in row else ""), "bold"
            hidden = ("corpus", "partition", "body_file", "body_offset")  # there is no build
            yield from _facts({name: v for name, v in row.items() if v is not None and name not in hidden})
        yield f"samples shown: {len(found):,} of {len(names):,} in {listed.num_rows:,} files of {options.path}", "bold"


def _inputs(stage: Stage, tables: dict[str, pa.Table], context: Context, settings: Settings) -> dict[str, pa.Table]:
    """Return the inputs of a stage, running the stages that write them."""
    for reads in stage.reads:
        if reads.table not in tables:
            writer = next(other for other in STAGES if other.writes.name == reads.table)
            if writer.keeps != "current":  # observations of builds; empty without a build
                tables[reads.table] = writer.writes.schema.empty_table()
                continue
            given = _inputs(writer, tables, context, settings)
            tables[reads.table] = writer.run(given, replace(context, params=settings.params(writer))).kept
    return {reads.name: tables[reads.table] for reads in stage.reads}


def _list(context: Context) -> pa.Table:
    inputs = {
        "source_listing": SOURCE_LISTING.schema.empty_table(),
        "source_listing_rejects": no_rejects(SOURCE_LISTING),
    }
    listing = Context(
        "000", ListingParams(corpora=(), halves="both", pilot=1.0), None, {}, context.files, context.sources
    )
    return list_sources(inputs, listing).kept
