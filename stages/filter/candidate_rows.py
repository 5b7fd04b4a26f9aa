"""Rows of source files as rows of the table candidate, with ids, keywords and the licence of their corpus.

Not for choosing rows (`stages/filter/filtering.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.corpus import Corpus
from schemas.fields import FIELD
from schemas.tables import CANDIDATE
from stages.contract import rejects_table
from stages.filter.keywords import matched_keywords
from stages.readers.batch import Malformed
from stages.readers.formats.cleaning import clean_caption
from stages.readers.readers import reader_of

if TYPE_CHECKING:
    from stages.filter.filtering import Search


def _sample_ids(corpus: Corpus, part: int, rows: Any, native_ids: Any) -> pa.Array | pa.ChunkedArray:
    if reader_of(corpus).is_sample_list:
        return native_ids
    if reader_of(corpus).has_native_sample_ids:
        return pc.binary_join_element_wise(f"{corpus.code}_", native_ids, "")
    return pc.binary_join_element_wise(f"{corpus.code}_{part}_", rows.cast(pa.string()), "")


def as_candidates(found: pa.Table, corpus: Corpus, part: int, search: Search) -> pa.Table:
    """Return rows of a source file as rows of the table candidate."""
    n_rows, published = found.num_rows, found["source_caption"].combine_chunks()
    searched = pc.coalesce(found["searched_text"].combine_chunks(), published)
    plain = pc.coalesce(found["plain_caption"].combine_chunks(), published)
    keywords = matched_keywords(searched, search.patterns)
    ids = _sample_ids(corpus, part, found["source_row"], found["native_id"])
    columns = {name: found[name] for name in found.schema.names} | {
        "sample_id": ids,
        "corpus": _corpora(ids, corpus),
        "part": pa.repeat(pa.scalar(part, pa.int32()), n_rows),
        "caption": clean_caption(plain) if search.is_cleaned else plain,
        "keywords": keywords,
        "strict_keywords": search.rules.keywords_left(searched, keywords),
        "annotation_licence": pa.repeat(corpus.annotation_licence, n_rows),
        **{name: pa.nulls(n_rows, FIELD[name].type) for name in ("machine_tags", "machine_tag_probs")},
    }
    return pa.table({name: columns[name] for name in CANDIDATE.schema.names}).cast(CANDIDATE.schema)


def _corpora(sample_ids: Any, corpus: Corpus) -> pa.Array | pa.ChunkedArray:
    """Return the corpus of each sample: of a list of samples each has its own."""
    if not reader_of(corpus).is_sample_list:
        return pa.repeat(corpus.code, len(sample_ids))
    return pc.replace_substring_regex(sample_ids, pattern="_.*", replacement="")


def as_rejects(faults: Sequence[Malformed], corpus: Corpus, part: int) -> pa.Table:
    """Return the refused rows of a source file as reject rows of the table candidate."""
    rows = pa.array([fault.source_row for fault in faults], pa.int64())
    reasons, details = (pa.array([getattr(f, name) for f in faults], pa.string()) for name in ("reason", "detail"))
    by_row = pc.binary_join_element_wise(f"{corpus.code}_{part}_", rows.cast(pa.string()), "")
    ids: Any = by_row
    if reader_of(corpus).has_native_sample_ids:  # the id of an unreadable record may be unknown
        native_ids = pa.array([fault.native_id for fault in faults], pa.string())
        ids = pc.coalesce(_sample_ids(corpus, part, rows, native_ids), by_row)
    facts = {"corpus": _corpora(ids, corpus), "source_row": rows}
    return rejects_table(CANDIDATE, {"sample_id": ids}, reasons, details, facts)
