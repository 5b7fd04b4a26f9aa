"""Filter source files: which of their rows have a caption with a keyword, and what became of the others.

Not for the declaration of the stage (`stages/filter.py`) nor for file formats (`stages/sources/readers.py`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.fields import FIELD
from schemas.manifests import Corpus
from schemas.tables import CANDIDATE
from stages.contract import rejects_table
from stages.sources.encoded import searched_text, strip_tags
from stages.sources.keywords import clean_caption, match_any, matched_keywords
from stages.sources.lines import count_lines
from stages.sources.readers import ROWS_SCHEMA, Malformed, SourceBatch, count_rows, read_batches
from stages.sources.yfcc_reader import read_batches as read_photos
from stages.sources.yfcc_reader import read_list

REASONS = (
    "no_caption", "no_keyword", "no_url", "invalid_utf8", "wrong_field_count", "no_metadata_row", "listed_again",
)  # fmt: skip
_CONVERT_ROWS = 20_000  # one call per keyword on few rows would cost more than the rows


@dataclass(frozen=True)
class Filtered:
    """What the filter made of a source file, or of those of a corpus that has a list.

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
    found = filter_batches(read_batches(path, corpus), corpus, part, patterns, on_progress)
    return Filtered(found.candidates, found.malformed, {**found.counts, "given": count_rows(path, corpus)})


def filter_photos(
    files: Sequence[tuple[Path, int]],
    list_path: Path,
    corpus: Corpus,
    patterns: Sequence[str],
    on_progress: Callable[[int], None] = lambda n_rows: None,
) -> Filtered:
    """Return the same of all metadata files of YFCC at once; given are the lines of the list.

    Args:
        files: the metadata files and the numbers in their names; where two have a photo, the first counts.
        list_path: the list of the photos that belong to the corpus.
        corpus: says how the files are read.
        patterns: substrings, ASCII letters compared without regard to case, searched in the decoded texts.
        on_progress: called with the number of listed rows just read, block by block.

    Raises:
        SourceFileError: a file is missing, damaged, or not what the corpus's manifest says.
    """
    photos = read_list(list_path)
    parts = [
        filter_batches(read_photos(path, corpus, photos), corpus, part, patterns, on_progress) for path, part in files
    ]
    counts = {name: sum(found.counts[name] for found in parts) for name in ("kept", *REASONS)}
    counts["given"] = count_lines(list_path)
    counts["no_metadata_row"] = photos.n_missing
    counts["listed_again"] = photos.n_listed - len(photos.ids)
    return Filtered(
        pa.concat_tables([CANDIDATE.schema.empty_table(), *(found.candidates for found in parts)]),
        pa.concat_tables([CANDIDATE.reject_schema.empty_table(), *(found.malformed for found in parts)]),
        counts,
    )


def filter_batches(
    batches: Iterable[SourceBatch],
    corpus: Corpus,
    part: int,
    patterns: Sequence[str],
    on_progress: Callable[[int], None],
) -> Filtered:
    """Return what became of the rows of one source file; how many were given is not counted here."""
    counts = Counter(dict.fromkeys(("kept", *REASONS), 0))
    tables, waiting, faults = [CANDIDATE.schema.empty_table()], [ROWS_SCHEMA.empty_table()], []
    for batch in batches:
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
    lacking = chosen.table.filter(has_no_url).select(["source_row", "native_id"]).to_pylist()
    no_url = (Malformed(row["source_row"], "no_url", "the URL is empty", row["native_id"]) for row in lacking)
    faults += [*chosen.malformed, *no_url]
    return chosen.table.filter(pc.invert(has_no_url)), sorted(faults)


def is_blank(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return true where a text is null, empty or Unicode white space only."""
    is_empty = pc.equal(pc.binary_length(texts), 0)
    return pc.fill_null(pc.or_(is_empty, pc.utf8_is_space(texts)), True)


def _count_blank(captions: pa.Array) -> int:
    return pc.sum(is_blank(captions)).as_py() or 0


def _sample_ids(corpus: Corpus, part: int, rows: Any, native_ids: Any) -> pa.Array | pa.ChunkedArray:
    if corpus.has_native_sample_ids:
        return pc.binary_join_element_wise(f"{corpus.code}_", native_ids, "")
    return pc.binary_join_element_wise(f"{corpus.code}_{part}_", rows.cast(pa.string()), "")


def _as_candidates(found: pa.Table, corpus: Corpus, part: int, patterns: Sequence[str]) -> pa.Table:
    n_rows = found.num_rows
    captions = searched_text(found["source_caption"].combine_chunks(), corpus)
    columns = {name: found[name] for name in found.schema.names} | {
        "sample_id": _sample_ids(corpus, part, found["source_row"], found["native_id"]),
        "corpus": pa.repeat(corpus.code, n_rows),
        "part": pa.repeat(pa.scalar(part, pa.int32()), n_rows),
        "caption": clean_caption(strip_tags(captions) if corpus.is_url_encoded else captions),
        "keywords": matched_keywords(captions, patterns),
        "annotation_licence": pa.repeat(corpus.annotation_licence, n_rows),
        **{name: pa.nulls(n_rows, FIELD[name].type) for name in ("machine_tags", "machine_tag_probs")},
    }
    return pa.table({name: columns[name] for name in CANDIDATE.schema.names}).cast(CANDIDATE.schema)


def _as_rejects(faults: Sequence[Malformed], corpus: Corpus, part: int) -> pa.Table:
    rows = pa.array([fault.source_row for fault in faults], pa.int64())
    reasons = pa.array([fault.reason for fault in faults], pa.string())
    details = pa.array([fault.detail for fault in faults], pa.string())
    native_ids = pa.array([fault.native_id for fault in faults], pa.string())
    return rejects_table(CANDIDATE, {"sample_id": _sample_ids(corpus, part, rows, native_ids)}, reasons, details)
