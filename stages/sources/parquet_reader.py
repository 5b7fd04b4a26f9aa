"""Read a parquet source file: captions first, the other columns of the row groups that have a match.

Not for other formats; `stages/sources/readers.py` is the entrance.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.corpora import Corpus
from stages.sources.batch import Choices, Chosen, Malformed, SourceBatch, SourceFileError, SourceFiles
from stages.sources.columns import as_strings, convert_rows, source_names

_BATCH_ROWS = 1 << 15  # some 2 MB of captions: they stay in the cache while they are searched
_BUFFER_BYTES = 1 << 20  # read column chunks piece by piece: a row group may be larger than the memory


def read(source: SourceFiles, corpus: Corpus, choices: Choices, from_row: int = 0) -> Iterator[SourceBatch]:
    """Yield the rows of a parquet file, leaving out row groups that end before from_row."""
    for path, part in source.files:
        with _faults_named(path), _open(path) as file:
            names = source_names(path, corpus, file.schema_arrow)
            first_row = 0
            for group in range(file.num_row_groups):
                n_rows = file.metadata.row_group(group).num_rows
                if first_row + n_rows > from_row:
                    for batch in _RowGroup(path, file, corpus, names, group, first_row).batches():
                        yield replace(batch, part=part)
                first_row += n_rows


def count(source: SourceFiles, corpus: Corpus) -> int:
    """Return the number of rows that the footer states."""
    n_rows = 0
    for path, _ in source.files:
        with _faults_named(path), _open(path) as file:
            n_rows += int(file.metadata.num_rows)
    return n_rows


def _open(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES, page_checksum_verification=True)


@contextmanager
def _faults_named(path: Path) -> Iterator[None]:
    """Turn what Arrow reports into a SourceFileError that names the file."""
    try:
        yield
    except SourceFileError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        found = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SourceFileError(
            f"{path}: expected a whole parquet file, found: {found}; download it again, or take it out of SOURCES"
        ) from error


class _RowGroup:
    """One row group: a stream of captions, and a second one of the other columns that follows on demand."""

    def __init__(
        self, path: Path, file: pq.ParquetFile, corpus: Corpus, names: dict[str, str], group: int, first_row: int
    ) -> None:
        self._path, self._file, self._corpus, self._names = path, file, corpus, names
        self._group, self._first_row = group, first_row
        self._caption_name = names["source_caption"]
        self._others: Iterator[pa.RecordBatch] | None = None
        self._pending: pa.Table | None = None
        self._pending_start = 0

    def batches(self) -> Iterator[SourceBatch]:
        """Yield the batches of captions, each with a function that reads the other columns."""
        n_seen = 0
        for found in self._stream([self._caption_name]):
            captions, faults = as_strings(found.column(0))
            start = n_seen
            n_seen += len(captions)
            first = self._first_row + start
            malformed = tuple(
                Malformed(first + i, "invalid_utf8", f"{self._caption_name}: {faults[i]}") for i in sorted(faults)
            )

            def choose(indices: pa.Array, start: int = start, captions: pa.Array = captions) -> Chosen:
                return self._choose(start, captions, indices)

            yield SourceBatch(first, captions, malformed, choose)
        stated = self._file.metadata.row_group(self._group).num_rows
        if n_seen != stated:
            raise SourceFileError(
                f"{self._path}: expected {stated} rows in row group {self._group}, found {n_seen}; download it again"
            )

    def _stream(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        return iter(self._file.iter_batches(_BATCH_ROWS, [self._group], names, use_threads=False))

    def _choose(self, start: int, captions: pa.Array, indices: pa.Array) -> Chosen:
        others = list(dict.fromkeys(n for n in self._names.values() if n != self._caption_name))
        rows = pa.array(indices.to_numpy() + (self._first_row + start), pa.int64())
        with _faults_named(self._path):
            found = self._advance(start, len(captions), others) if len(indices) else None
            taken = found.take(indices) if found is not None else None
            if taken is None:
                taken = pa.table({name: pa.nulls(0) for name in others})
            return convert_rows(rows, captions.take(indices), taken, self._corpus, self._names)

    def _advance(self, start: int, n_rows: int, names: list[str]) -> pa.Table:
        """Return the other columns of the row group's rows start to start + n_rows."""
        if self._others is None:
            self._others = self._stream(names)
        while self._pending is None or self._pending_start + self._pending.num_rows < start + n_rows:
            batch = next(self._others, None)
            if batch is None:
                raise SourceFileError(
                    f"{self._path}: columns {names} of row group {self._group} end before row"
                    f" {self._first_row + start}; download it again"
                )
            fresh = pa.Table.from_batches([batch])
            if self._pending is None:
                self._pending = fresh
                continue
            end = self._pending_start + self._pending.num_rows
            if end <= start:
                self._pending, self._pending_start = fresh, end
            else:
                self._pending = pa.concat_tables([self._pending, fresh])
        return self._pending.slice(start - self._pending_start, n_rows)
