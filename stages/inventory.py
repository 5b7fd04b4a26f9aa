"""Inventory: which source files there are, and the sha256 of each.

The list of partitions of everything after it comes from here, never from a later look at the disk.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from schemas.corpora import Corpus, load_corpora
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
from stages.labelled_sources.gone import gone
from stages.labelled_sources.listing import LeftOut, list_labelled, nothing_found
from stages.sources.list_names import check_alone

CHECKSUMS = "SHA256SUMS"
_BLOCK_BYTES = 1 << 22
_READING = {
    "code", "reader", "columns", "is_size_swapped", "size_is_right_with", "null_markers", "annotation_licence",
    "companion_pattern", "has_shifted_rows", "text_columns", "is_last_field_rest",
}  # fmt: skip


class ListingParams(Params):
    """Which corpora take part."""

    corpora: tuple[str, ...] = Field((), description="corpus codes to read; empty: all under SOURCES with a reader")
    sample: float = Field(
        1.0, gt=0, le=1, description="share of the rows and scenes that is taken, by hash of URL or scene: a pilot run"
    )


def list_sources(inputs: Inputs, context: Context) -> Outcome:
    """Return the source files under SOURCES, or no rows where they are as they were at the last look.

    A file that was listed before and is gone now stays listed: its rows are in the build.

    Raises:
        InputError: when SOURCES, a chosen corpus or its files are missing, or `check_alone` raises it.
    """
    corpora = load_corpora()
    chosen = context.params.corpora
    _check_folder(context.sources, chosen, corpora)
    before = inputs["source_listing"]
    kept, left_out = [SOURCE_LISTING.schema.empty_table()], []
    for folder in sorted(p for p in context.sources.iterdir() if p.is_dir()):
        corpus = corpora.get(folder.name)
        if corpus is None:
            left_out.append((folder.name, folder.name, "no_reader", f"known corpora: {', '.join(sorted(corpora))}"))
        elif chosen and folder.name not in chosen:
            left_out.append((folder.name, folder.name, "left_out", f"inventory.corpora is {list(chosen)}"))
        else:
            files, others = _list_corpus(folder, corpus, before, context.params.sample)
            kept.append(files)
            left_out += others
    kept.append(gone(before, pa.concat_tables(kept), corpora, chosen, context.params.sample))
    check_alone(pa.concat_tables(kept)["corpus"].to_pylist())
    order = [("partition", "ascending"), ("path", "ascending")]
    found = Outcome(pa.concat_tables(kept).sort_by(order).combine_chunks(), _left_out(left_out))
    same = found.kept.equals(before) and found.rejects.equals(inputs["source_listing_rejects"])
    return Outcome(SOURCE_LISTING.schema.empty_table(), no_rejects(SOURCE_LISTING)) if same else found


def hash_files(inputs: Inputs, context: Context) -> Outcome:
    """Return the sha256 of each listed file.

    Raises:
        InputError: when a file is gone, unreadable, changed while it was read, or not as SHA256SUMS says.
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
    """Return the digest of what a manifest says on reading: a change of its prose makes nothing stale."""
    return digest_json(corpus.model_dump(mode="json", include=_READING))[:16]


def _check_folder(sources: Path, chosen: tuple[str, ...], corpora: dict[str, Corpus]) -> None:
    if not sources.is_dir():
        raise InputError(
            f"SOURCES={sources} is no folder: expected one with a folder per corpus ({', '.join(sorted(corpora))});"
            " say where yours is with SOURCES=…"
        )
    for code in chosen:
        if code not in corpora:
            raise InputError(f"inventory.corpora names {code!r}; corpora with a reader: {', '.join(sorted(corpora))}")
        if not (sources / code).is_dir():
            raise InputError(f"inventory.corpora names {code}, but {sources / code} is no folder")
    if not any((sources / code).is_dir() for code in corpora):
        raise InputError(
            f"SOURCES={sources} holds no corpus: expected at least one folder of {', '.join(sorted(corpora))}"
        )


def _list_corpus(folder: Path, corpus: Corpus, before: pa.Table, sample_share: float) -> tuple[pa.Table, list[LeftOut]]:
    digest = reader_digest(corpus)
    if corpus.half == "rs3":
        known = before.filter(pc.equal(before["corpus"], corpus.code))["path"].to_pylist()
        return list_labelled(folder, corpus, digest, known, sample_share)
    files: list[tuple[object, ...]] = []
    others: list[LeftOut] = []
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        part = corpus.part_of(name)
        if part is None:
            if not corpus.is_ignored(name):
                what = corpus.advice_on(name) or f"expected {corpus.file_pattern}"
                others.append((corpus.code, f"{corpus.code}/{name}", "unexpected_file", what))
            continue
        status = path.stat()
        partition = f"{corpus.code}-{0 if corpus.is_one_partition else part:05d}"
        seen = (part, status.st_size, status.st_mtime_ns, digest, partition, None, sample_share)
        files.append((corpus.code, f"{corpus.code}/{name}", *seen))
    if all(corpus.is_companion(str(row[1]).partition("/")[2]) for row in files):
        raise nothing_found(folder, corpus, others)
    if not (corpus.is_sample_list or corpus.has_files_by_name):  # their rows name their samples: files need no number
        _check_parts(corpus, files)
    schema = SOURCE_LISTING.schema
    columns = [pa.array(c, f.type) for c, f in zip(zip(*files, strict=True), schema, strict=True)]
    return pa.table(columns, schema=schema), others


def _walk(folder: Path) -> Iterator[Path]:
    # Hidden files and the checksum list are nobody's rows.
    paths = (p for p in folder.rglob("*") if p.is_file())
    return (p for p in sorted(paths) if not p.name.startswith(".") and p.name != CHECKSUMS)


def _check_parts(corpus: Corpus, files: list[tuple[object, ...]]) -> None:
    by_role: dict[object, object] = {}
    for row in files:
        is_companion = corpus.is_companion(str(row[1]).partition("/")[2])
        other = by_role.setdefault((row[2], is_companion), row[1])
        if other == row[1]:
            continue
        if is_companion:
            raise InputError(
                f"{corpus.code}: {other} and {row[1]} would both tell of part {row[2]}: keep one of them under SOURCES"
            )
        raise InputError(
            f"{corpus.code}: {other} and {row[1]} would both be part {row[2]}, so their rows would share"
            " sample_ids: keep one of them under SOURCES"
        )


def _left_out(rows: list[tuple[str, str, str, str]]) -> pa.Table:
    corpus, path, reason, detail = zip(*rows, strict=True) if rows else ([], [], [], [])
    return rejects_table(SOURCE_LISTING, {"corpus": corpus, "path": path}, reason, detail)


def _hash(path: Path, row: dict[str, object]) -> str:
    hasher, n_bytes = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
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
            " Wait until it is whole and run `make stage-inventory` again"
        )
    return hasher.hexdigest()


def _stated(sources: Path, paths: set[str]) -> dict[str, str]:
    """Return what the checksum lists say of some files: each list is read once, however many files there are."""
    stated: dict[str, str] = {}
    for corpus in sorted({path.partition("/")[0] for path in paths}):
        sums = sources / corpus / CHECKSUMS
        if sums.exists():
            with sums.open(encoding="utf-8") as lines:
                for line in lines:
                    digest, _, name = line.strip().partition(" ")
                    if (path := f"{corpus}/{name.lstrip(' *')}") in paths:
                        stated[path] = digest.lower()
    return stated


def _check_stated(path: str, digest: str, stated: dict[str, str]) -> None:
    if stated.get(path, digest) != digest:
        raise InputError(
            f"source file {path} has sha256 {digest}, {CHECKSUMS} says {stated[path]}: the file is damaged or another"
            " version. Download it again, or correct the list if the list is wrong"
        )


LIST_SOURCES = Stage(
    name="list_sources",
    module="inventory",
    version=4,
    does="Lists the source files under SOURCES, and what it leaves out.",
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
    reasons=("no_reader", "left_out", "unexpected_file", "archive_not_unpacked", "scenes_outside_sample"),
    split_by="partition",
    keeps="latest",
)

INVENTORY = Stage(
    name="inventory",
    module="inventory",
    version=2,
    does="Hashes every source file once.",
    reads=(Reads("source_listing", ("corpus", "path", "size_bytes", "mtime_ns", "source_sample")),),
    writes=SOURCE_FILE,
    grain="map",
    given=Given("source_listing", ("corpus", "path")),
    run=hash_files,
    partitions_from=("source_listing",),
)
