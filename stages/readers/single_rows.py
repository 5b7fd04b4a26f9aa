"""Read one row of a source file again, by its position or its native id, for `explain` and `peek`."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.corpus import Corpus
from stages.readers.batch import (
    Choices,
    Counted,
    Damage,
    Malformed,
    SourceBatch,
    SourceFiles,
)
from stages.readers.readers import DEFAULT_CHOICES, read_source


def read_row(
    source: SourceFiles, corpus: Corpus, row: int, choices: Choices = DEFAULT_CHOICES
) -> dict[str, Any] | None:
    """Return our columns of one row of a file, without nulls; reason and detail if it is malformed.

    None if the file has no such row.
    """
    for found in read_source(source, corpus, choices, max(row, 0)):
        if isinstance(found, Counted):
            continue
        if isinstance(found, Damage):
            if found.first_row <= row < found.first_row + found.n_rows:
                return {"source_row": row, "reason": found.reason, "detail": found.detail}
        elif found.first_row <= row < found.first_row + len(found.captions):
            return _row_of(found, row - found.first_row, row)
    return None


def read_sample(
    source: SourceFiles, corpus: Corpus, native_id: str, choices: Choices = DEFAULT_CHOICES
) -> dict[str, Any] | None:
    """Return the same for the first row with a native id; None if no row has it."""
    for found in read_source(source, corpus, choices):
        if not isinstance(found, SourceBatch):
            continue
        for fault in found.malformed:
            if fault.native_id == native_id:
                return _facts_of(fault)
        chosen = found.choose(_sound_rows(found)).table
        if (place := pc.index(chosen["native_id"], native_id).as_py()) >= 0:
            return _without_nulls(chosen.slice(place, 1).to_pylist()[0])
    return None


def _sound_rows(batch: SourceBatch) -> pa.Array:
    """Return the offsets of readable rows.

    Rows of YFCC's files are not adjacent, so a fault's position in the file is not one in the batch; but there only
    malformed rows have no caption.
    """
    has_text = batch.captions.is_valid().to_pylist()
    bad = {fault.source_row - batch.first_row for fault in batch.malformed}
    if all(0 <= place < len(has_text) and not has_text[place] for place in bad):
        return pa.array([place for place in range(len(has_text)) if place not in bad], pa.int64())
    return pa.array([place for place, has_one in enumerate(has_text) if has_one], pa.int64())


def _row_of(batch: SourceBatch, place: int, row: int) -> dict[str, Any]:
    malformed = batch.malformed
    if row not in {fault.source_row for fault in malformed}:
        chosen = batch.choose(pa.array([place], pa.int64()))
        malformed = chosen.malformed
        if chosen.table.num_rows:
            reason = next((name for name, is_left_out in batch.left_out.items() if is_left_out[place].as_py()), None)
            return _without_nulls(chosen.table.to_pylist()[0] | {"reason": reason})
    return _facts_of(next(fault for fault in malformed if fault.source_row == row))


def _facts_of(fault: Malformed) -> dict[str, Any]:
    return _without_nulls(fault._asdict())


def _without_nulls(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}
