"""Find the source row of a sample by its id, and read it again. Not for samples that a table has."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from schemas.corpora import LIST_CODE
from schemas.corpus import Corpus
from stages.readers.batch import Choices, SourceFiles
from stages.readers.readers import reader_of
from stages.readers.single_rows import read_row, read_sample

_BY_ROW = re.compile(r"([a-z0-9]+)_(\d{1,10})_(\d{1,18})", re.ASCII)
_BY_NATIVE_ID = re.compile(r"([a-z0-9]+)_([A-Za-z0-9_]{1,64})", re.ASCII)


def corpus_of(sample_id: str, listed: Iterable[tuple[str, int]], corpora: Mapping[str, Corpus]) -> Corpus | None:
    """Return the corpus whose files have the row of a sample: its own, or the list that names samples of others.

    Args:
        sample_id: of a web corpus.
        listed: path and part of listed files.
        corpora: by code.
    """
    if any(path.startswith(f"{LIST_CODE}/") for path, _ in listed):
        return corpora[LIST_CODE]
    return corpora.get(sample_id.partition("_")[0])


def files_of(sample_id: str, listed: Iterable[tuple[str, int]], corpora: Mapping[str, Corpus]) -> tuple[str, ...]:
    """Return the files, by their path under SOURCES, in which the row of a sample may be; empty if it has none.

    Args:
        sample_id: of a web corpus.
        listed: path and part of listed files.
        corpora: by code.
    """
    listed = list(listed)
    corpus = corpus_of(sample_id, listed, corpora)
    if corpus is None or corpus.half != "pub11":
        return ()
    own = sorted((path, part) for path, part in listed if path.startswith(f"{corpus.code}/"))
    if reader_of(corpus).has_native_sample_ids:
        return tuple(path for path, _ in own) if _BY_NATIVE_ID.fullmatch(sample_id) else ()
    found = _BY_ROW.fullmatch(sample_id)
    files = ((path, part) for path, part in own if not _is_companion(path, corpus))
    return tuple(path for path, part in files if found and part == int(found[2]))


def read_again(
    sample_id: str, files: Sequence[str], sources: Path, corpus: Corpus, choices: Choices
) -> dict[str, Any] | None:
    """Return our columns of a sample's source row; of one that cannot be read its reason and detail; None without one.

    Args:
        sample_id: of the corpus, or of those it lists.
        files: as `files_of` gives them.
        sources: the SOURCES folder.
        corpus: says how they are read.
        choices: the run's choices in reading.

    Raises:
        InputError: a file that reading depends on is missing.
    """
    companions = tuple(sources / path for path in files if _is_companion(path, corpus))
    # The number in the name matters to nobody who reads one row.
    source = SourceFiles(tuple((sources / path, 0) for path in files if not _is_companion(path, corpus)), companions)
    if reader_of(corpus).has_native_sample_ids:
        native_id = sample_id if reader_of(corpus).is_sample_list else sample_id.partition("_")[2]
        return read_sample(source, corpus, native_id, choices) or _listed_alone(source, corpus, native_id)
    return read_row(source, corpus, int(sample_id.rpartition("_")[2]), choices)


def _listed_alone(source: SourceFiles, corpus: Corpus, native_id: str) -> dict[str, Any] | None:
    """Return the reason of a sample that a corpus lists but has no row of; None if it does not list it."""
    reader = reader_of(corpus)
    if not reader.lists_samples or not reader.load().lists_sample(source, corpus, native_id):
        return None
    return {"native_id": native_id, "reason": "no_metadata_row", "detail": f"in none of {len(source.files)} files"}


def _is_companion(path: str, corpus: Corpus) -> bool:
    return corpus.is_companion(path.partition("/")[2])
