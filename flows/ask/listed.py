"""Read the lists to compare a build with: each row with its fetch_id, once, however many files of a folder repeat it.

The comparison is in `flows/ask/compare.py`.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from flows.corpora.metafile import list_files, no_list
from stages.contract import InputError
from stages.plan.urls import plan_urls
from stages.plurals import briefly, counted
from stages.readers.batch import SourceFileError
from stages.readers.rs5m_list.names import labelled_id_of, sample_id_of
from stages.readers.rs5m_list.rows import ListRows, read_list
from stages.rows import run_sql

UNREADABLE, UNUSABLE = "unreadable row", "unusable URL"
_NO_CORPUS = "unknown"
_N_NAMED = 12
_OWN_LABELLED = "rs3_metadata.parquet"  # builds start from lists of web images alone, but compare both halves
_LISTED_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        *((name, pa.string()) for name in ("list_name", "url", "corpus", "fetch_id", "fault")),
        ("is_labelled", pa.bool_()),
        ("file_number", pa.int32()),
    ]
)


def read_lists(metafile: Path) -> tuple[pa.Table, tuple[str, ...]]:
    """Return one row per row of a list or of the lists in a folder, and notes on the files and rows passed over.

    In a folder, files that are not lists are passed over, and rows with the name and URL of a row in an earlier file.

    Raises:
        InputError: there is no list, or one cannot be read.
    """
    lists, other_files = list_files(metafile)
    files = sorted([*lists, *other_files])
    batches: list[pa.RecordBatch] = []
    others: list[str] = []
    n_rows = 0
    for number, path in enumerate(files):
        try:
            if path in other_files and path.name != _OWN_LABELLED:
                others.append(path.name)
                continue
            for rows in read_list(path):
                batches.append(_listed(rows, number, n_rows))
                n_rows += batches[-1].num_rows
        except SourceFileError as error:
            if path == metafile or error.reason != "wrong_columns":
                raise InputError(str(error)) from error
            others.append(path.name)
    if not batches and others:
        raise no_list(metafile, files)
    listed = pa.Table.from_batches(batches, schema=_LISTED_SCHEMA)
    once = listed if metafile.is_file() else run_sql(_ONCE, {"listed": listed})
    notes = [f"passed over, because they are not lists of samples: {briefly(others, _N_NAMED)}"] if others else []
    if n_again := listed.num_rows - once.num_rows:
        notes.append(f"passed over, because an earlier file has the same name and URL: {counted(n_again, 'row')}")
    return once, tuple(notes)


_ONCE = """
    FROM listed
    QUALIFY list_name IS NULL OR file_number = min(file_number) OVER (PARTITION BY list_name, url) ORDER BY row
"""


def _listed(rows: ListRows, number: int, n_before: int) -> pa.RecordBatch:
    n_rows = len(rows.names)
    planned = plan_urls(rows.urls)
    found = [sample_id_of(name) for name in rows.names.to_pylist()]
    labelled = [labelled_id_of(name) for name in rows.names.to_pylist()]
    named = [known or name for known, name in zip(labelled, found, strict=True)]
    corpora = [name.partition("_")[0] if isinstance(name, str) else _NO_CORPUS for name in named]
    is_labelled = pa.array([name is not None for name in labelled], pa.bool_())
    faults: list[str | None] = [None] * n_rows
    for i, (reason, _) in rows.faults.items():
        faults[i] = f"{UNREADABLE}: {reason}"
    is_unusable = pc.and_(pc.is_valid(planned["reason"].combine_chunks()), pc.invert(is_labelled))
    unusable = pc.if_else(is_unusable, UNUSABLE, pa.scalar(None, pa.string()))
    columns = [
        pa.array(range(n_before, n_before + n_rows), pa.int64()),
        rows.names,
        rows.urls,
        pa.array(corpora, pa.string()),
        pc.coalesce(pa.array(labelled, pa.string()), planned["fetch_id"].combine_chunks()),
        pc.coalesce(pa.array(faults, pa.string()), unusable),
        is_labelled,
        pa.array([number] * n_rows, pa.int32()),
    ]
    return pa.record_batch(columns, schema=_LISTED_SCHEMA)
