"""Read WIT's files: each record is one image on one page, with up to three texts of the image.

Entry point: `stages/readers/readers.py`. `formats/quoted.py` defines records.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.corpus import Corpus
from stages.readers.batch import (
    Choices,
    Chosen,
    Damage,
    Malformed,
    SourceBatch,
    SourceFileError,
    SourceFiles,
    describe_invalid_utf8,
    rows_table,
)
from stages.readers.formats.lines import has_control, read_text
from stages.readers.formats.packed import BLOCK_BYTES
from stages.readers.formats.quoted import MAX_RECORD_BYTES, Look, Records, read_records, record_pattern
from stages.readers.formats.quoted_count import count_records
from stages.readers.formats.stretches import with_stretches
from stages.readers.formats.texts import is_blank
from stages.readers.wit.texts import without_language_name

_N_COLUMNS = (17, 18)  # Kaggle's edition has one more: title and reference text combined
# The first one that is not blank is the caption.
_TEXTS = ("caption_reference_description", "caption_attribution_description", "caption_alt_text_description")
_NEEDED = ("language", "image_url", *_TEXTS, "original_height", "original_width")
# Language and URL of the page; that URL and the image's follow tabs.
_LOOK = Look(rb'[A-Za-z-]{2,16}\t"?https?://', rb'\t"?https?://', 2)
_SIZE = re.compile(r"\d{1,9}", re.ASCII)

_Rows = npt.NDArray[np.int64]


def read(source: SourceFiles, corpus: Corpus, choices: Choices, from_row: int = 0) -> Iterator[SourceBatch | Damage]:
    """Yield the records of the files, one block of bytes at a time, without blocks that end before from_row."""
    for path, part in source.files:
        for batch in read_batches(path, part, corpus, choices, from_row):
            yield from with_stretches(batch, path)


def count(source: SourceFiles, corpus: Corpus) -> int:
    """Return the number of rows, counted by the csv module of the standard library."""
    return sum(count_records(path, len(read_header(path, corpus)), look=_LOOK) for path, _ in source.files)


def read_batches(
    path: Path, part: int, corpus: Corpus, choices: Choices, from_row: int, block_bytes: int = BLOCK_BYTES
) -> Iterator[SourceBatch]:
    """Yield the records of one file."""
    header = read_header(path, corpus)
    places = sorted(header.index(name) for name in _NEEDED)
    groups = {header[place]: group for group, place in enumerate(places, 1)}
    look = _LOOK._replace(n_tabs=len(header) - 1)
    for records in read_records(path, record_pattern(len(header), places), block_bytes, look):
        if len(records) and records.first_row + len(records) > from_row:
            yield _Batch(records, groups, choices.wit_languages).as_source_batch(part)


def read_header(path: Path, corpus: Corpus) -> list[str]:
    """Return the names of the columns.

    Raises:
        SourceFileError: the file cannot be read, or its first line is not the published header.
    """
    line = b""
    for block in read_text(path, 1 << 16):
        line += block
        if b"\n" in block or len(line) > MAX_RECORD_BYTES:
            break
    text = line[:MAX_RECORD_BYTES].partition(b"\n")[0].decode("utf-8", "replace").strip("\r")
    names = [name.strip('"') for name in text.split("\t")]
    missing = [name for name in _NEEDED if names.count(name) != 1]
    if missing or len(names) not in _N_COLUMNS:
        raise SourceFileError(
            f"{path}: expected a header of {_N_COLUMNS[0]} columns, {', '.join(_NEEDED)} among them, found"
            f" {len(names)} without {missing}; put {corpus.title}'s own files there",
            "wrong_columns",
        )
    return names


@dataclass(frozen=True)
class _Batch:
    """Records, the group number of each column, and the languages to read (empty: all)."""

    records: Records
    groups: dict[str, int]
    languages: tuple[str, ...]

    def as_source_batch(self, part: int) -> SourceBatch:
        """Return the batch for the filter."""
        first_row, faults = self.records.first_row, self.faults
        malformed = (Malformed(first_row + row, *faults[row]) for row in sorted(faults))
        captions, left_out = self.captions, {}
        if self.languages:
            is_other = pc.invert(pc.is_in(self._field("language"), value_set=pa.array(self.languages, pa.string())))
            is_other = pc.and_(is_other, pa.array(~self.is_bad))
            captions = pc.if_else(is_other, pa.scalar(None, pa.string()), captions)
            left_out["other_language"] = is_other
        return SourceBatch(first_row, captions, tuple(malformed), self.choose, part, left_out)

    @cached_property
    def faults(self) -> dict[int, tuple[str, str]]:
        """The faults of records by position: reason and detail."""
        faults = dict.fromkeys(self.records.with_zeros(), ("damaged_source", "bytes of zero in a record"))
        faults |= self.records.refused
        for row in self.records.invalid_utf8():
            value = self.records.whole(np.array([row]))[0].as_buffer().to_pybytes()
            reason = "damaged_source" if has_control(value) else "invalid_utf8"
            faults.setdefault(row, (reason, describe_invalid_utf8(value)))
        return faults

    @cached_property
    def is_bad(self) -> npt.NDArray[np.bool_]:
        """Which records are malformed."""
        is_bad = np.zeros(len(self.records), bool)
        is_bad[list(self.faults)] = True
        return is_bad

    @cached_property
    def captions(self) -> pa.Array:
        """The first non-blank text of each record, as published."""
        return pc.coalesce(*self._texts)

    def choose(self, indices: pa.Array) -> Chosen:
        """Return our columns of some records."""
        rows = indices.to_numpy()
        texts = [text.take(indices).to_pylist() for text in self._texts]
        captions = self.captions.take(indices)
        columns = {
            "source_row": pa.array(rows + self.records.first_row, pa.int64()),
            "url": self._field("image_url", rows),
            "source_caption": captions,
            "plain_caption": pa.array(map(_plain, *texts), pa.string()),
            "language": self._field("language", rows),
            "other_texts": pa.array(map(_others, *texts), pa.list_(pa.string())),
            "published_height_px": _sizes(self._field("original_height", rows)),
            "published_width_px": _sizes(self._field("original_width", rows)),
        }
        return Chosen(rows_table(columns), ())

    def _field(self, name: str, rows: _Rows | None = None) -> pa.Array:
        rows = np.arange(len(self.records)) if rows is None else rows
        return self.records.field(self.groups[name], rows, self.is_bad[rows])

    @cached_property
    def _texts(self) -> list[pa.Array]:
        texts = [self._field(name) for name in _TEXTS]
        return [pc.if_else(is_blank(text), pa.scalar(None, pa.string()), text) for text in texts]


def _plain(reference: str | None, attribution: str | None, alt: str | None) -> str | None:
    """Return the caption without the name of its language; blank texts are null."""
    if reference is None and attribution is not None:
        return without_language_name(attribution)
    return reference or alt


def _others(*texts: str | None) -> list[str] | None:
    """Return the texts of a record other than its caption; None if it has no others."""
    return [text for text in texts if text is not None][1:] or None


def _sizes(texts: pa.Array) -> pa.Array:
    sizes = [int(text) if _SIZE.fullmatch(text) else None for text in texts.to_pylist()]
    return pa.array(sizes, pa.int32())
