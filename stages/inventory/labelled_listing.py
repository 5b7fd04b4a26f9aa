"""List the files of a labelled corpus with their samples and partitions, reading each folder once.

Files are hashed later. There may be five million files, so rows go directly into Arrow arrays.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.corpus import Corpus
from schemas.tables import SOURCE_LISTING
from stages.contract import InputError
from stages.inventory.archives import not_unpacked
from stages.inventory.passed_over import PassedOver
from stages.inventory.scanning import Found, scan
from stages.inventory.web_listing import nothing_found
from stages.readers.labelled_records import CorpusFiles, ListFault, Placer, Unplaced, list_role
from stages.readers.readers import labelled_reader, reader_of
from stages.slices import belongs

_CHUNK_ROWS = 4_000  # the data of such a batch fit into the cache: batches of 100,000 take half as long again
_SCENES_KEPT = 100_000
_ROW = ("path", "part", "size_bytes", "mtime_ns", "partition", "sample_id", "role")
Hashes = np.ndarray[Any, np.dtype[np.int64]]
_BARE = "the folder of a sample without any of the files that are read"


def list_labelled(
    folder: Path,
    corpus: Corpus,
    reader_digest: str,
    known: Sequence[str],
    passed: PassedOver,
    pilot_share: float = 1.0,
    others: tuple[str, ...] = (),
) -> pa.Table:
    """Return the listing of a labelled corpus's files.

    Args:
        folder: its folder under SOURCES.
        corpus: its manifest.
        reader_digest: digest of the manifest keys that affect reading.
        known: paths under SOURCES listed before; a sample that has vanished keeps its name.
        passed: receives paths that are passed over.
        pilot_share: share of the scenes in the pilot.
        others: real paths of the folders of other corpora.

    Raises:
        InputError: all folders are readable but have no file of the corpus, two files have one role in a sample, or a
            companion is unreadable.
    """
    found = scan(folder, corpus, passed, others)
    unpacking = _pass_archives(found, corpus)
    if found.files and reader_of(corpus).is_packed:
        tars = [(path, size_bytes, mtime_ns) for path, size_bytes, mtime_ns, _ in found.files]
        members = reader_of(corpus).load().list_members(folder, corpus, tars, passed.add)
        found.files = [(*member, match) for member in members if (match := corpus.file_regex.fullmatch(member[0]))]
        if not found.files and not passed.has("unreadable"):
            return SOURCE_LISTING.schema.empty_table()
    if not found.files:
        if passed.has("unreadable"):
            return SOURCE_LISTING.schema.empty_table()
        raise nothing_found(folder, corpus, passed, unpacking)
    for path in _bare_samples(found):
        passed.add(path, "unexpected_file", _BARE)
    for path in filter(corpus.is_companion, passed.unreadable()):
        raise InputError(f"{corpus.code}/{path} cannot be read, and the numbers of its samples depend on it")
    place = _placer(folder, corpus, found, known)
    table, role_hashes, n_outside = _table(found, corpus, reader_digest, pilot_share, place)
    if n_outside:
        said = f"{n_outside:,} files of scenes outside the slice of inventory.pilot = {pilot_share:g}"
        passed.add("", "scenes_outside_pilot", said)
    check_roles(table, role_hashes)
    return table.drop_columns(["role"])


def _placer(folder: Path, corpus: Corpus, found: Found, known: Sequence[str]) -> Placer:
    holding = CorpusFiles(
        folder,
        [path for path, _, _, _ in found.files],
        [path for path, _, _ in found.lists],
        [path[len(corpus.code) + 1 :] for path in known],
    )
    try:
        return labelled_reader(corpus).placer(corpus, holding)
    except ListFault as fault:  # the corpus is left out, and the others are listed
        found.passed.add(fault.path, "unreadable", str(fault))
        raise


def check_roles(table: pa.Table, role_hashes: Hashes) -> None:
    """Check that no two files have the same role in a sample.

    Args:
        table: the listing, with roles.
        role_hashes: int64, a hash of each row's sample and role: only equal ones need a look at the rows.

    Raises:
        InputError: two files do; the message names them.
    """
    if np.diff(np.sort(role_hashes)).all():  # a sixth of the time of comparing texts of a million files
        return
    groups = table.group_by(["sample_id", "role"]).aggregate([("path", "count"), ("path", "min"), ("path", "max")])
    for row in groups.filter(pc.greater(groups["path_count"], 1)).slice(0, 1).to_pylist():
        of = f" of {row['sample_id']}" if row["sample_id"] else ""
        raise InputError(
            f"{row['path_min']} and {row['path_max']} would both be the {row['role']}{of}:"
            " keep one of them under SOURCES"
        )


def role_of(path: str, corpus: Corpus) -> str:
    """Return the role of a listed file in its sample, by its path under SOURCES."""
    below = path.partition("/")[2]
    match = corpus.match_file(below)
    if match is None:
        raise InputError(f"the manifest of {corpus.code} has changed: run `make stage-inventory` first")
    return labelled_reader(corpus).role_of(below, match)


def _table(
    found: Found, corpus: Corpus, reader_digest: str, pilot_share: float, place: Placer
) -> tuple[pa.Table, Hashes, int]:
    """Return the listing with roles, a hash of each row's sample and role, and how many files are outside the pilot."""
    takes = lru_cache(_SCENES_KEPT)(lambda scene: belongs(scene, pilot_share))  # a scene has up to a hundred files
    reader = labelled_reader(corpus)
    constants = {"corpus": corpus.code, "reader_digest": reader_digest, "pilot_share": pilot_share}
    batches, hashes, n_outside = [], [], 0
    for start in range(0, len(found.files), _CHUNK_ROWS):
        rows = []
        for path, size_bytes, mtime_ns, match in found.files[start : start + _CHUNK_ROWS]:
            to = place(path, match)
            if isinstance(to, Unplaced):
                found.passed.add(path, to.reason, to.detail)
            elif pilot_share < 1 and not takes(reader.scene_of(to.sample_id)):
                n_outside += 1
            else:
                rows.append((path, to.number, size_bytes, mtime_ns, to.partition, to.sample_id, to.role))
        batches.append(_batch(rows, constants))
        hashes.append(_role_hashes(rows))
    lists = [
        (path, 0, size_bytes, mtime_ns, f"{corpus.code}-lists", None, list_role(path))
        for path, size_bytes, mtime_ns in found.lists
    ]
    table = pa.Table.from_batches([*batches, _batch(lists, constants)])
    return table, np.concatenate([*hashes, _role_hashes(lists)]), n_outside


def _role_hashes(rows: Sequence[tuple[object, ...]]) -> Hashes:
    return np.fromiter((hash(row[-2:]) for row in rows), np.int64, len(rows))


def _batch(rows: Sequence[tuple[object, ...]], constants: Mapping[str, object]) -> pa.RecordBatch:
    """Return rows of _ROW in the columns of source_listing, with the role.

    Args:
        rows: values in the order of _ROW; the path is that below the corpus's folder.
        constants: columns with one value.
    """
    schema = SOURCE_LISTING.schema.append(pa.field("role", pa.string()))
    columns = zip(*rows, strict=True) if rows else [()] * len(_ROW)
    arrays = {name: pa.array(column, schema.field(name).type) for name, column in zip(_ROW, columns, strict=True)}
    arrays |= {
        name: pa.repeat(pa.scalar(value, schema.field(name).type), len(rows)) for name, value in constants.items()
    }
    arrays["path"] = pc.binary_join_element_wise(f"{constants['corpus']}/", arrays["path"], "")
    return pa.RecordBatch.from_arrays([arrays[name] for name in schema.names], schema=schema)


def _bare_samples(found: Found) -> list[str]:
    # A sample without any file that is read would otherwise be in no table.
    with_files = {path.rpartition("/")[0] for path, _, _, _ in found.files} if found.sample_folders else set()
    return sorted(found.sample_folders - with_files)


def _pass_archives(found: Found, corpus: Corpus) -> tuple[str, ...]:
    """Pass over all archives; return the commands to unpack those not yet unpacked."""
    packed = not_unpacked(corpus, found.archives, [path for path, _, _, _ in found.files])
    for archive in packed:
        for path in archive.paths:
            found.passed.add(path, "archive_not_unpacked", archive.detail if path == archive.path else "")
    of_packed = {path for archive in packed for path in archive.paths}
    for path in set(found.archives) - of_packed:
        found.passed.add(path, "not_needed", "its content is already unpacked")
    return tuple(archive.command for archive in packed)
