"""Filter source files: keep the rows with a keyword in their caption, and reject or count the others.

Not for the declaration of the stage (`stages/filter/stage.py`) nor for file formats (`stages/readers/readers.py`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from schemas.corpus import Corpus
from schemas.tables import CANDIDATE
from stages.contract import rejects_table
from stages.filter.candidate_rows import as_candidates, as_rejects
from stages.filter.keywords import match_any
from stages.filter.strict import StrictRules
from stages.readers.batch import Choices, Counted, Damage, Malformed, Read, SourceBatch, SourceFiles
from stages.readers.formats.texts import count_blank, count_characters, is_blank
from stages.readers.readers import DEFAULT_CHOICES, count_source, read_source, reader_of
from stages.slices import is_in_slice

REASONS = (
    "no_caption", "no_keyword", "other_language", "outside_pilot", "no_url", "invalid_utf8", "wrong_field_count",
    "shifted_row", "bad_record", "field_too_large", "unknown_corpus", "labelled_sample", "false_keyword",
    "no_metadata_row", "listed_again", "damaged_source", "wrong_columns",
)  # fmt: skip
NO_FILES = SourceFiles(())
_CONVERT_ROWS = 20_000  # one call per keyword on few rows would cost more than the rows


@dataclass(frozen=True)
class Filtered:
    """The result of filtering a partition's source files.

    Attributes:
        candidates: rows with a keyword and a URL, in file order, as the table candidate.
        malformed: reject rows of the table candidate, in file order: rows and stretches that cannot be read, rows with
            a keyword and no URL, and rows that strict rules refuse.
        counts: given (counted apart from the reading), kept and one entry per reason.
        n_characters_left: characters of the distinct matching captions that occur only outside the pilot.
    """

    candidates: pa.Table
    malformed: pa.Table
    counts: dict[str, int]
    n_characters_left: int = 0


@dataclass(frozen=True)
class Search:
    """The patterns, rules and choices of the filter.

    Attributes:
        patterns: substrings, ASCII letters compared without regard to case.
        rules: conditions under which a keyword is not a false one.
        is_strict: rows with only false keywords are refused; else they are kept and only marked.
        pilot_share: share of the rows that are taken, by hash of their URL, in (0, 1].
        choices, is_cleaned: a run's choices in reading; whether captions are cleaned, or kept as published.
    """

    patterns: Sequence[str]
    rules: StrictRules
    is_strict: bool = False
    pilot_share: float = 1.0
    choices: Choices = DEFAULT_CHOICES
    is_cleaned: bool = True


def filter_source(
    source: SourceFiles, corpus: Corpus, search: Search, on_progress: Callable[[int], None] = lambda n_rows: None
) -> Filtered:
    """Return the rows of a partition whose caption holds a pattern, and the counts of all others.

    Args:
        source: the files of the partition.
        corpus: says how they are read.
        search: the patterns, rules and choices.
        on_progress: called with the number of rows just read, batch by batch.

    Raises:
        InputError: a file that reading depends on is missing.
    """
    found = filter_batches(read_source(source, corpus, search.choices), corpus, search, on_progress, source)
    return replace(found, counts={**found.counts, "given": count_source(source, corpus)})


def filter_batches(
    batches: Iterable[Read],
    corpus: Corpus,
    search: Search,
    on_progress: Callable[[int], None],
    source: SourceFiles = NO_FILES,
) -> Filtered:
    """Return the kept rows, rejects and counts of the rows that a reader yields; given rows are not counted here."""
    sieve = _Sieve(corpus, search, source)
    for found in batches:
        if isinstance(found, Counted):
            sieve.counts[found.reason] += found.n_rows
        elif isinstance(found, Damage):
            sieve.refuse_stretch(found)
        else:
            sieve.add(found)
            on_progress(len(found.captions))
    return sieve.result()


class _Sieve:
    """The rows kept, refused and counted so far."""

    def __init__(self, corpus: Corpus, search: Search, source: SourceFiles) -> None:
        self._corpus, self._search, self._source = corpus, search, source
        self.counts = Counter(dict.fromkeys(("kept", *REASONS), 0))
        self._kept = [CANDIDATE.schema.empty_table()]
        self._rejects = [CANDIDATE.reject_schema.empty_table()]
        self._waiting: list[pa.Table] = []
        self._left: list[pa.Array] = []  # matching captions outside the pilot
        self._part = 0

    def add(self, batch: SourceBatch) -> None:
        """Sort out the rows of a batch."""
        if batch.part != self._part or sum(table.num_rows for table in self._waiting) >= _CONVERT_ROWS:
            self._convert()
        self._part = batch.part
        found, refused = _filter_batch(batch, self._corpus, self._search, self.counts)
        if found is not None:
            self._waiting.append(self._in_slice(found))
        self.counts.update(Counter(fault.reason for fault in refused))
        if refused:
            self._rejects.append(as_rejects(refused, self._corpus, batch.part))

    def _in_slice(self, found: pa.Table) -> pa.Table:
        """Return the rows in the pilot's slice; count the others, and keep their captions."""
        if self._search.pilot_share == 1:
            return found
        is_inside = is_in_slice(found["url"], self._search.pilot_share)
        left = found.filter(pc.invert(is_inside))
        self.counts["outside_pilot"] += left.num_rows
        self._left.append(left["source_caption"].unique().cast(pa.string()))
        return found.filter(is_inside)

    def refuse_stretch(self, damage: Damage) -> None:
        """Refuse rows that cannot be read, in one reject row that names the file and their number."""
        self.counts[damage.reason] += damage.n_rows
        path = self._source.file_of(damage)
        # The file has a column of its own; in the text a long name would leave no room for the fault.
        detail = damage.detail.removeprefix(f"{path}: ").removeprefix(f"{path and path.name}: ")
        facts = {
            "corpus": [self._corpus.code],
            "path": [path and self._source.name_of(path)],
            "source_row": [damage.first_row],
            "n_rows": [damage.n_rows],
        }
        ids = {"sample_id": [f"{self._corpus.code}_{damage.part}_{damage.first_row}"]}
        self._rejects.append(rejects_table(CANDIDATE, ids, [damage.reason], [detail], facts))

    def result(self) -> Filtered:
        """Return the kept rows, rejects and counts of all batches."""
        self._convert()
        candidates = pa.concat_tables(self._kept)
        self.counts["kept"] = candidates.num_rows
        rejects = pa.concat_tables(self._rejects)
        return Filtered(candidates, rejects, dict(self.counts), self._characters_left(candidates["source_caption"]))

    def _characters_left(self, inside: pa.ChunkedArray) -> int:
        if not self._left:
            return 0
        left = pa.chunked_array(self._left, pa.string()).unique()
        return count_characters(left.filter(pc.invert(pc.is_in(left, inside.unique()))))

    def _convert(self) -> None:
        if not self._waiting:
            return
        found = as_candidates(pa.concat_tables(self._waiting), self._corpus, self._part, self._search)
        self._waiting = []
        self._kept.append(self._refuse_false(found) if self._search.is_strict else found)

    def _refuse_false(self, found: pa.Table) -> pa.Table:
        """Return the candidates without those whose keywords are all false ones; a listed sample needs no keyword."""
        is_false = pc.and_(
            pc.equal(pc.list_value_length(found["strict_keywords"]), 0),
            pc.greater(pc.list_value_length(found["keywords"]), 0),
        )
        refused = found.filter(is_false)
        self.counts["false_keyword"] += refused.num_rows
        keywords = pc.binary_join(refused["keywords"].combine_chunks(), ", ")
        details = pc.binary_join_element_wise(keywords, refused["caption"], ": ")
        ids, reasons = {"sample_id": refused["sample_id"]}, pa.repeat("false_keyword", refused.num_rows)
        facts = {"corpus": refused["corpus"], "source_row": refused["source_row"]}
        self._rejects.append(rejects_table(CANDIDATE, ids, reasons, details, facts))
        return found.filter(pc.invert(is_false))


def _filter_batch(
    batch: SourceBatch, corpus: Corpus, search: Search, counts: Counter[str]
) -> tuple[pa.Table | None, list[Malformed]]:
    """Return the rows with a keyword and a URL, and the rows that are refused by name; count the others."""
    if reader_of(corpus).is_sample_list:  # its authors searched for keywords
        is_match = pc.invert(is_blank(batch.captions))
    else:
        is_match = match_any(batch.captions, search.patterns)
    n_matches = pc.sum(is_match).as_py() or 0
    n_left_out = {reason: pc.sum(is_left_out).as_py() or 0 for reason, is_left_out in batch.left_out.items()}
    counts.update(n_left_out)
    # Rows that are malformed or left out have no caption either.
    n_without = count_blank(batch.captions)
    counts["no_caption"] += n_without - len(batch.malformed) - sum(n_left_out.values())
    counts["no_keyword"] += len(batch.captions) - n_without - n_matches
    faults = list(batch.malformed)
    if not n_matches:
        return None, faults
    chosen = batch.rows(is_match)
    has_no_url = is_blank(chosen.table["url"])
    lacking = chosen.table.filter(has_no_url).select(["source_row", "native_id"]).to_pylist()
    no_url = (Malformed(row["source_row"], "no_url", "the URL is empty", row["native_id"]) for row in lacking)
    faults += [*chosen.malformed, *no_url]
    return chosen.table.filter(pc.invert(has_no_url)), sorted(faults)
