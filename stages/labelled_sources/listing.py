"""List the files of a labelled corpus with the sample and the partition each belongs to: one look at each folder.

Not for hashing or reading them. Five million files must pass, so rows go into Arrow arrays as they are found.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.corpora import Corpus
from schemas.tables import SOURCE_LISTING
from stages.contract import InputError
from stages.labelled_sources import ben, fmow, millionaid
from stages.labelled_sources.sample import Place

LeftOut = tuple[str, str, str, str]  # corpus, path, reason, detail
Placer = Callable[[str, re.Match[str]], tuple[Place, int]]
_CHUNK_ROWS = 100_000
_BARE = "a patch folder without any of the bands and the record that are read"
_LINK = "a link to a folder, which is not followed"


@dataclass
class Found:
    """What one look at a corpus's folder found, in paths under that folder.

    Attributes:
        files: paths of the corpus's source files, with size in bytes and modification time in ns.
        lists: paths of files that may list names.
        strangers: by folder, the first path that nothing explains, how many more there are, and what is wrong.
        patch_folders: paths of folders that are named like a BigEarthNet v1 patch.
    """

    files: list[tuple[str, int, int]] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)
    strangers: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    patch_folders: set[str] = field(default_factory=set)

    def add_stranger(self, path: str, what: str) -> None:
        """Count a path that is left out; one reject speaks for its folder, or a foreign corpus would be millions."""
        folder = path.rpartition("/")[0]
        first, n_more, detail = self.strangers.get(folder, (path, -1, what))
        self.strangers[folder] = (min(first, path), n_more + 1, detail)


def list_labelled(
    folder: Path, corpus: Corpus, reader_digest: str, known: Sequence[str], sample_share: float = 1.0
) -> tuple[pa.Table, list[LeftOut]]:
    """Return the listing of a labelled corpus's files, and what is left out.

    Args:
        folder: its folder under SOURCES.
        corpus: its manifest.
        reader_digest: digest of what the manifest says on reading.
        known: paths under SOURCES that were listed before: a patch that has vanished keeps its number.
        sample_share: share of the scenes that is taken.

    Raises:
        InputError: when there is no file of the corpus, or two files claim one role of a sample.
    """
    found = scan(folder, corpus)
    left_out = [_left_out(corpus, *stranger) for stranger in sorted(found.strangers.values())]
    left_out += [_left_out(corpus, path, 0, _BARE) for path in _bare_patches(found)]
    if not found.files:
        raise nothing_found(folder, corpus, left_out)
    table = _table(found, corpus, reader_digest, sample_share, placer(folder, corpus, found, known))
    check_roles(table)
    return table.drop_columns(["role"]), left_out


def nothing_found(folder: Path, corpus: Corpus, others: Sequence[LeftOut]) -> InputError:
    """Return the error for a corpus's folder without any file of it."""
    return InputError(
        f"{folder} holds no file named like {corpus.file_pattern};"
        f" found: {[other[1] for other in others[:5]] or 'nothing'}."
        f" Put {corpus.title}'s files there, or leave it out with SET='inventory.corpora=[…]'"
    )


def gone(before: pa.Table, seen: pa.Table, corpora: Mapping[str, Corpus], chosen: Sequence[str]) -> pa.Table:
    """Return the rows of files that were listed before and are not there now, but for those another has replaced.

    A web corpus's file is replaced by one of the same part, and a companion by another; a labelled one's by one of the
    same role and sample.
    """
    rows = before.cast(SOURCE_LISTING.schema)
    rows = rows.filter(pc.invert(pc.is_in(before["path"], seen["path"].combine_chunks())))
    if chosen:
        rows = rows.filter(pc.is_in(rows["corpus"], pa.array(chosen)))
    web = ["corpus", "path", "part", "source_sample"]
    taken = {_web_role(row, corpora) for row in seen.filter(pc.is_null(seen["source_sample"])).select(web).to_pylist()}
    is_left = [row["source_sample"] or _web_role(row, corpora) not in taken for row in rows.select(web).to_pylist()]
    rows = rows.filter(pa.array(map(bool, is_left), pa.bool_()))
    others = seen.filter(pc.is_in(seen["source_sample"], pc.unique(rows["source_sample"]), skip_nulls=True))
    roles = {_role(row, corpora) for row in others.select(["corpus", "path", "source_sample"]).to_pylist()}
    listed = rows.select(["corpus", "path", "source_sample"]).to_pylist()
    return rows.filter(
        pa.array([row["source_sample"] is None or _role(row, corpora) not in roles for row in listed], pa.bool_())
    )


def _web_role(row: Mapping[str, Any], corpora: Mapping[str, Corpus]) -> tuple[str, int, bool]:
    corpus = corpora.get(row["corpus"])
    is_companion = corpus is not None and corpus.is_companion(row["path"].partition("/")[2])
    return row["corpus"], row["part"], is_companion


def _role(row: Mapping[str, str], corpora: Mapping[str, Corpus]) -> tuple[str, str]:
    return row["source_sample"], role_of(row["path"], corpora[row["corpus"]])


def scan(folder: Path, corpus: Corpus) -> Found:
    """Look once at every folder that the manifest does not say to pass by."""
    found = Found()
    waiting = [""]
    while waiting:
        below = waiting.pop()
        with os.scandir(folder / below) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.name != "SHA256SUMS":
                    _sort_out(entry, below + entry.name, corpus, found, waiting)
    return found


def _sort_out(entry: os.DirEntry[str], path: str, corpus: Corpus, found: Found, waiting: list[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        if not corpus.is_ignored(path + "/"):
            waiting.append(path + "/")
            if corpus.code == "ben" and ben.is_patch(entry.name):
                found.patch_folders.add(path)
    elif corpus.match_file(path) and _is_utf8(path) and entry.is_file():
        status = entry.stat()
        found.files.append((path, status.st_size, status.st_mtime_ns))
    elif entry.is_dir():
        found.add_stranger(path, _LINK)
    elif path.endswith(".csv") and corpus.is_ignored(path):
        found.lists.append(path)
    elif not corpus.is_ignored(path):
        found.add_stranger(path, f"expected {corpus.file_pattern}")


def placer(folder: Path, corpus: Corpus, found: Found, known: Sequence[str]) -> Placer:
    """Return what says where a file of the corpus belongs, and its part."""
    if corpus.code == "fmow":
        return lambda path, match: (fmow.place(path, match), 0)
    if corpus.code == "millionaid":
        return lambda path, match: (millionaid.place(path, match), 0)
    paths = [*(path for path, _, _ in found.files), *(path.partition("/")[2] for path in known)]
    patches = {path.split("/")[-2] for path in paths}
    indices = ben.patch_indices(patches, [folder / path for path in sorted(found.lists)])

    def place(path: str, match: re.Match[str]) -> tuple[Place, int]:
        index = indices[match["patch"]]
        return ben.place(path, match, index), index

    return place


def check_roles(table: pa.Table) -> None:
    """Check that no two files claim the same role of a sample.

    Raises:
        InputError: naming two that do.
    """
    groups = table.group_by(["source_sample", "role"]).aggregate([("path", "count"), ("path", "min"), ("path", "max")])
    for row in groups.filter(pc.greater(groups["path_count"], 1)).slice(0, 1).to_pylist():
        raise InputError(
            f"{row['path_min']} and {row['path_max']} would both be the {row['role']} of {row['source_sample']}:"
            " keep one of them under SOURCES"
        )


def role_of(path: str, corpus: Corpus) -> str:
    """Return what a listed file, by its path under SOURCES, is to its sample."""
    below = path.partition("/")[2]
    match = corpus.match_file(below)
    if match is None:
        raise InputError(f"the manifest of {corpus.code} has changed: run `make stage-inventory` first")
    if corpus.code == "ben":
        return ben.place(below, match, 0).role
    return fmow.place(below, match).role if corpus.code == "fmow" else millionaid.place(below, match).role


def _table(found: Found, corpus: Corpus, reader_digest: str, sample_share: float, place: Placer) -> pa.Table:
    schema = SOURCE_LISTING.schema.append(pa.field("role", pa.string()))
    batches = [
        pa.RecordBatch.from_arrays(
            [pa.array(column, f.type) for column, f in zip(zip(*rows, strict=True), schema, strict=True)], schema=schema
        )
        for rows in _chunks(found, corpus, reader_digest, sample_share, place)
    ]
    return pa.Table.from_batches(batches, schema)


def _chunks(
    found: Found, corpus: Corpus, reader_digest: str, sample_share: float, place: Placer
) -> Iterator[list[tuple[object, ...]]]:
    for start in range(0, len(found.files), _CHUNK_ROWS):
        rows: list[tuple[object, ...]] = []
        for path, size_bytes, mtime_ns in found.files[start : start + _CHUNK_ROWS]:
            match = corpus.match_file(path)
            if match is not None:
                to, part = place(path, match)
                listed = (corpus.code, f"{corpus.code}/{path}", part, size_bytes, mtime_ns, reader_digest)
                rows.append((*listed, to.partition, to.sample_id, sample_share, to.role))
        yield rows


def _bare_patches(found: Found) -> list[str]:
    # A patch with none of the files that are read would otherwise be in no table at all.
    with_files = {path.rpartition("/")[0] for path, _, _ in found.files} if found.patch_folders else set()
    return sorted(found.patch_folders - with_files)


def _left_out(corpus: Corpus, path: str, n_more: int, what: str) -> LeftOut:
    shown = path.encode("utf-8", "backslashreplace").decode()
    more = f"{n_more:,} more in its folder; " if n_more else ""
    return corpus.code, f"{corpus.code}/{shown}", "unexpected_file", more + what


def _is_utf8(path: str) -> bool:
    return path.isascii() or not any("\ud800" <= c <= "\udfff" for c in path)
