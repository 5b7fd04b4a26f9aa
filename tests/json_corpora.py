"""Shared code for tests of the JSON corpora's readers: filtering with simple keywords, and the filter's laws."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from schemas.corpora import load_corpora
from schemas.reasons import REASON
from stages.filter.filtering import Filtered, Search, filter_source
from stages.filter.strict import StrictRules
from stages.readers.batch import SourceFiles

CORPORA = load_corpora()
SEARCH = Search(("landsat", "aerial view"), StrictRules(()))


def filter_files(code: str, files: Sequence[Path], companions: Sequence[Path] = ()) -> Filtered:
    """Filter the files of one partition, check the laws on the result and return it."""
    found = filter_source(SourceFiles(tuple((path, 0) for path in files), tuple(companions)), CORPORA[code], SEARCH)
    counts = dict(found.counts)
    given = counts.pop("given")
    assert sum(counts.values()) == given, found.counts
    named = found.malformed["reason"].to_pylist()
    for code_, n_rows in counts.items():
        if code_ != "kept" and not REASON[code_].is_counted_only:
            assert named.count(code_) == n_rows or (REASON[code_].is_stretch and 0 < named.count(code_) <= n_rows)
    ids = pa.concat_arrays([*found.candidates["sample_id"].chunks, *found.malformed["sample_id"].chunks])
    assert pc.count_distinct(ids).as_py() == len(ids)
    return found


def some(found: Filtered) -> dict[str, int]:
    """Return the nonzero counts."""
    return {name: n_rows for name, n_rows in found.counts.items() if n_rows}


def fates(found: Filtered) -> dict[str, str]:
    """Return the reject reasons by sample id."""
    return dict(zip(found.malformed["sample_id"].to_pylist(), found.malformed["reason"].to_pylist(), strict=True))
