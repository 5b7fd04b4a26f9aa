"""Read one source file in batches of rows, whatever its format; YFCC's files are read with the list of its photos.

Not for deciding which rows are kept: that is `stages/sources/filtering.py`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.manifests import Corpus
from stages.sources import parquet_reader, tsv_reader, yfcc_reader
from stages.sources.batch import COLUMNS, ROWS_SCHEMA, Chosen, Malformed, SourceBatch, SourceFileError

__all__ = [
    "COLUMNS", "ROWS_SCHEMA", "Chosen", "Malformed", "SourceBatch", "SourceFileError", "count_rows", "read_batches",
    "read_photo", "read_row",
]  # fmt: skip


def read_batches(path: Path, corpus: Corpus, from_row: int = 0) -> Iterator[SourceBatch]:
    """Yield the rows of a source file in order; memory does not grow with their number.

    Args:
        path: the file.
        corpus: says how the file is read.
        from_row: batches that end before this row may be left out.

    Raises:
        SourceFileError: the file is missing, damaged, or not what the corpus's manifest says.
    """
    if corpus.reader == "parquet":
        yield from parquet_reader.read_batches(path, corpus, from_row)
    else:
        yield from tsv_reader.read_batches(path, corpus, from_row)


def count_rows(path: Path, corpus: Corpus) -> int:
    """Return the number of rows by another way than reading them: parquet's footer, or the line ends of a TSV.

    Raises:
        SourceFileError: the file is missing, damaged, or not what the corpus's manifest says.
    """
    if corpus.reader == "parquet":
        return parquet_reader.count_rows(path)
    return tsv_reader.count_rows(path)


def read_row(path: Path, corpus: Corpus, row: int) -> dict[str, Any]:
    """Return our columns of one row; of a malformed one source_row, reason and detail.

    Raises:
        SourceFileError: the file is missing, damaged, or not what the corpus's manifest says.
        IndexError: the file has no such row.
    """
    n_rows = 0
    for batch in read_batches(path, corpus, max(row, 0)):
        n_rows = batch.first_row + len(batch.captions)
        if not 0 <= row < n_rows:
            continue
        chosen = None
        malformed = batch.malformed
        if row not in {fault.source_row for fault in malformed}:
            chosen = batch.choose(pa.array([row - batch.first_row], pa.int64()))
            malformed = chosen.malformed
        if chosen is not None and chosen.table.num_rows:
            found: dict[str, Any] = chosen.table.to_pylist()[0]
            return found
        return _facts_of(next(fault for fault in malformed if fault.source_row == row))
    raise IndexError(f"{path} has no row {row}: it has {count_rows(path, corpus)}, counted from 0")


def read_photo(paths: Sequence[Path], list_path: Path, corpus: Corpus, photo: int) -> dict[str, Any]:
    """Return our columns of the first row of a listed photo; of a malformed or missing one its reason and detail.

    Raises:
        SourceFileError: a file is missing, damaged, or not what the corpus's manifest says.
        IndexError: the photo is not on the list.
    """
    wanted = yfcc_reader.PhotoList(np.array([photo], np.int64))
    if not len(yfcc_reader.read_list(list_path).claim(wanted.ids)):
        raise IndexError(f"{list_path} does not name photo {photo}")
    for path in paths:
        for batch in yfcc_reader.read_batches(path, corpus, wanted):
            if batch.malformed:
                return _facts_of(batch.malformed[0])
            if len(batch.captions):
                found: dict[str, Any] = batch.choose(pa.array([0], pa.int64())).table.to_pylist()[0]
                return found
    return {"native_id": str(photo), "reason": "no_metadata_row", "detail": f"in none of {len(paths)} files"}


def _facts_of(fault: Malformed) -> dict[str, Any]:
    return {name: value for name, value in fault._asdict().items() if value is not None}
