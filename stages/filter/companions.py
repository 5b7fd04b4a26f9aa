"""Add columns from companion files to the filtered rows: CC3M's machine tags.

Not for companions that reading depends on: their readers open them.
"""

from dataclasses import replace

import pyarrow as pa

from schemas.corpus import Corpus
from stages.filter.filtering import Filtered, Search, filter_batches
from stages.readers.batch import SourceFiles
from stages.readers.tsv.tags import join_tags


def add_tags(found: Filtered, corpus: Corpus, search: Search, source: SourceFiles) -> Filtered:
    """Return the candidates with the tags of their URLs.

    A damaged stretch of the label file harms no row: it is one more reject, and counts as given.
    """
    candidates, damages = join_tags(found.candidates, source.companions[0])
    part = 1 + max((part for _, part in source.files), default=0)  # its rows are not rows of the files
    numbered = [damage._replace(part=part) for damage in damages]
    lost = filter_batches(numbered, corpus, search, lambda n_rows: None, source)
    counts = {reason: n_rows + lost.counts.get(reason, 0) for reason, n_rows in found.counts.items()}
    counts["given"] += sum(lost.counts.values())
    return replace(
        found, candidates=candidates, malformed=pa.concat_tables([found.malformed, lost.malformed]), counts=counts
    )
