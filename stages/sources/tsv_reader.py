"""Read a source file of two fields a line, parted by a tab: no header, no quoting, lines end with LF.

Not for other formats; `stages/sources/readers.py` is the entrance.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.fields import FIELD
from schemas.manifests import Corpus
from stages.sources.batch import (
    ROWS_SCHEMA,
    Chosen,
    Malformed,
    SourceBatch,
    SourceFileError,
    describe_invalid_utf8,
    find_invalid_utf8,
)

BLOCK_BYTES = 1 << 24
_LINE_LIMIT_BYTES = 1 << 28  # a file without line ends must not fill the memory
_LF, _TAB = 10, 9

_Positions = npt.NDArray[np.int32]


def read_batches(path: Path, corpus: Corpus, from_row: int, block_bytes: int = BLOCK_BYTES) -> Iterator[SourceBatch]:
    """Yield the lines of the file, a block of bytes at a time, leaving out blocks that end before from_row."""
    is_caption_first = corpus.columns["source_caption"] == (0,)
    first_row = 0
    for block in _blocks(path, block_bytes):
        n_lines = block.count(b"\n") + (not block.endswith(b"\n"))
        if first_row + n_lines > from_row:
            yield _read_block(block, first_row, is_caption_first)
        first_row += n_lines


def count_rows(path: Path) -> int:
    """Return the number of lines, a last one without a line end among them."""
    n_rows, last = 0, b"\n"
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                n_rows += block.count(b"\n")
                last = block[-1:]
    except OSError as error:
        raise _unreadable(path, error) from error
    return n_rows + (last != b"\n")


def _blocks(path: Path, block_bytes: int) -> Iterator[bytes]:
    """Yield whole lines; only the last block may end without a line end."""
    carried: list[bytes] = []
    try:
        with path.open("rb") as file:
            while block := file.read(block_bytes):
                cut = block.rfind(b"\n") + 1
                if cut:
                    yield b"".join([*carried, block[:cut]])
                    carried = []
                carried.append(block[cut:])
                if sum(map(len, carried)) > _LINE_LIMIT_BYTES:
                    raise SourceFileError(
                        f"{path}: expected lines, found one of more than {_LINE_LIMIT_BYTES} bytes; is it a TSV?"
                    )
    except OSError as error:
        raise _unreadable(path, error) from error
    if rest := b"".join(carried):
        yield rest


def _unreadable(path: Path, error: OSError) -> SourceFileError:
    return SourceFileError(
        f"{path}: expected a readable TSV, found: {error.strerror}; restore the file or its permissions"
    )


def _read_block(block: bytes, first_row: int, is_caption_first: bool) -> SourceBatch:
    buffer = pa.py_buffer(block)
    codes = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(codes == _LF).astype(np.int32)
    if not block.endswith(b"\n"):
        ends = np.append(ends, np.int32(len(block)))
    starts = np.concatenate([np.zeros(1, np.int32), ends[:-1] + 1]).astype(np.int32)
    tabs, n_tabs = _first_tabs(codes, starts, ends)
    malformed = _find_malformed(buffer, starts, ends, n_tabs)
    is_bad = np.zeros(len(starts), bool)
    is_bad[[row for row, _, _ in malformed]] = True
    first, second = (starts, tabs), (np.minimum(tabs + 1, ends), ends)
    caption, url = (first, second) if is_caption_first else (second, first)
    captions = _slices(buffer, caption[0], caption[1], is_bad)

    def choose(indices: pa.Array) -> Chosen:
        chosen = indices.to_numpy()
        urls = _slices(buffer, url[0][chosen], url[1][chosen])
        found = {"source_row": pa.array(chosen + first_row, pa.int64()), "url": urls}
        found["source_caption"] = captions.take(indices)
        nulls = {n: pa.nulls(len(chosen), FIELD[n].type) for n in ROWS_SCHEMA.names if n not in found}
        columns = found | nulls
        return Chosen(pa.table({n: columns[n] for n in ROWS_SCHEMA.names}, schema=ROWS_SCHEMA), ())

    faults = tuple(Malformed(first_row + row, reason, detail) for row, reason, detail in malformed)
    return SourceBatch(first_row, captions, faults, choose)


def _first_tabs(codes: npt.NDArray[np.uint8], starts: _Positions, ends: _Positions) -> tuple[_Positions, _Positions]:
    """Return the position of each line's first tab (its end where it has none), and its number of tabs."""
    tabs = np.flatnonzero(codes == _TAB).astype(np.int32)
    if len(tabs) == len(starts) and bool(np.all(tabs >= starts)) and bool(np.all(tabs < ends)):
        return tabs, np.ones(len(starts), np.int32)
    before = np.searchsorted(tabs, starts)
    n_tabs = np.searchsorted(tabs, ends) - before
    padded = np.append(tabs, codes.size)
    return np.where(n_tabs > 0, padded[before], ends).astype(np.int32), n_tabs.astype(np.int32)


def _find_malformed(
    buffer: pa.Buffer, starts: _Positions, ends: _Positions, n_tabs: _Positions
) -> list[tuple[int, str, str]]:
    """Return (line of the block, reason, detail) in the order of lines; encoding comes before the field count."""
    faults = {}
    if find_invalid_utf8(pa.StringArray.from_buffers(1, pa.py_buffer(np.array([0, buffer.size], np.int32)), buffer)):
        lines = _slices(buffer, starts, ends)
        for row in find_invalid_utf8(lines):
            line = buffer[int(starts[row]) : int(ends[row])].to_pybytes()
            faults[row] = ("invalid_utf8", describe_invalid_utf8(line))
    for row in map(int, np.flatnonzero(n_tabs != 1)):
        faults.setdefault(row, ("wrong_field_count", f"{n_tabs[row] + 1} fields, expected 2"))
    return [(row, *faults[row]) for row in sorted(faults)]


def _slices(
    buffer: pa.Buffer, begins: _Positions, ends: _Positions, is_null: npt.NDArray[np.bool_] | None = None
) -> pa.Array:
    """Return one string per slice of the buffer; slices ascend and do not overlap."""
    offsets = np.empty(2 * len(begins) + 1, np.int32)
    offsets[0:-1:2], offsets[1::2], offsets[-1] = begins, ends, buffer.size
    # Slices and the gaps between them, without a copy; then every second one.
    pieces = pa.StringArray.from_buffers(2 * len(begins), pa.py_buffer(offsets), buffer)
    evens = np.arange(0, 2 * len(begins), 2, dtype=np.int64)
    return pieces.take(pa.array(evens, mask=is_null))
