"""Filter one source file: which of its rows have a caption with a keyword, and what became of the others.

Not for the declaration of the stage (`stages/filter.py`) nor for file formats (`stages/sources/readers.py`).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from schemas.manifests import Corpus
from schemas.tables import CANDIDATE
from stages.contract import rejects_table
from stages.sources.keywords import clean_caption, match_any, matched_keywords
from stages.sources.readers import ROWS_SCHEMA, Malformed, SourceBatch, count_rows, read_batches

_REASONS = ("no_caption", "no_keyword", "no_url", "invalid_utf8", "wrong_field_count")
_CONVERT_ROWS = 20_000  # one call per keyword on few rows would cost more than the rows


@dataclass(frozen=True)
class Filtered:
    """What the filter made of a source file.

    Attributes:
        candidates: rows with a keyword and a URL, in file order, as the table candidate.
        malformed: reject rows of the table candidate (sample_id, reason, detail), in file order: rows that cannot be
            read, and rows with a keyword and no URL.
        counts: given (counted apart from the reading), kept and one entry per reason.
    """

    candidates: pa.Table
    malformed: pa.Table
    counts: dict[str, int]


def filter_file(
    path: Path,
    corpus: Corpus,
    part: int,
    patterns: Sequence[str],
    on_progress: Callable[[int], None] = lambda n_rows: None,
) -> Filtered:
    """Return the rows of a source file whose published caption holds a pattern, and the counts of all others.

    Args:
        path: the source file.
        corpus: says how the file is read.
        part: the number in the file's name.
        patterns: substrings, ASCII letters compared without regard to case.
        on_progress: called with the number of rows just read, batch by batch.

    Raises:
        SourceFileError: the file is missing, damaged, or not what the corpus's manifest says.
    """
    counts = Counter(dict.fromkeys(("given", "kept", *_REASONS), 0))
    counts["given"] = count_rows(path, corpus)
    tables, waiting, faults = [CANDIDATE.schema.empty_table()], [ROWS_SCHEMA.empty_table()], []
    for batch in read_batches(path, corpus):
        found, refused = _filter_batch(batch, patterns, counts)
        faults += refused
        if found is not None:
            waiting.append(found)
        if sum(table.num_rows for table in waiting) >= _CONVERT_ROWS:
            tables.append(_as_candidates(pa.concat_tables(waiting), corpus, part, patterns))
            waiting = [ROWS_SCHEMA.empty_table()]
        on_progress(len(batch.captions))
    tables.append(_as_candidates(pa.concat_tables(waiting), corpus, part, patterns))
    candidates = pa.concat_tables(tables)
    counts["kept"] = candidates.num_rows
    counts.update(Counter(fault.reason for fault in faults))
    return Filtered(candidates, _as_rejects(faults, corpus, part), dict(counts))


def _filter_batch(
    batch: SourceBatch, patterns: Sequence[str], counts: Counter[str]
) -> tuple[pa.Table | None, list[Malformed]]:
    """Return the rows with a keyword and a URL, and the rows that are refused by name; count the others."""
    is_match = match_any(batch.captions, patterns)
    n_matches = pc.sum(is_match).as_py() or 0
    n_blank = _count_blank(batch.captions) - len(batch.malformed)  # malformed rows have no caption either
    counts["no_caption"] += n_blank
    counts["no_keyword"] += len(batch.captions) - len(batch.malformed) - n_blank - n_matches
    faults = list(batch.malformed)
    if not n_matches:
        return None, faults
    chosen = batch.rows(is_match)
    has_no_url = is_blank(chosen.table["url"])
    lacking = chosen.table.filter(has_no_url)["source_row"].to_pylist()
    faults += [*chosen.malformed, *(Malformed(row, "no_url", "the URL is empty") for row in lacking)]
    return chosen.table.filter(pc.invert(has_no_url)), sorted(faults)


def is_blank(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return true where a text is null, empty or Unicode white space only."""
    is_empty = pc.equal(pc.binary_length(texts), 0)
    return pc.fill_null(pc.or_(is_empty, pc.utf8_is_space(texts)), True)


def _count_blank(captions: pa.Array) -> int:
    return pc.sum(is_blank(captions)).as_py() or 0


def _sample_ids(corpus: Corpus, part: int, rows: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    return pc.binary_join_element_wise(f"{corpus.code}_{part}_", rows.cast(pa.string()), "")


def _as_candidates(found: pa.Table, corpus: Corpus, part: int, patterns: Sequence[str]) -> pa.Table:
    n_rows = found.num_rows
    captions = found["source_caption"].combine_chunks()
    columns = {name: found[name] for name in found.schema.names} | {
        "sample_id": _sample_ids(corpus, part, found["source_row"]),
        "corpus": pa.repeat(corpus.code, n_rows),
        "part": pa.repeat(pa.scalar(part, pa.int32()), n_rows),
        "caption": clean_caption(captions),
        "keywords": matched_keywords(captions, patterns),
        "annotation_licence": pa.repeat(corpus.annotation_licence, n_rows),
    }
    return pa.table({name: columns[name] for name in CANDIDATE.schema.names}).cast(CANDIDATE.schema)


def _as_rejects(faults: Sequence[Malformed], corpus: Corpus, part: int) -> pa.Table:
    rows = pa.array([fault.source_row for fault in faults], pa.int64())
    reasons = pa.array([fault.reason for fault in faults], pa.string())
    details = pa.array([fault.detail for fault in faults], pa.string())
    return rejects_table(CANDIDATE, {"sample_id": _sample_ids(corpus, part, rows)}, reasons, details)
