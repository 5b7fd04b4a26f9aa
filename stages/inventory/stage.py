"""Inventory: list the source files and their sha256.

All later stages get their partitions from here, never from the disk.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from schemas.corpus import Corpus
from schemas.manifest_files import ManifestError
from schemas.tables import SOURCE_FILE, SOURCE_LISTING
from stages.collector import collector_paused
from stages.contract import (
    Context,
    Given,
    InputError,
    Inputs,
    Outcome,
    Params,
    Reads,
    Stage,
    no_rejects,
    rejects_table,
)
from stages.identity import digest_json
from stages.inventory.folders import Choice, Folders, chosen_codes, look_at, nothing_readable
from stages.inventory.gone import gone
from stages.inventory.hashing import hash_files
from stages.inventory.labelled_listing import list_labelled
from stages.inventory.passed_over import LeftOut, PassedOver
from stages.inventory.web_listing import list_web
from stages.readers.corpora import load_corpora, load_corpus, manifest_faults
from stages.readers.rs5m_list.names import check_alone

_READING = {
    "code", "reader", "columns", "is_size_swapped", "size_is_right_with", "null_markers", "annotation_licence",
    "companion_pattern", "has_shifted_rows", "text_columns", "is_last_field_rest",
}  # fmt: skip


class ListingParams(Params):
    """Which corpora are read, and how much of them."""

    corpora: tuple[str, ...] = Field((), description="corpus codes to read; empty: all under SOURCES with a reader")
    halves: Choice = Field(
        "both", description="both, or pub11: labelled corpora are left out, so that no captioner is needed"
    )
    pilot: float = Field(
        1.0, gt=0, le=1, description="share of rows and scenes to take, by hash of URL or scene: a pilot run"
    )


def list_sources(inputs: Inputs, context: Context) -> Outcome:
    """Return the source files under SOURCES; no rows if nothing has changed since the last listing.

    A file that was listed before and is missing now stays listed, because its rows are in the build. Every other path
    is rejected with a reason; one row may cover many paths.

    Raises:
        InputError: SOURCES, a chosen corpus or its files are missing, nothing can be read, or
            `check_alone` raises it.
    """
    before, params = inputs["source_listing"], context.params
    folders = look_at(context.sources, load_corpora(), params.corpora, manifest_faults(), params.halves)
    kept, rejects = [SOURCE_LISTING.schema.empty_table()], list(folders.rejects)
    for corpus in folders.corpora:
        with collector_paused():
            files, passed = _list_corpus(context.sources / corpus.code, corpus, before, params.pilot, folders)
        kept.append(files)
        rejects += passed.rows(corpus.code)
    chosen = chosen_codes(load_corpora(), params.corpora, params.halves)
    table = _ordered(kept)
    missing = gone(before, table, load_corpora(), chosen, params.pilot)
    table = _ordered([table, missing]) if missing.num_rows else table
    check_alone(pc.unique(table["corpus"]).to_pylist())
    found = Outcome(table, _rejects(rejects))
    if not found.kept.num_rows:
        raise nothing_readable(context.sources, rejects)
    same = found.kept.equals(before) and found.rejects.equals(inputs["source_listing_rejects"])
    return Outcome(SOURCE_LISTING.schema.empty_table(), no_rejects(SOURCE_LISTING)) if same else found


def reader_digest(corpus: Corpus) -> str:
    """Return the digest of the manifest keys that affect reading; other keys make nothing stale."""
    return digest_json(corpus.model_dump(mode="json", include=_READING))[:16]


def listed_corpus(code: str, digest: str) -> Corpus:
    """Return a corpus whose files are listed.

    Args:
        code: its code.
        digest: the `reader_digest` with which its files were listed.

    Raises:
        InputError: its manifest is invalid, or the keys that affect reading have changed since its files were listed.
    """
    try:
        corpus = load_corpus(code)
    except ManifestError as error:
        raise InputError(
            f"{error}. Correct it, or restore the one with which the files of {code} were listed"
        ) from error
    if reader_digest(corpus) != digest:
        raise InputError(f"the manifest of {code} has changed: run `make stage-inventory` first")
    return corpus


def _list_corpus(
    folder: Path, corpus: Corpus, before: pa.Table, pilot_share: float, folders: Folders
) -> tuple[pa.Table, PassedOver]:
    digest, others = reader_digest(corpus), folders.others(corpus.code)
    passed = PassedOver()
    try:
        if corpus.half == "rs3":
            known = before.filter(pc.equal(before["corpus"], corpus.code))["path"].to_pylist()
            return list_labelled(folder, corpus, digest, known, passed, pilot_share, others), passed
        return list_web(folder, corpus, digest, pilot_share, passed, others), passed
    except ManifestError as error:  # its pattern does not match these files; the other corpora are listed
        passed.add("", "faulty_manifest", str(error))
        return SOURCE_LISTING.schema.empty_table(), passed
    except InputError as error:
        if not passed.has("unreadable"):
            raise
        # The missing files may be among the unreadable ones: the other corpora are listed.
        passed.add("", "unreadable", f"nothing of the corpus is listed: {error}")
        return SOURCE_LISTING.schema.empty_table(), passed


def _ordered(tables: list[pa.Table]) -> pa.Table:
    # In one chunk first: a comparison of rows among hundreds of chunks takes four times as long.
    return pa.concat_tables(tables).combine_chunks().sort_by([("partition", "ascending"), ("path", "ascending")])


def _rejects(rows: list[LeftOut]) -> pa.Table:
    corpus, path, reason, detail = zip(*sorted(rows), strict=True) if rows else ([], [], [], [])
    return rejects_table(SOURCE_LISTING, {"corpus": corpus, "path": path}, reason, detail)


LIST_SOURCES = Stage(
    name="list_sources",
    module="inventory",
    version=8,
    does="Lists the source files under SOURCES; every other path is rejected with a reason.",
    reads=(
        Reads("source_listing", tuple(SOURCE_LISTING.schema.names), is_whole=True, is_optional=True),
        Reads(
            "source_listing",
            tuple(SOURCE_LISTING.reject_schema.names),
            is_whole=True,
            section="rejects",
            is_optional=True,
        ),
    ),
    writes=SOURCE_LISTING,
    grain="observe",
    given=Given(),
    run=list_sources,
    params=ListingParams,
    reasons=(
        "unreadable",
        "partial_download",
        "empty_file",
        "no_reader",
        "faulty_manifest",
        "left_out",
        "loose_file",
        "unexpected_file",
        "archive_not_unpacked",
        "reached_twice",
        "hidden_file",
        "not_needed",
        "checksum_list",
        "scenes_outside_pilot",
    ),
    split_by="partition",
    keeps="latest",
)

INVENTORY = Stage(
    name="inventory",
    module="inventory",
    version=3,
    does="Hashes every source file once.",
    reads=(Reads("source_listing", ("corpus", "path", "size_bytes", "mtime_ns", "sample_id")),),
    writes=SOURCE_FILE,
    grain="map",
    given=Given("source_listing", ("corpus", "path")),
    run=hash_files,
    partitions_from=("source_listing",),
)
