"""Report torn rows of a damaged file as damaged stretches, which the user must accept.

Readers find them and give them a reason of stretches.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from schemas.reasons import REASON
from stages.readers.batch import Chosen, Damage, SourceBatch


def with_stretches(batch: SourceBatch, path: Path) -> Iterator[SourceBatch | Damage]:
    """Yield the batch, or its pieces with stretches between them if malformed rows have a reason of stretches.

    Args:
        batch: rows of a file.
        path: the file.
    """
    torn = [fault for fault in batch.malformed if REASON[fault.reason].is_stretch]
    end = batch.first_row
    while torn:
        first, n_rows = torn[0], 1
        while n_rows < len(torn) and torn[n_rows].source_row == first.source_row + n_rows:
            n_rows += 1
        torn = torn[n_rows:]
        if first.source_row > end:
            yield _piece(batch, end, first.source_row)
        end = first.source_row + n_rows
        yield Damage(first.source_row, n_rows, first.reason, first.detail, batch.part, path)
    if end == batch.first_row:
        yield batch
    elif end < batch.first_row + len(batch.captions):
        yield _piece(batch, end, batch.first_row + len(batch.captions))


def _piece(batch: SourceBatch, start: int, stop: int) -> SourceBatch:
    """Return the rows from start to before stop."""
    place, n_rows = start - batch.first_row, stop - start

    def choose(indices: pa.Array) -> Chosen:
        return batch.choose(pc.add(indices, pa.scalar(place, pa.int64())))

    return replace(
        batch,
        first_row=start,
        captions=batch.captions.slice(place, n_rows),
        malformed=tuple(fault for fault in batch.malformed if start <= fault.source_row < stop),
        choose=choose,
        left_out={reason: is_left_out.slice(place, n_rows) for reason, is_left_out in batch.left_out.items()},
    )
