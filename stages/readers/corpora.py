"""Load corpora whose reader exists and accepts their manifest.

The keys of manifests are in `schemas/corpora.py`.
"""

from pathlib import Path

from schemas import corpora
from schemas.corpora import LIST_CODE
from schemas.corpus import NO_FILE, REQUIRED_COLUMNS, Corpus
from stages.readers.readers import READERS, Reader


def load_corpora(folder: Path | None = None) -> dict[str, Corpus]:
    """Return the corpora with a valid manifest, by code. Raises ManifestError if there is no manifest."""
    return corpora.load_corpora(folder, check_reader)


def load_corpus(code: str, folder: Path | None = None) -> Corpus:
    """Return one corpus. Raises ManifestError if its manifest is missing or has a fault."""
    return corpora.load_corpus(code, folder, check_reader)


def manifest_faults(folder: Path | None = None) -> dict[str, str]:
    """Return the faults of manifests by code: file, key and fault. Empty if all are valid."""
    return corpora.manifest_faults(folder, check_reader)


def check_reader(corpus: Corpus) -> str:
    """Return why the reader of a corpus cannot use its manifest; "" if it can."""
    reader = READERS.get(corpus.reader)
    if reader is None:
        return f"key reader: no reader {corpus.reader!r}; known are {', '.join(READERS)}"
    if corpus.half != reader.half:
        return f"key half: half {corpus.half} and reader {corpus.reader} do not go together"
    if reader.only_for not in ("", corpus.code) or (corpus.code == LIST_CODE and not reader.is_sample_list):
        only_for = f"only reads {reader.only_for}" if reader.only_for else f"does not read {LIST_CODE}'s lists"
        return f"key reader: reader {corpus.reader} {only_for}; found code {corpus.code}"
    if corpus.is_last_field_rest and reader.columns_are != "fields":
        return f"key is_last_field_rest: lines of {corpus.reader} have no fields that are counted"
    if fault := _check_columns(corpus, reader):
        return fault
    if reader.needs_companion and corpus.companion_pattern == NO_FILE:
        return f"key companion_pattern: expected a pattern for the file that reader {corpus.reader} needs beside others"
    return ""


def _check_columns(corpus: Corpus, reader: Reader) -> str:
    if not reader.columns_are:
        return f"key columns: known to its reader; found {list(corpus.columns)}" if corpus.columns else ""
    if missing := [name for name in REQUIRED_COLUMNS if not corpus.columns.get(name)]:
        return f"key columns: no source is named for {missing}"
    found = [source for sources in corpus.columns.values() for source in sources]
    if reader.columns_are == "fields" and sorted(map(str, found)) != ["0", "1"]:
        return f"key columns: expected the field positions 0 and 1, each once; found {found}"
    if reader.columns_are == "names" and not all(isinstance(source, str) for source in found):
        return f"key columns: columns of a {corpus.reader} corpus are names; found {found}"
    return ""
