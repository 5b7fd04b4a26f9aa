"""Find the source row of a sample by its id, and read it again. Not for samples that a table has."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from schemas.manifests import Corpus
from stages.sources.readers import read_photo, read_row

_BY_ROW = re.compile(r"([a-z0-9]+)_(\d{1,9})_(\d{1,18})", re.ASCII)
_BY_NATIVE_ID = re.compile(r"([a-z0-9]+)_(\d{1,18})", re.ASCII)


def files_of(sample_id: str, listed: Iterable[tuple[str, int]], corpora: Mapping[str, Corpus]) -> tuple[str, ...]:
    """Return the files, by their path under SOURCES, that say what the row of a sample is; none where it has none.

    Args:
        sample_id: of a web corpus.
        listed: path and part of listed files.
        corpora: by code.
    """
    corpus = corpora.get(sample_id.partition("_")[0])
    if corpus is None or corpus.half != "pub11":
        return ()
    own = sorted((path, part) for path, part in listed if path.startswith(f"{corpus.code}/"))
    if corpus.has_native_sample_ids:
        return tuple(path for path, _ in own) if _BY_NATIVE_ID.fullmatch(sample_id) else ()
    found = _BY_ROW.fullmatch(sample_id)
    files = ((path, part) for path, part in own if not _is_companion(path, corpus))
    return tuple(path for path, part in files if found and part == int(found[2]))


def read_again(sample_id: str, files: Sequence[str], sources: Path, corpus: Corpus) -> dict[str, Any]:
    """Return our columns of a sample's source row; of one that cannot be read its reason and detail.

    Args:
        sample_id: of the corpus.
        files: as `files_of` gives them.
        sources: the SOURCES folder.
        corpus: says how they are read.

    Raises:
        SourceFileError: a file is missing, damaged, or not what the corpus's manifest says.
        IndexError: there is no such row.
    """
    number = int(sample_id.rpartition("_")[2])
    if not corpus.has_native_sample_ids:
        return read_row(sources / files[0], corpus, number)
    lists = [path for path in files if _is_companion(path, corpus)]
    if not lists:
        raise IndexError(f"no list of the samples of {corpus.code} is among {list(files)}")
    others = [sources / path for path in files if path not in lists]
    return read_photo(others, sources / lists[0], corpus, number)


def _is_companion(path: str, corpus: Corpus) -> bool:
    return corpus.is_companion(path.partition("/")[2])
