"""bench-filter: CPU time of the keyword filter on one core over that of only reading, and its memory.

Floors are measured on the same file in the same run, in CPU time, which a shared machine disturbs less than wall time.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq

from flows.run.worker import prepare_libraries
from schemas.corpora import load_corpora
from schemas.manifests import load_keywords
from stages.filter.filtering import filter_source
from stages.filter.keywords import match_any
from stages.filter.stage import FilterParams, search_of
from stages.readers.batch import SourceBatch, SourceFiles
from stages.readers.formats.texts import count_blank
from stages.readers.parquet.caption_stream import FastRows
from stages.readers.readers import read_source
from tests.benchmarks.harness import BENCH, Goal, Pairs, Row, cpu_seconds, report, run_pairs, sized
from tests.benchmarks.laion_files import SHARE_MATCHING, write_laion

N_ROWS = sized(8_000_000, 40_000)
_GROUP_ROWS, _ONE_GROUP = sized(1_000_000, 20_000), sized(4_000_000, 30_000)
MAX_DECIDING, MAX_FULL, MAX_RSS_MB = 1.5, 1.4, 1024
_PAIRS = sized(3, 1)
_UNIT = "CPU s per 1 M rows"
_FOLDER = BENCH / "filter"
_MEMORY = "import sys; from tests.benchmarks.bench_filter import peak_mb; print(peak_mb(sys.argv[1]))"


def main() -> None:
    """Measure, print and write build/bench/filter.json."""
    use_one_thread()
    rows: list[Row] = []
    goals: list[Goal] = []
    for compression in ("snappy", "zstd"):
        more_rows, more_goals = measure_file(compression)
        rows += more_rows
        goals += more_goals
    memory_rows, memory_goals = measure_memory()
    report("filter", [*rows, *memory_rows], [*goals, *memory_goals])


def measure_file(compression: str) -> tuple[list[Row], list[Goal]]:
    """Return the costs of matching alone and of the full job on a file with a compression."""
    path = _FOLDER / f"{compression}-{N_ROWS}.parquet"
    write_laion(path, N_ROWS, group_rows=_GROUP_ROWS, compression=compression)
    deciding = run_pairs(_cpu(lambda: decide(path)), _cpu(lambda: read_captions(path)), _PAIRS)
    cases = [(f"deciding, {compression}, over DuckDB sum(strlen(TEXT))", deciding, MAX_DECIDING)]
    for name, full in measure_full(path).items():
        cases.append((f"full job, {compression}, over decoding all columns with {name}", full, MAX_FULL))
    rows = [pairs.row(case, _UNIT, 1e6 / N_ROWS) for case, pairs, _ in cases]
    rows += measure_steps(path, compression)
    return rows, [Goal(case, pairs.ratio, limit) for case, pairs, limit in cases]


def measure_steps(path: Path, compression: str) -> list[Row]:
    """Return the steps of the full job over decoding all columns with DuckDB; the remainder are conversions."""
    steps = {
        "reading the captions": read_texts,
        "reading and deciding": decide,
        "decoding the other columns": read_others,
    }
    floor = _floor(decode_by_duckdb, path)
    return [
        run_pairs(_floor(step, path), floor, _PAIRS).row(f"of it {name}, {compression}", _UNIT, 1e6 / N_ROWS)
        for name, step in steps.items()
    ]


def use_one_thread() -> None:
    """Limit Arrow and Polars (not imported yet) to one core, as in a worker process."""
    prepare_libraries(1)


def read_captions(path: Path) -> None:
    """Read the captions with DuckDB, the cheapest way."""
    _query(f"SELECT sum(strlen(TEXT)) FROM read_parquet('{path}')")


def decide(path: Path) -> tuple[int, int]:
    """Return how many captions of a file contain a keyword, and how many are blank."""
    patterns = search_of(FilterParams(), load_keywords()).patterns
    n_matches = n_blank = 0
    for batch in read_source(SourceFiles(((path, 0),)), load_corpora()["laion2b"]):
        assert isinstance(batch, SourceBatch)
        n_matches += match_any(batch.captions, patterns).true_count
        n_blank += count_blank(batch.captions)
    return n_matches, n_blank


def read_texts(path: Path) -> None:
    """Read only the captions, as the filter does."""
    for _ in read_source(SourceFiles(((path, 0),)), load_corpora()["laion2b"]):
        continue


def read_others(path: Path) -> None:
    """Read the other columns for as many rows as match, as the filter does."""
    with pq.ParquetFile(path) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        names = [name for name in file.schema_arrow.names if name != "TEXT"]
    for first_row, n_rows in zip(accumulate(sizes, initial=0), sizes, strict=False):
        if FastRows(path, first_row, n_rows, names).take(np.arange(0, n_rows, round(1 / SHARE_MATCHING))) is None:
            raise RuntimeError(f"expected a file that Polars reads, found {path}")


def filter_all(path: Path) -> None:
    """Filter a source file as the stage does."""
    found = filter_source(
        SourceFiles(((path, 0),)), load_corpora()["laion2b"], search_of(FilterParams(), load_keywords())
    )
    assert found.counts["kept"] > 0


def decode_by_duckdb(path: Path) -> None:
    """Decode all columns with DuckDB."""
    _query(
        "SELECT sum(SAMPLE_ID), sum(strlen(URL)), sum(strlen(TEXT)), sum(HEIGHT), sum(WIDTH), sum(strlen(LICENSE)),"
        f" sum(strlen(NSFW)), sum(similarity) FROM read_parquet('{path}')"
    )


def decode_by_arrow(path: Path) -> None:
    """Decode all columns with Arrow."""
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for _ in file.iter_batches(1 << 15, use_threads=False):
            continue


def measure_full(path: Path) -> dict[str, Pairs]:
    """Return the full job against two ways of decoding all columns."""
    floors = {"pyarrow": decode_by_arrow, "DuckDB": decode_by_duckdb}
    return {
        name: run_pairs(_cpu(lambda: filter_all(path)), _floor(decode, path), _PAIRS) for name, decode in floors.items()
    }


def _floor(decode: Callable[[Path], object], path: Path) -> Callable[[int], float]:
    return _cpu(lambda: decode(path))


def _cpu(run: Callable[[], object]) -> Callable[[int], float]:
    return lambda _: cpu_seconds(run)


def measure_memory() -> tuple[list[Row], list[Goal]]:
    """Return the peak memory of filtering a file, one with twice the rows, and one with a single row group."""
    cases = {
        f"{N_ROWS:,} rows": write_laion(
            _FOLDER / f"snappy-{N_ROWS}.parquet", N_ROWS, group_rows=_GROUP_ROWS, compression="snappy"
        ),
        f"{2 * N_ROWS:,} rows": write_laion(
            _FOLDER / f"snappy-{2 * N_ROWS}.parquet", 2 * N_ROWS, group_rows=_GROUP_ROWS, compression="snappy"
        ),
        f"one row group of {_ONE_GROUP:,} rows": write_laion(
            _FOLDER / "one-group.parquet", _ONE_GROUP, group_rows=_ONE_GROUP, compression="zstd"
        ),
    }
    rows, goals = [], []
    for case, path in cases.items():
        command = [sys.executable, "-c", _MEMORY, str(path)]
        peak = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        rows.append(Row(f"peak memory, {case}", peak, "MB"))
        goals.append(Goal(f"peak memory, {case}, MB", peak, MAX_RSS_MB))
    return rows, goals


def peak_mb(path: str) -> float:
    """Return this process's peak memory in MB while it filtered a file."""
    use_one_thread()
    filter_all(Path(path))
    status = Path("/proc/self/status").read_text()
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines["VmHWM"].split()[0]) / 1024


def _query(query: str) -> None:
    with duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": False}) as db:
        db.execute(query).fetchall()


if __name__ == "__main__":
    main()
