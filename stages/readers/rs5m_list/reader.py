"""Read RS5M's lists of samples, or its released tars, as the source of a build: each row names its corpus and id.

Entry point: `stages/readers/readers.py`.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.corpus import Corpus
from stages.readers.batch import (
    Choices,
    Chosen,
    Counted,
    Damage,
    Malformed,
    Read,
    SourceBatch,
    SourceFileError,
    SourceFiles,
    rows_table,
)
from stages.readers.formats.stretches import with_stretches
from stages.readers.rs5m_list.names import NameFault, sample_id_of
from stages.readers.rs5m_list.rows import ListRows, count_list, read_list
from stages.readers.rs5m_tars.rows import count_tar, is_tar, read_tar


def read(source: SourceFiles, corpus: Corpus, choices: Choices, from_row: int = 0) -> Iterator[Read]:
    """Yield the rows of all lists and tars; of a repeated name only the first row counts.

    Published file names have no number, so a batch's part is the position of its file in the order of paths.
    """
    seen: set[str] = set()
    for number, (path, _) in enumerate(source.files):
        n_rows = 0
        try:
            for rows in read_tar(path, source.name_of(path)) if is_tar(path) else read_list(path):
                for found in _batches(rows, number, seen):
                    if isinstance(found, SourceBatch):
                        yield from with_stretches(found, path)
                    else:
                        yield found
                n_rows = rows.first_row + len(rows.names)
        except SourceFileError as error:
            yield Damage(n_rows, error.n_rows, error.reason, str(error), number, path)


def count(source: SourceFiles, corpus: Corpus) -> int:
    """Return the number of rows, from the positions of quotes and line ends, a footer, or the headers of a tar."""
    return sum(count_tar(path) if is_tar(path) else count_list(path) for path, _ in source.files)


def _batches(rows: ListRows, part: int, seen: set[str]) -> Iterator[SourceBatch | Counted]:
    """Yield the rows without repeated names, as batches of consecutive rows."""
    ids: list[str | None] = []
    faults: dict[int, Malformed] = {}
    is_again = np.zeros(len(rows.names), bool)
    for i, name in enumerate(rows.names.to_pylist()):
        found = sample_id_of(name)
        sample_id = found if isinstance(found, str) else None
        if sample_id is not None and sample_id in seen:
            is_again[i] = True
        elif i in rows.faults:
            faults[i] = Malformed(rows.first_row + i, *rows.faults[i], sample_id)
        elif isinstance(found, NameFault):
            faults[i] = Malformed(rows.first_row + i, *found)
        if sample_id is not None:
            seen.add(sample_id)
        ids.append(sample_id)
    whole = pa.array(ids, pa.string())
    is_bad = np.zeros(len(ids), bool)
    is_bad[list(faults)] = True
    captions = pc.if_else(pa.array(is_bad), pa.scalar(None, pa.string()), rows.texts)
    borders = [0, *(np.flatnonzero(np.diff(is_again)) + 1).tolist(), len(ids)]
    for start, stop in pairwise(borders):
        if start < stop and not is_again[start]:
            yield _batch(rows, part, slice(start, stop), whole, captions, faults)
    yield Counted("listed_again", int(is_again.sum()))


def _batch(
    rows: ListRows, part: int, run: slice, ids: pa.Array, captions: pa.Array, faults: Mapping[int, Malformed]
) -> SourceBatch:
    first_row, texts = rows.first_row + run.start, captions[run]

    def choose(indices: pa.Array) -> Chosen:
        columns = {
            "source_row": pc.add(indices, pa.scalar(first_row, pa.int64())),
            "source_caption": texts.take(indices),
            "url": rows.urls[run].take(indices),
            "native_id": ids[run].take(indices),
        }
        return Chosen(rows_table(columns), ())

    malformed = tuple(faults[i] for i in sorted(faults) if run.start <= i < run.stop)
    return SourceBatch(first_row, texts, malformed, choose, part)
