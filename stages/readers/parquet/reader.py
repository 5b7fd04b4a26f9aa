"""Read a parquet source file: captions first, the other columns of the row groups that have a match.

Unreadable data become damaged stretches; everything else is read. Entry point: `stages/readers/readers.py`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.corpus import Corpus
from stages.readers.batch import (
    Choices,
    Chosen,
    Damage,
    Malformed,
    SourceBatch,
    SourceFileError,
    SourceFiles,
    rows_table,
)
from stages.readers.parquet.caption_stream import BATCH_ROWS, FastRows, is_fast, read_fast
from stages.readers.parquet.columns import Layout, convert_rows, find_layout, read_searched
from stages.readers.parquet.opening import FAULTS, describe, open_parquet
from stages.readers.parquet.plain import plain_batch, plain_schema, plain_type


def read(source: SourceFiles, corpus: Corpus, choices: Choices, from_row: int = 0) -> Iterator[SourceBatch | Damage]:
    """Yield the rows and damaged stretches of parquet files, without row groups that end before from_row."""
    for path, part in source.files:
        for found in _read_file(path, corpus, choices, from_row):
            yield replace(found, part=part) if isinstance(found, SourceBatch) else found._replace(part=part)


def count(source: SourceFiles, corpus: Corpus) -> int:
    """Return the number of rows stated in the footers; a file without a footer counts as one row."""
    n_rows = 0
    for path, _ in source.files:
        try:
            with open_parquet(path) as file:
                n_rows += int(file.metadata.num_rows)
        except SourceFileError as error:
            n_rows += error.n_rows
    return n_rows


def _read_file(path: Path, corpus: Corpus, choices: Choices, from_row: int) -> Iterator[SourceBatch | Damage]:
    try:
        file = open_parquet(path)
    except SourceFileError as error:
        yield Damage(0, error.n_rows, error.reason, str(error), path=path)
        return
    with file:
        n_rows = file.metadata.num_rows
        try:
            with _faults_named(path):
                layout = find_layout(path, corpus, choices, plain_schema(file.schema_arrow))
        except SourceFileError as error:
            if n_rows:
                yield Damage(0, n_rows, error.reason, str(error), path=path)
            return
        first_row = 0
        for group in range(file.num_row_groups):
            n_rows = file.metadata.row_group(group).num_rows
            if first_row + n_rows > from_row:
                yield from _RowGroup(path, file, corpus, layout, group, first_row).batches()
            first_row += n_rows


@contextmanager
def _faults_named(path: Path, place: str = "") -> Iterator[None]:
    """Convert Arrow's exceptions to a SourceFileError that names the file."""
    try:
        yield
    except SourceFileError:
        raise
    except FAULTS as error:
        raise SourceFileError(describe(path, str(error) or type(error).__name__, place), path=path) from error


class _RowGroup:
    """One row group: a stream of captions, and on demand a second one of the other columns."""

    def __init__(
        self, path: Path, file: pq.ParquetFile, corpus: Corpus, layout: Layout, group: int, first_row: int
    ) -> None:
        self._path, self._file, self._corpus, self._layout = path, file, corpus, layout
        self._group, self._first_row = group, first_row
        self._n_rows = file.metadata.row_group(group).num_rows
        self._fast: FastRows | None = None
        self._others: Iterator[pa.RecordBatch] | None = None
        self._pending: pa.Table | None = None
        self._pending_start = 0
        self._fault = ""

    def batches(self) -> Iterator[SourceBatch | Damage]:
        """Yield batches of captions, each with a function that reads the other columns, then the unreadable rest."""
        n_seen = 0
        try:
            with _faults_named(self._path, f"row group {self._group}: "):
                for captions, faults in self._searched():
                    batch = self._batch(captions, faults, n_seen)
                    n_seen += len(captions)
                    yield batch
                if n_seen < self._n_rows:
                    raise ValueError(f"{n_seen} rows of {self._n_rows}")
        except SourceFileError as error:
            yield Damage(self._first_row + n_seen, self._n_rows - n_seen, error.reason, str(error), path=self._path)

    def _batch(self, captions: pa.Array, faults: dict[int, str], start: int) -> SourceBatch:
        first = self._first_row + start
        malformed = tuple(Malformed(first + i, "invalid_utf8", faults[i]) for i in sorted(faults))
        return SourceBatch(first, captions, malformed, lambda indices: self._choose(start, captions, indices))

    def _searched(self) -> Iterator[tuple[pa.Array, dict[int, str]]]:
        """Yield the texts to search, for at most the footer's number of rows, and the faults of invalid UTF-8."""
        n_seen = 0
        names = list(self._layout.searched)
        if len(names) == 1:
            for captions in read_fast(self._path, self._file, self._group, self._first_row, names[0]):
                yield captions, {}  # texts from Polars are valid
                n_seen += len(captions)
        if n_seen == self._n_rows:
            return
        start = 0
        for batch in self._stream(names):
            begin, end = max(0, n_seen - start), min(batch.num_rows, self._n_rows - start)
            start += batch.num_rows
            if begin < end:
                yield read_searched([batch.column(name).slice(begin, end - begin) for name in names], self._layout)

    def _stream(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        return map(plain_batch, self._file.iter_batches(BATCH_ROWS, [self._group], names, use_threads=False))

    def _choose(self, start: int, captions: pa.Array, indices: pa.Array) -> Chosen:
        rows = pa.array(indices.to_numpy() + (self._first_row + start), pa.int64())
        others = self._layout.others
        try:
            with _faults_named(self._path, f"row group {self._group}: "):
                if self._fault:
                    raise SourceFileError(self._fault)
                taken = self._take(start, len(captions), indices, others) if len(indices) else self._nothing(others)
                return convert_rows(rows, captions.take(indices).cast(pa.string()), taken, self._corpus, self._layout)
        except SourceFileError as error:
            self._fault = str(error)  # the stream cannot continue after a fault
            malformed = (Malformed(row, error.reason, self._fault) for row in rows.to_pylist())
            return Chosen(rows_table({"source_row": pa.array([], pa.int64())}), tuple(malformed))

    def _nothing(self, names: list[str]) -> pa.Table:
        return pa.table({name: pa.nulls(0, plain_type(self._file.schema_arrow.field(name).type)) for name in names})

    def _take(self, start: int, n_rows: int, indices: pa.Array, names: list[str]) -> pa.Table:
        """Return the other columns of some of the rows from start to start + n_rows."""
        if self._fast is None and self._others is None and is_fast(self._path, self._file, self._group, names):
            self._fast = FastRows(self._path, self._first_row, self._n_rows, names)
        taken = self._fast.take(indices.to_numpy() + start) if self._fast is not None else None
        if taken is None:  # stays None: Arrow's stream continues from here
            self._fast = None
            taken = self._advance(start, n_rows, names).take(indices)
        return taken

    def _advance(self, start: int, n_rows: int, names: list[str]) -> pa.Table:
        """Return the other columns of the rows from start to start + n_rows."""
        if self._others is None:
            self._others = self._stream(names)
        while self._pending is None or self._pending_start + self._pending.num_rows < start + n_rows:
            batch = next(self._others, None)
            if batch is None:
                raise ValueError(f"columns {names} end before row {self._first_row + start}")
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
