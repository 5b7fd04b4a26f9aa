"""List the files of a web corpus with their part numbers and partitions.

Labelled corpora are listed in `stages/inventory/labelled_listing.py`.
"""

import re
from pathlib import Path

import pyarrow as pa

from schemas.corpus import Corpus
from schemas.manifest_files import ManifestError
from schemas.tables import SOURCE_LISTING
from stages.contract import InputError
from stages.inventory.passed_over import PassedOver
from stages.inventory.tree import Tree, status_of
from stages.readers.readers import reader_of

_KNOWN = ("not_needed", "archive_not_unpacked", "checksum_list")  # of the corpus as published


def list_web(
    folder: Path, corpus: Corpus, reader_digest: str, pilot_share: float, passed: PassedOver, others: tuple[str, ...]
) -> pa.Table:
    """Return the listing of a web corpus's files.

    Args:
        folder: its folder under SOURCES.
        corpus: its manifest.
        reader_digest: digest of the manifest keys that affect reading.
        pilot_share: share of the rows in the pilot.
        passed: receives paths that are passed over.
        others: real paths of the folders of other corpora.

    Raises:
        InputError: the corpus's folder is empty, or a companion that its reader needs is unreadable.
        ManifestError: there are files, but no name matches the manifest, or two have one part number.
    """
    files = sorted(_files(folder, corpus, passed, others))
    if all(corpus.is_companion(path) for path, _, _ in files):
        if passed.has("unreadable") or passed.has(
            "empty_file"
        ):  # each is listed as a reject; the other corpora are listed
            return SOURCE_LISTING.schema.empty_table()
        raise nothing_found(folder, corpus, passed)
    _check_needed(corpus, [path for path, _, _ in files], passed.unreadable())
    reader = reader_of(corpus)
    if not (reader.is_sample_list or reader.has_files_by_name):  # rows name their samples, so files need no number
        _check_parts(corpus, [path for path, _, _ in files])
    rows = []
    for path, size_bytes, mtime_ns in files:
        part = corpus.part_of(path) or 0
        partition = f"{corpus.code}-{0 if reader.is_one_partition else part:05d}"
        seen = (part, size_bytes, mtime_ns, reader_digest, partition, None, pilot_share)
        rows.append((corpus.code, f"{corpus.code}/{path}", *seen))
    schema = SOURCE_LISTING.schema
    columns = [pa.array(c, f.type) for c, f in zip(zip(*rows, strict=True), schema, strict=True)]
    return pa.table(columns, schema=schema)


def nothing_found(
    folder: Path, corpus: Corpus, passed: PassedOver, unpacking: tuple[str, ...] = ()
) -> InputError | ManifestError:
    """Return the error for a corpus's folder without any file of it.

    Files of other names alone are a fault of the manifest's pattern, which leaves out that corpus; an empty folder, or
    one of packed archives, ends the run before it begins.

    Args:
        folder: its folder under SOURCES.
        corpus: its manifest.
        passed: the paths found instead.
        unpacking: commands to unpack the archives found.
    """
    todo = f"Put {corpus.title}'s files there" if not unpacking else f"Unpack its archives: {'; '.join(unpacking)}"
    found = [(path, reason) for _, path, reason, _ in passed.rows(corpus.code) if reason not in _KNOWN]
    others = [path if reason == "unexpected_file" else f"{path} ({reason})" for path, reason in found]
    fault = ManifestError if others and not unpacking else InputError
    where = "in its folder" if fault is ManifestError else f"under {folder}"
    return fault(  # the detail of a reject is cut: what to do comes before the examples
        f"{corpus.code} has no file named like {corpus.file_pattern} (file_pattern of"
        f" manifests/corpora/{corpus.code}.toml) {where}. {todo}, or leave it out with SET='inventory.corpora=[…]';"
        f" found: {others[:5] or ('archives' if unpacking else 'nothing')}"
    )


def _files(folder: Path, corpus: Corpus, passed: PassedOver, others: tuple[str, ...]) -> list[tuple[str, int, int]]:
    """Return path, size in bytes and modification time in ns of the corpus's files and their companions."""
    found = []
    for path, entry in Tree(folder, corpus.is_ignored, passed, others=others).files():
        if corpus.part_of(path) is None:
            if corpus.is_ignored(path):
                passed.add(path, "not_needed")
            else:
                passed.add(path, "unexpected_file", corpus.advice_on(path) or f"expected {corpus.file_pattern}")
        elif status := status_of(path, entry, passed, is_probed=True):
            if status.st_size or corpus.is_companion(path):  # the reader of a companion reports what is missing
                found.append((path, status.st_size, status.st_mtime_ns))
            else:
                passed.add(path, "empty_file", "download it again, or remove it")
    return found


def _check_needed(corpus: Corpus, paths: list[str], unreadable: list[str]) -> None:
    """Check that no needed companion is unreadable: then the corpus is left out, and the others are listed.

    A missing one stops the run in the filter, with the address to download it from.
    """
    for companion in corpus.companions:
        pattern = re.compile(companion.pattern)
        is_wanted = not companion.beside or any(re.fullmatch(companion.beside, path) for path in paths)
        if companion.is_needed and is_wanted and not any(map(pattern.fullmatch, paths)):
            for path in filter(pattern.fullmatch, unreadable):
                raise InputError(f"{corpus.code}/{path} cannot be read, and without it {companion.without}")


def _check_parts(corpus: Corpus, paths: list[str]) -> None:
    by_role: dict[tuple[int | None, bool], str] = {}
    for path in paths:
        part, is_companion = corpus.part_of(path), corpus.is_companion(path)
        other = by_role.setdefault((part, is_companion), path)
        if other != path:
            pattern = "companion_pattern" if is_companion else "file_pattern"
            raise ManifestError(  # the detail of a reject is cut: what to do comes before the examples
                f"manifests/corpora/{corpus.code}.toml: key {pattern}: two files would be part {part}. Correct its"
                f" group part, or keep one of them under SOURCES: {corpus.code}/{other}, {corpus.code}/{path}"
            )
