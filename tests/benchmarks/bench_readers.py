"""bench-readers: speed of reading source files against a library's plain parse of the same bytes.

A reader yields all captions and one row in 400 in full, as for the filter; the parse discards its result.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from schemas.corpora import load_corpora
from schemas.corpus import Corpus
from stages.readers.batch import SourceBatch, SourceFiles
from stages.readers.readers import count_source, read_source
from tests.benchmarks.harness import BENCH, Goal, Row, cpu_seconds, report, run_pairs, sized
from tests.benchmarks.reader_files import cc3m_file, cc12m_file, packed_wit_file, wit_file

MAX_TIME_OVER_PARSE = 1 / 0.6  # at least 60 % of the parse's speed
N_PAIRS = sized(5, 1)
_ROWS_PER_MATCH = 400


@dataclass(frozen=True)
class Case:
    """A corpus's file and its baseline.

    Attributes:
        name: printed name.
        code: code of the corpus.
        make: writes the file to a folder unless it exists.
        parse: the plain parse.
        is_goal: whether MAX_TIME_OVER_PARSE applies.
        is_count: whether rows are only counted.
    """

    name: str
    code: str
    make: Callable[[Path], Path]
    parse: Callable[[Path], object]
    is_goal: bool = True
    is_count: bool = False


def parse_lines(path: Path) -> object:
    """Read all fields of an unquoted file with pyarrow.csv on one core."""
    return pyarrow.csv.read_csv(
        path,
        pyarrow.csv.ReadOptions(use_threads=False, column_names=["a", "b"]),
        pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False),
    )


def parse_quoted(path: Path) -> object:
    """Read all fields of a quoted file with the standard library's csv module."""
    csv.field_size_limit(1 << 24)
    with path.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.reader(file, delimiter="\t"))


def parse_quoted_by_arrow(path: Path) -> object:
    """Read all fields of a quoted file with pyarrow.csv on one core."""
    return pyarrow.csv.read_csv(
        path,
        pyarrow.csv.ReadOptions(use_threads=False),
        pyarrow.csv.ParseOptions(delimiter="\t", newlines_in_values=True),
    )


def unpack(path: Path) -> object:
    """Decompress a gzip file and discard the content."""
    with gzip.open(path) as file:
        while file.read(1 << 24):
            pass
    return None


# A new case needs a file in reader_files.py and a plain parse above.
CASES: tuple[Case, ...] = (
    Case("CC3M against pyarrow.csv", "cc3m", cc3m_file, parse_lines),
    Case("CC12M against pyarrow.csv", "cc12m", cc12m_file, parse_lines),
    Case("WIT against csv", "wit", wit_file, parse_quoted),
    # No goal: after a stray quote pyarrow.csv rejects the whole file or silently drops rows.
    Case("WIT against pyarrow.csv", "wit", wit_file, parse_quoted_by_arrow, is_goal=False),
    Case("WIT, packed, against unpacking", "wit", packed_wit_file, unpack, is_goal=False),
    Case("WIT, rows counted, against csv", "wit", wit_file, parse_quoted, is_count=True),
)


def main() -> None:
    """Measure, print and write build/bench/readers.json."""
    folder = BENCH / "readers"
    folder.mkdir(parents=True, exist_ok=True)
    rows, goals = [], []
    for case in CASES:
        row = measure(case, folder)
        rows.append(row)
        if case.is_goal and row.ratio is not None:
            goals.append(Goal(f"time over the plain parse: {case.name}", row.ratio, MAX_TIME_OVER_PARSE))
    report("readers", rows, goals)


def measure(case: Case, folder: Path) -> Row:
    """Return the seconds of a case and of its plain parse; the row's name states the MB read."""
    path = case.make(folder)
    corpus, source = load_corpora()[case.code], SourceFiles(((path, 0),))
    run = (lambda: count_source(source, corpus)) if case.is_count else (lambda: read_all(source, corpus))
    pairs = run_pairs(lambda _: cpu_seconds(run), lambda _: cpu_seconds(lambda: case.parse(path)), N_PAIRS)
    return pairs.row(f"{case.name}, {path.stat().st_size / 1e6:.0f} MB", "s")


def read_all(source: SourceFiles, corpus: Corpus) -> int:
    """Read a partition as the filter does, and return its number of rows."""
    n_rows = 0
    for found in read_source(source, corpus):
        assert isinstance(found, SourceBatch) and not found.malformed
        found.rows(pa.array(np.arange(len(found.captions)) % _ROWS_PER_MATCH == 0))
        n_rows += len(found.captions)
    return n_rows


if __name__ == "__main__":
    main()
