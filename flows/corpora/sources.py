"""Compare SOURCES with the published corpora: how much of each is there, and which files differ.

Files are found and hashed by the stage `inventory`; `sources_report.py` prints the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from flows.ledger.ledger import Ledger
from schemas.corpora import CORPUS_CODES
from schemas.corpus import Corpus
from schemas.tables import SOURCE_LISTING
from stages.contract import Context, InputError, Reads, no_rejects
from stages.inventory.stage import LIST_SOURCES, ListingParams
from stages.inventory.tree import holds_something, is_readable_file
from stages.readers.corpora import load_corpora, manifest_faults

State = Literal["complete", "partly there", "there", "missing"]
_LISTED = Reads("source_listing", ("corpus", "path", "size_bytes", "pilot_share", "sample_id"), is_whole=True)


@dataclass(frozen=True)
class Mismatch:
    """A source file whose sha256 differs from its publisher's."""

    path: str
    found: str
    stated: str

    def __str__(self) -> str:
        return (
            f"{self.path} has sha256 {self.found[:16]}…, but its publisher states {self.stated[:16]}…: it is"
            " damaged or another version; download it again, or check what changed"
        )


@dataclass(frozen=True)
class Holding:
    """The files found of one corpus.

    Attributes:
        code: its code.
        corpus: its manifest; None if no reader is known.
        n_files, n_bytes: number and size of its source files, without companions.
        companions: paths of companions.
        missing_parts: numbers of missing published files, if files are numbered.
        mismatches: files that differ from the published ones.
        gone: names of listed files that are no longer here, of a web corpus.
        pilot_share: listed share of a labelled corpus's scenes, in (0, 1].
        note: why nothing is listed although the folder is not empty.
    """

    code: str
    corpus: Corpus | None
    n_files: int = 0
    n_bytes: int = 0
    companions: tuple[str, ...] = ()
    missing_parts: tuple[int, ...] = ()
    mismatches: tuple[Mismatch, ...] = ()
    gone: tuple[str, ...] = ()
    pilot_share: float = 1.0
    note: str = ""

    @property
    def state(self) -> State:
        """How complete the corpus is; "there" if the published size is unknown."""
        if not self.n_files or self.corpus is None:
            return "missing"
        files, n_bytes = self.corpus.n_files_published, self.corpus.n_bytes_published
        if self.mismatches or self.missing_parts:
            return "partly there"
        if self.pilot_share < 1 or (files is None and n_bytes is None):
            return "there"
        is_less = (files is not None and self.n_files < files) or (n_bytes is not None and self.n_bytes < n_bytes)
        return "partly there" if is_less else "complete"


def holdings(ledger: Ledger, sources: Path | None, corpora: Mapping[str, Corpus] | None = None) -> list[Holding]:
    """Return the files found of each corpus: RS5M's in its order, then the other readable ones.

    Args:
        ledger: a build whose inventory is current, or one without an inventory.
        sources: the SOURCES folder, if any.
        corpora: corpora by code; by default the repository's manifests.
    """
    corpora = load_corpora() if corpora is None else corpora
    # Files of an earlier listing do not count without their folder.
    listed = ledger.read(_LISTED).slice(0, None if has_corpus(sources) else 0)
    wrong = mismatches(ledger, corpora)
    found, faults = [], manifest_faults()
    for code in (*CORPUS_CODES, *(code for code in sorted({*corpora, *faults}) if code not in CORPUS_CODES)):
        corpus = corpora.get(code)
        rows = listed.filter(pc.equal(listed["corpus"], code))
        note = "" if corpus else faults.get(code, "")
        if sources is not None and corpus is not None and not rows.num_rows and holds_something(sources / code):
            rows, note = _look(sources, code)
        if corpus is None or not rows.num_rows:
            found.append(Holding(code, corpus, note=note))
        else:
            found.append(_holding(corpus, rows, sources, tuple(m for m in wrong if m.path.startswith(f"{code}/"))))
    return found


def has_corpus(sources: Path | None) -> bool:
    """Return whether a SOURCES folder has files in the folder of a corpus with a reader; one may be unreadable."""
    return sources is not None and any(
        holds_something(sources / code) for code in (*load_corpora(), *manifest_faults())
    )


def _look(sources: Path, code: str) -> tuple[pa.Table, str]:
    """Return the files of a corpus that the build does not list, and the error if they cannot be listed, else ""."""
    given = {
        "source_listing": SOURCE_LISTING.schema.empty_table(),
        "source_listing_rejects": no_rejects(SOURCE_LISTING),
    }
    params = ListingParams(corpora=(code,), halves="both", pilot=1.0)
    context = Context("look", params, None, {}, None, sources)  # type: ignore[arg-type]  # it writes no files
    try:
        kept = LIST_SOURCES.run(given, context).kept
    except InputError as error:
        return given["source_listing"], str(error)
    return kept, ""


def mismatches(ledger: Ledger, corpora: Mapping[str, Corpus] | None = None) -> list[Mismatch]:
    """Return the hashed files that differ from their publishers' sha256, by path."""
    found = []
    state = ledger.state(ledger.writer["source_file"])
    for corpus in (load_corpora() if corpora is None else corpora).values():
        # Labelled corpora have millions of files: only corpora with published digests are checked.
        names = [name for name in sorted(state.spans) if corpus.sha256 and name.startswith(f"{corpus.code}-")]
        for name in names:
            for row in ledger.read(Reads("source_file", ("path", "file_sha256")), name).to_pylist():
                stated = corpus.stated_sha256(row["path"])
                if not row["file_sha256"].startswith(stated):
                    found.append(Mismatch(row["path"], row["file_sha256"], stated))
    return sorted(found, key=lambda mismatch: mismatch.path)


def _holding(corpus: Corpus, rows: pa.Table, sources: Path | None, wrong: tuple[Mismatch, ...]) -> Holding:
    if corpus.half == "rs3":  # up to a million files without numbers or companions
        share = float(pc.min(rows["pilot_share"]).as_py())
        n_bytes = int(pc.sum(rows["size_bytes"]).as_py())
        return Holding(corpus.code, corpus, rows.num_rows, n_bytes, mismatches=wrong, pilot_share=share)
    # A missing file stays listed, because its rows are in the build.
    there, gone = list[dict[str, Any]](), list[str]()
    for row in rows.to_pylist():
        if sources is not None and is_readable_file(sources / row["path"]):
            there.append(row)
        else:
            gone.append(row["path"].partition("/")[2])
    files = [(row["path"].partition("/")[2], row["size_bytes"]) for row in there]
    own = [(name, size) for name, size in files if not corpus.is_companion(name)]
    return Holding(
        corpus.code,
        corpus,
        len(own),
        sum(size for _, size in own),
        tuple(name for name, _ in files if corpus.is_companion(name)),
        missing_parts_of(corpus, [name for name, _ in own]),
        wrong,
        gone=tuple(gone) if sources is not None else (),
    )


def missing_parts_of(corpus: Corpus, names: Sequence[str]) -> tuple[int, ...]:
    """Return the missing numbers, if files are numbered from 0 or 1 to their published number."""
    matches = [match for name in names if (match := corpus.match_file(name))]
    numbers = {match.groupdict().get("part") for match in matches}
    n_published = corpus.n_files_published
    if not n_published or not numbers or None in numbers:
        return ()
    parts = {int(number) for number in numbers if number is not None}
    first = 1 if n_published in parts else 0
    expected = range(first, first + n_published)
    return tuple(n for n in expected if n not in parts) if parts <= set(expected) else ()
