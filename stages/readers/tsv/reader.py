"""Read a source file with two tab-separated fields per line: no header, no quoting, lines end with LF.

The last field may be the rest of the line including tabs, if the manifest says so.

Entry point: `stages/readers/readers.py`.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.corpus import Corpus
from stages.readers.batch import Choices, Chosen, Damage, Malformed, SourceBatch, SourceFiles, rows_table
from stages.readers.formats.lines import (
    BLOCK_BYTES,
    MAX_LINE_BYTES,
    Lines,
    count_lines,
    has_control,
    read_blocks,
    slices,
)
from stages.readers.formats.stretches import with_stretches

_N_FIELDS = 2
# Occurs once per line; if it occurs twice, a line end is lost in between. By whether the caption comes first.
_ADDRESS = {True: re.compile(rb"\thttps?://"), False: re.compile(rb"https?://[^\s]++\t")}


def read(source: SourceFiles, corpus: Corpus, choices: Choices, from_row: int = 0) -> Iterator[SourceBatch | Damage]:
    """Yield the lines of the file, one block of bytes at a time, without blocks that end before from_row.

    Lines torn by damage, in which rows may be lost, are damaged stretches.
    """
    for path, part in source.files:
        for batch in read_batches(path, corpus, from_row):
            yield from with_stretches(replace(batch, part=part), path)


def count(source: SourceFiles, corpus: Corpus) -> int:
    """Return the number of lines, including a last one without a line end."""
    return sum(count_lines(path) for path, _ in source.files)


def read_batches(path: Path, corpus: Corpus, from_row: int, block_bytes: int = BLOCK_BYTES) -> Iterator[SourceBatch]:
    """Yield the lines of one file."""
    first_row = 0
    for block in read_blocks(path, block_bytes):
        if first_row < from_row:
            n_lines = block.count(b"\n") + (not block.endswith(b"\n"))
            if first_row + n_lines <= from_row:
                first_row += n_lines
                continue
        batch = _read_block(block, first_row, corpus)
        yield batch
        first_row += len(batch.captions)


def _read_block(block: bytes, first_row: int, corpus: Corpus) -> SourceBatch:
    lines = Lines(block)
    caption_place = 0 if corpus.columns["source_caption"] == (0,) else 1
    malformed = _find_malformed(lines, corpus.is_last_field_rest, _ADDRESS[caption_place == 0], block.endswith(b"\n"))
    is_bad = np.zeros(len(lines), bool)
    is_bad[[row for row, _, _ in malformed]] = True

    def field(place: int, rows: npt.NDArray[np.int64], is_null: npt.NDArray[np.bool_] | None = None) -> pa.Array:
        begins, ends = lines.bounds(place, rows)
        return slices(lines.buffer, begins, ends if place < _N_FIELDS - 1 else lines.ends[rows], is_null)

    captions = field(caption_place, np.arange(len(lines), dtype=np.int64), is_bad)

    def choose(indices: pa.Array) -> Chosen:
        chosen = indices.to_numpy()
        found = {"source_row": pa.array(chosen + first_row, pa.int64())}
        found["url"] = field(1 - caption_place, chosen)
        found["source_caption"] = captions.take(indices)
        return Chosen(rows_table(found), ())

    faults = tuple(Malformed(first_row + row, reason, detail) for row, reason, detail in malformed)
    return SourceBatch(first_row, captions, faults, choose)


def _find_malformed(
    lines: Lines, is_last_field_rest: bool, address: re.Pattern[bytes], is_ended: bool
) -> list[tuple[int, str, str]]:
    """Return (line of the block, reason, detail) in the order of lines; size takes precedence over encoding and fields.

    Args:
        lines: the block of lines.
        is_last_field_rest: whether the last field may hold tabs.
        address: pattern that occurs once per line.
        is_ended: whether the last line has a line end.
    """
    too_long = lines.too_long()
    faults = {row: fault for row in too_long if (fault := _joined_rows(lines.line(row), address))}
    for row in too_long:
        faults.setdefault(row, ("field_too_large", f"a line of more than {MAX_LINE_BYTES} bytes"))
    for row in lines.with_zeros():
        faults.setdefault(row, ("damaged_source", "zeros in the line, which may have been line ends"))
    is_wrong = lines.n_fields < _N_FIELDS if is_last_field_rest else lines.n_fields != _N_FIELDS
    for row, detail in lines.invalid_utf8().items():
        is_cut = not is_ended and row == len(lines) - 1
        is_torn = is_cut or is_wrong[row] or has_control(lines.line(row))
        faults.setdefault(row, ("damaged_source" if is_torn else "invalid_utf8", detail))
    for row in map(int, np.flatnonzero(lines.n_fields > _N_FIELDS)):
        if row not in faults and (fault := _joined_rows(lines.line(row), address)):
            faults[row] = fault
    for row in map(int, np.flatnonzero(is_wrong)):
        found = f"{lines.n_fields[row]} fields, expected {_N_FIELDS}"
        is_cut = not is_ended and row == len(lines) - 1 and lines.ends[row] - lines.starts[row] < MAX_LINE_BYTES
        faults.setdefault(
            row, ("damaged_source", f"the file ends inside a row: {found}") if is_cut else ("wrong_field_count", found)
        )
    return [(row, *faults[row]) for row in sorted(faults)]


def _joined_rows(line: bytes, address: re.Pattern[bytes]) -> tuple[str, str] | None:
    """Return the fault of a line that has the addresses of several rows, None if it has not."""
    if (n_rows := len(address.findall(line))) < 2:
        return None
    if b"\r" in line:
        why = "CR stands between them: convert line ends to LF, or download it again"
    else:
        why = "line ends between them are lost"
    return "damaged_source", f"{n_rows} rows in one line: {why}"
