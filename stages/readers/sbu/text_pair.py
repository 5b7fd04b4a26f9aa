"""Read two text files with corresponding lines: URLs in one, captions in the other.

A single file with both is read by `stages/readers/tsv/reader.py`. Here tabs belong to texts.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from schemas.corpus import Corpus
from stages.contract import InputError
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
from stages.readers.formats.lines import BLOCK_BYTES, MAX_LINE_BYTES, Lines, read_blocks, slices
from stages.readers.formats.stretches import with_stretches

_NEXT_URL = re.compile(rb"\rhttps?://")


def read(source: SourceFiles, corpus: Corpus, choices: Choices, from_row: int = 0) -> Iterator[SourceBatch | Damage]:
    """Yield the rows of the pair, without batches that end before from_row.

    If one file has more lines than the other, a line end is damaged somewhere, and captions may belong to other images
    after any row: all rows are one damaged stretch. If the shorter file was cut off, only the rows after its end are.

    Raises:
        SourceFileError: a file is damaged; the rows of both before the fault have been yielded.
        InputError: there is not exactly one companion.
    """
    urls, captions = _pair_of(source, corpus)
    part = source.files[0][1]
    n_urls, n_captions, fault = _count_both(urls, captions)
    n_rows = n_whole = max(n_urls, n_captions)
    shorter, longer = (urls, captions) if n_urls < n_captions else (captions, urls)
    if fault is None and n_urls != n_captions:
        is_cut = not _ends_a_line(shorter) and _ends_a_line(longer)
        n_whole = max(min(n_urls, n_captions) - 1, 0) if is_cut else 0
    for batch in read_batches(urls, captions, part, n_whole):
        if batch.first_row + len(batch.captions) > from_row:
            yield from with_stretches(batch, captions)
    if n_whole < n_rows:
        detail = (
            f"expected as many captions as URLs, found {n_captions} lines in {captions.name} and {n_urls} in"
            f" {urls.name}; download both again"
        )
        yield Damage(n_whole, n_rows - n_whole, "damaged_source", detail, part, shorter)


def count(source: SourceFiles, corpus: Corpus) -> int:
    """Return the number of lines of the longer file.

    Raises:
        SourceFileError: a file is damaged; n_rows_before counts the lines that both have.
        InputError: there is not exactly one companion.
    """
    urls, captions = _pair_of(source, corpus)
    n_urls, n_captions, fault = _count_both(urls, captions)
    if fault is not None:
        fault.n_rows_before = min(n_urls, n_captions)
        raise fault
    return max(n_urls, n_captions)


def _pair_of(source: SourceFiles, corpus: Corpus) -> tuple[Path, Path]:
    if len(source.files) != 1 or len(source.companions) != 1:
        raise InputError(
            f"{corpus.title}: expected one file of URLs and one of captions, found {len(source.files)} and"
            f" {len(source.companions)} (name of the captions: {corpus.companion_pattern}). {corpus.how_to_get}"
        )
    return source.files[0][0], source.companions[0]


def _count_both(urls: Path, captions: Path) -> tuple[int, int, SourceFileError | None]:
    """Return the number of lines of both files, up to a fault, and the first fault.

    Blank lines at the end of a file, after the last line of the other, are not counted.
    """
    counts, faults = zip(*map(_count, (urls, captions)), strict=True)
    (n_urls, _), (n_captions, _) = counts
    if not any(faults):
        n_longer_text = max(counts)[1]
        n_lines = min(n_urls, n_captions)
        if n_longer_text <= n_lines:
            return n_lines, n_lines, None
    return n_urls, n_captions, next(filter(None, faults), None)


def _count(path: Path) -> tuple[tuple[int, int], SourceFileError | None]:
    """Return the number of lines, their number up to the last one that is not blank, and the fault after them."""
    n_lines, n_to_text = 0, 0
    try:
        for block in read_blocks(path):
            if text := block.rstrip():
                n_to_text = n_lines + text.count(b"\n") + 1
            n_lines += block.count(b"\n") + (not block.endswith(b"\n"))
    except SourceFileError as error:
        return (n_lines, n_to_text), error
    return (n_lines, n_to_text), None


def _ends_a_line(path: Path) -> bool:
    """Return whether a file ends with a line end; a packed file that is cut off is damaged anyway."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 1, 0))
        return path.suffix != ".txt" or file.read(1) == b"\n"


def read_batches(
    urls: Path, captions: Path, part: int, n_rows_max: int, block_bytes: int = BLOCK_BYTES
) -> Iterator[SourceBatch]:
    """Yield aligned pairs of lines, one block at a time."""
    sides = _Side(urls, block_bytes), _Side(captions, block_bytes)
    first_row = 0
    while n_rows := min(n_rows_max - first_row, *(side.n_ahead() for side in sides)):
        yield _read_rows(*sides, n_rows, first_row, part)
        first_row += n_rows
        for side in sides:
            side.place += n_rows
    for side in sides:  # one file may end before the fault of the other
        while n_left := side.n_ahead():
            side.place += n_left


class _Side:
    """The lines of one file, one block at a time.

    Attributes:
        lines: lines of the block.
        place: position of the next line to read.
    """

    def __init__(self, path: Path, block_bytes: int) -> None:
        self._blocks = read_blocks(path, block_bytes)
        self.lines, self.place = Lines(b"\n"), 1

    def n_ahead(self) -> int:
        """Return the number of unread lines of the block, or else of the next one; 0 at the end."""
        if self.place == len(self.lines) and (block := next(self._blocks, None)):
            self.lines, self.place = Lines(block), 0
        return len(self.lines) - self.place


def _read_rows(urls: _Side, captions: _Side, n_rows: int, first_row: int, part: int) -> SourceBatch:
    faults = _find_faults(captions, n_rows, "caption") | _find_faults(urls, n_rows, "URL")
    is_bad = np.zeros(n_rows, bool)
    is_bad[list(faults)] = True
    rows = np.arange(n_rows)
    texts, addresses = (
        slices(lines.buffer, lines.starts[place + rows], lines.ends[place + rows], is_bad)
        for lines, place in ((captions.lines, captions.place), (urls.lines, urls.place))
    )

    def choose(indices: pa.Array) -> Chosen:
        columns = {
            "source_row": pa.array(indices.to_numpy() + first_row, pa.int64()),
            "url": addresses.take(indices),
            "source_caption": texts.take(indices),
        }
        return Chosen(rows_table(columns), ())

    malformed = tuple(Malformed(first_row + row, *faults[row]) for row in sorted(faults))
    return SourceBatch(first_row, texts, malformed, choose, part)


def _find_faults(side: _Side, n_rows: int, what: str) -> dict[int, tuple[str, str]]:
    """Return reason and detail of faults by position in the next rows of a file."""
    faults = {row: ("invalid_utf8", f"{what}: {detail}") for row, detail in side.lines.invalid_utf8().items()}
    for row in side.lines.with_zeros():
        faults[row] = ("damaged_source", f"{what} with bytes of zero")
    for row in side.lines.too_long():
        faults[row] = ("field_too_large", f"{what} of more than {MAX_LINE_BYTES} bytes")
    for found in _NEXT_URL.finditer(side.lines.buffer) if what == "URL" else ():
        row = int(np.searchsorted(side.lines.starts, found.start(), side="right")) - 1
        faults[row] = ("damaged_source", "several URLs in a line, CR stands between them: convert line ends to LF")
    return {row - side.place: fault for row, fault in faults.items() if 0 <= row - side.place < n_rows}
