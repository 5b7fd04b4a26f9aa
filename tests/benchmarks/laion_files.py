"""Synthetic source files with LAION-2B's columns: captions of about 73 bytes, 0.14 % with a keyword."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SHARE_MATCHING = 0.0014
_KEYWORD = "aerial view"
_CHUNK_ROWS = 250_000
# Syllables that cannot form a keyword by chance; some end with a blank, to form words.
_SYLLABLES = ("ba", "ke", "lo", "mi", "nu", "ra", "se", "to", "vy", "zu", "dra", "sti", "po ", "fe ")


def write_laion(path: Path, n_rows: int, *, group_rows: int, compression: str) -> Path:
    """Write a file with all columns of LAION-2B unless it exists, and return its path.

    Args:
        path: of the file; it appears only when complete. Its folder is created.
        n_rows: number of rows, a multiple of 250,000.
        group_rows: rows per row group.
        compression: Parquet's name of the codec.
    """
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    phrases = _phrases(rng, 40_000)
    partial = path.with_suffix(".partial")
    waiting: list[pa.Table] = []
    with pq.ParquetWriter(partial, laion_rows(rng, phrases, 0, 0).schema, compression=compression) as writer:
        for start in range(0, n_rows, _CHUNK_ROWS):
            waiting.append(laion_rows(rng, phrases, start, min(_CHUNK_ROWS, n_rows - start)))
            is_last = start + _CHUNK_ROWS >= n_rows
            if is_last or sum(table.num_rows for table in waiting) >= group_rows:
                writer.write_table(pa.concat_tables(waiting), row_group_size=group_rows)
                waiting = []
    partial.rename(path)
    return path


def laion_rows(rng: np.random.Generator, phrases: pa.Array, start: int, n_rows: int) -> pa.Table:
    """Return n_rows rows, numbered from start."""

    def draw(n_kinds: int) -> pa.Array:
        return phrases.take(pa.array(rng.integers(0, n_kinds, n_rows)))

    rows = pa.array(np.arange(start, start + n_rows))
    captions = pc.binary_join_element_wise(*(draw(len(phrases)) for _ in range(3)), " ")
    matching = pc.binary_join_element_wise(pc.utf8_slice_codeunits(captions, 0, 61), _KEYWORD, " ")
    is_match = pa.array(np.arange(start, start + n_rows) % round(1 / SHARE_MATCHING) == 0)
    hosts = pc.replace_substring(draw(5000), " ", "-")
    licences = pa.array(["?", "", "https://creativecommons.org/licenses/by/2.0/"])
    tags = pa.array(["UNLIKELY", "UNSURE", "NSFW", None])
    return pa.table(
        {
            "SAMPLE_ID": pa.array(rng.integers(0, 2**40, n_rows)),
            "URL": pc.binary_join_element_wise(
                "https://www.", hosts, ".example/img/", rows.cast(pa.string()), "-1200x800.jpg", ""
            ),
            "TEXT": pc.if_else(is_match, matching, captions),
            "HEIGHT": pa.array(rng.integers(100, 4000, n_rows).astype(np.int32)),
            "WIDTH": pa.array(rng.integers(100, 4000, n_rows).astype(np.int32)),
            "LICENSE": licences.take(pa.array(rng.choice(3, n_rows, p=[0.9, 0.08, 0.02]))),
            "NSFW": tags.take(pa.array(rng.choice(4, n_rows, p=[0.93, 0.04, 0.02, 0.01]))),
            "similarity": pa.array(rng.uniform(0.28, 0.45, n_rows)),
        }
    )


def _phrases(rng: np.random.Generator, n: int) -> pa.Array:
    # Three of them and two blanks make a caption, 73 bytes on average.
    picks = np.array(_SYLLABLES)[rng.integers(0, len(_SYLLABLES), (n, 11))]
    picks[rng.random(n) < 0.6, -1] = ""
    return pa.array(["".join(row).strip() for row in picks])
