"""Inventory: list the source files and their sha256.

All later stages get their partitions from here, never from the disk.
"""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from schemas.corpora import Corpus
from schemas.manifest_files import ManifestError
from schemas.tables import SOURCE_FILE, SOURCE_LISTING
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
from stages.inventory.labelled_listing import list_labelled
from stages.inventory.passed_over import LeftOut, PassedOver
from stages.inventory.tree import CHECKSUMS, is_readable_file
from stages.inventory.web_listing import list_web
from stages.readers.corpora import load_corpora, load_corpus, manifest_faults
from stages.readers.rs5m_list.names import check_alone
from stages.readers.rs5m_tars.members import read_listed

_READING = {
    "code", "reader", "columns", "is_size_swapped", "size_is_right_with", "null_markers", "annotation_licence",
    "companion_pattern", "has_shifted_rows", "text_columns", "is_last_field_rest",
}  # fmt: skip


class ListingParams(Params):
    """Which corpora are read, and how much of them."""

    corpora: tuple[str, ...] = Field((), description="corpus codes to read; empty: all under SOURCES with a reader")
    halves: Choice = Field(
        "both", description="both, or pub11: labelled corpora are passed over, so that no captioner is needed"
    )
    pilot: float = Field(
        1.0, gt=0, le=1, description="share of rows and scenes to take, by hash of URL or scene: a pilot run"
    )


def list_sources(inputs: Inputs, context: Context) -> Outcome:
    """Return the source files under SOURCES; no rows if nothing has changed since the last listing.

    A file that was listed before and is missing now stays listed, because its rows are in the build. Every other path
    is rejected with a reason; one row may stand for many paths.

    Raises:
        InputError: SOURCES, a chosen corpus or its files are missing, nothing can be read, or
            `check_alone` raises it.
    """
    before, params = inputs["source_listing"], context.params
    folders = look_at(context.sources, load_corpora(), params.corpora, manifest_faults(), params.halves)
    kept, rejects = [SOURCE_LISTING.schema.empty_table()], list(folders.rejects)
    for corpus in folders.corpora:
        files, passed = _list_corpus(context.sources / corpus.code, corpus, before, params.pilot, folders)
        kept.append(files)
        rejects += passed.rows(corpus.code)
    chosen = chosen_codes(load_corpora(), params.corpora, params.halves)
    kept.append(gone(before, pa.concat_tables(kept), load_corpora(), chosen, params.pilot))
    check_alone(pa.concat_tables(kept)["corpus"].to_pylist())
    order = [("partition", "ascending"), ("path", "ascending")]
    found = Outcome(pa.concat_tables(kept).sort_by(order).combine_chunks(), _rejects(rejects))
    if not found.kept.num_rows:
        raise nothing_readable(context.sources, rejects)
    same = found.kept.equals(before) and found.rejects.equals(inputs["source_listing_rejects"])
    return Outcome(SOURCE_LISTING.schema.empty_table(), no_rejects(SOURCE_LISTING)) if same else found


def hash_files(inputs: Inputs, context: Context) -> Outcome:
    """Return the sha256 of each listed file.

    Raises:
        InputError: a file is missing, unreadable, changed while it was read, or differs from its SHA256SUMS.
    """
    listed = inputs["source_listing"].to_pylist()
    stated = _stated(context.sources, {row["path"] for row in listed})
    digests = []
    for n_done, row in enumerate(listed, 1):
        digests.append(_hash(context.sources / row["path"], row))
        _check_stated(row["path"], digests[-1], stated)
        context.advance(n_done)
    kept = inputs["source_listing"].append_column("file_sha256", pa.array(digests, pa.string()))
    return Outcome(kept.select(SOURCE_FILE.schema.names).cast(SOURCE_FILE.schema), no_rejects(SOURCE_FILE))


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
        passed = PassedOver()
        passed.add("", "faulty_manifest", str(error))
        return SOURCE_LISTING.schema.empty_table(), passed
    except InputError as error:
        if not passed.has("unreadable"):
            raise
        # The missing files may be among the unreadable ones: the other corpora are listed.
        passed.add("", "unreadable", f"nothing of the corpus is listed: {error}")
        return SOURCE_LISTING.schema.empty_table(), passed


def _rejects(rows: list[LeftOut]) -> pa.Table:
    corpus, path, reason, detail = zip(*sorted(rows), strict=True) if rows else ([], [], [], [])
    return rejects_table(SOURCE_LISTING, {"corpus": corpus, "path": path}, reason, detail)


def _hash(path: Path, row: dict[str, Any]) -> str:
    hasher, n_bytes = hashlib.sha256(), 0
    try:
        for block in read_listed(path, row["size_bytes"]):
            hasher.update(block)
            n_bytes += len(block)
    except OSError as error:
        raise InputError(
            f"source file {path} cannot be read ({error.strerror}): it was listed with {row['size_bytes']} bytes."
            " Restore it or its permissions, or leave its corpus out with SET='inventory.corpora=[…]'"
        ) from error
    if n_bytes != row["size_bytes"]:
        raise InputError(
            f"source file {path} has {n_bytes} bytes, {row['size_bytes']} when it was listed: it is being written."
            " Wait until it is complete and run `make stage-inventory` again"
        )
    return hasher.hexdigest()


def _stated(sources: Path, paths: set[str]) -> dict[str, str]:
    """Return the stated checksums of some files, reading each checksum list once."""
    stated: dict[str, str] = {}
    for corpus in sorted({path.partition("/")[0] for path in paths}):
        sums = sources / corpus / CHECKSUMS
        if is_readable_file(sums):  # an unreadable list is named in the listing
            with sums.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
                for line in lines:
                    digest, _, name = line.strip().partition(" ")
                    if (path := f"{corpus}/{name.lstrip(' *')}") in paths:
                        stated[path] = digest.lower()
    return stated


def _check_stated(path: str, digest: str, stated: dict[str, str]) -> None:
    if stated.get(path, digest) != digest:
        raise InputError(
            f"source file {path} has sha256 {digest}, {CHECKSUMS} states {stated[path]}: the file is damaged or another"
            " version. Download it again, or correct the list if the list is wrong"
        )


LIST_SOURCES = Stage(
    name="list_sources",
    module="inventory",
    version=7,
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
