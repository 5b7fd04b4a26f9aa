"""Inventory: which source files there are, and the sha256 of each.

The list of partitions of everything after it comes from here, never from a later look at the disk.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pydantic import Field

from schemas.manifests import Corpus, load_corpora
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

CHECKSUMS = "SHA256SUMS"
_BLOCK_BYTES = 1 << 22
_READING = {
    "code", "reader", "columns", "is_size_swapped", "size_is_right_with", "null_markers", "annotation_licence",
}  # fmt: skip


class ListingParams(Params):
    """Which corpora take part."""

    corpora: tuple[str, ...] = Field((), description="corpus codes to read; empty: all under SOURCES with a reader")


def list_sources(inputs: Inputs, context: Context) -> Outcome:
    """Return the source files under SOURCES, or no rows where they are as they were at the last look.

    A file that was listed before and is gone now stays listed: its rows are in the build.

    Raises:
        InputError: when SOURCES, a chosen corpus or its files are missing.
    """
    corpora = load_corpora()
    chosen = context.params.corpora
    _check_folder(context.sources, chosen, corpora)
    kept, left_out = [], []
    for folder in sorted(p for p in context.sources.iterdir() if p.is_dir()):
        corpus = corpora.get(folder.name)
        if corpus is None:
            left_out.append((folder.name, folder.name, "no_reader", f"known corpora: {', '.join(sorted(corpora))}"))
        elif chosen and folder.name not in chosen:
            left_out.append((folder.name, folder.name, "left_out", f"inventory.corpora is {list(chosen)}"))
        else:
            files, others = _list_corpus(folder, corpus, context.sources)
            kept += files
            left_out += others
    kept += _gone(inputs["source_listing"], kept, chosen)
    found = Outcome(_listing(kept), _left_out(left_out))
    same = found.kept.equals(inputs["source_listing"]) and found.rejects.equals(inputs["source_listing_rejects"])
    return Outcome(SOURCE_LISTING.schema.empty_table(), no_rejects(SOURCE_LISTING)) if same else found


def hash_files(inputs: Inputs, context: Context) -> Outcome:
    """Return the sha256 of each listed file.

    Raises:
        InputError: when a file is gone, unreadable, changed while it was read, or not as SHA256SUMS says.
    """
    listed = inputs["source_listing"].to_pylist()
    digests = []
    for row in listed:
        digest = _hash(context.sources / row["path"], row, context)
        _check_stated(context.sources / row["corpus"], row["path"], digest)
        digests.append(digest)
    kept = inputs["source_listing"].select(["corpus", "path", "size_bytes"])
    kept = kept.append_column("file_sha256", pa.array(digests, pa.string())).cast(SOURCE_FILE.schema)
    return Outcome(kept, no_rejects(SOURCE_FILE))


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


def _list_corpus(
    folder: Path, corpus: Corpus, sources: Path
) -> tuple[list[tuple[object, ...]], list[tuple[str, str, str, str]]]:
    files: list[tuple[object, ...]] = []
    others = []
    digest = reader_digest(corpus)
    for path in _walk(folder):
        address = path.relative_to(sources).as_posix()
        part = corpus.part_of(path.relative_to(folder).as_posix())
        if part is None:
            others.append((corpus.code, address, "unexpected_file", f"expected {corpus.file_pattern}"))
            continue
        status = path.stat()
        name = f"{corpus.code}-{part:05d}"
        files.append((corpus.code, address, part, status.st_size, status.st_mtime_ns, digest, name))
    if not files:
        raise InputError(
            f"{folder} holds no file named like {corpus.file_pattern};"
            f" found: {[other[1] for other in others[:5]] or 'nothing'}."
            f" Put {corpus.title}'s files there, or leave it out with SET='inventory.corpora=[…]'"
        )
    _check_parts(corpus, files)
    return files, others


def _walk(folder: Path) -> Iterator[Path]:
    # Hidden files and the checksum list are nobody's rows.
    paths = (p for p in folder.rglob("*") if p.is_file())
    return (p for p in sorted(paths) if not p.name.startswith(".") and p.name != CHECKSUMS)


def _check_parts(corpus: Corpus, files: list[tuple[object, ...]]) -> None:
    by_name: dict[object, object] = {}
    for row in files:
        other = by_name.setdefault(row[6], row[1])
        if other != row[1]:
            raise InputError(
                f"{corpus.code}: {other} and {row[1]} would both be part {row[2]}, so their rows would share"
                " sample_ids: keep one of them under SOURCES"
            )


def _gone(before: pa.Table, seen: list[tuple[object, ...]], chosen: tuple[str, ...]) -> list[tuple[object, ...]]:
    rows = (tuple(row.values()) for row in before.to_pylist())
    taken = {row[6] for row in seen}
    paths = {row[1] for row in seen}
    return [r for r in rows if r[1] not in paths and r[6] not in taken and (not chosen or r[0] in chosen)]


def _listing(rows: list[tuple[object, ...]]) -> pa.Table:
    schema = SOURCE_LISTING.schema
    columns = (
        zip(*sorted(rows, key=lambda row: (str(row[6]), str(row[1]))), strict=True) if rows else [[] for _ in schema]
    )
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def _left_out(rows: list[tuple[str, str, str, str]]) -> pa.Table:
    corpus, path, reason, detail = zip(*rows, strict=True) if rows else ([], [], [], [])
    return rejects_table(SOURCE_LISTING, {"corpus": corpus, "path": path}, reason, detail)


def _hash(path: Path, row: dict[str, object], context: Context) -> str:
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
    context.advance(1)
    return hasher.hexdigest()


def _check_stated(folder: Path, address: str, digest: str) -> None:
    sums = folder / CHECKSUMS
    if not sums.exists():
        return
    name = address.partition("/")[2]
    for line in sums.read_text(encoding="utf-8").splitlines():
        stated, _, path = line.strip().partition(" ")
        if path.lstrip(" *") == name and stated.lower() != digest:
            raise InputError(
                f"source file {address} has sha256 {digest}, {CHECKSUMS} says {stated}: the file is damaged or another"
                " version. Download it again, or correct the list if the list is wrong"
            )


LIST_SOURCES = Stage(
    name="list_sources",
    module="inventory",
    version=1,
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
    reasons=("no_reader", "left_out", "unexpected_file"),
    split_by="partition",
    keeps="latest",
)

INVENTORY = Stage(
    name="inventory",
    module="inventory",
    version=1,
    does="Hashes every source file once.",
    reads=(Reads("source_listing", ("corpus", "path", "size_bytes", "mtime_ns")),),
    writes=SOURCE_FILE,
    grain="map",
    given=Given("source_listing", ("corpus", "path")),
    run=hash_files,
    partitions_from=("source_listing",),
)
