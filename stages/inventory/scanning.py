"""Read every folder of a labelled corpus once, and find source files, lists and archives.

Files are assigned to samples elsewhere.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from schemas.corpus import Corpus
from stages.inventory.archives import is_archive
from stages.inventory.passed_over import PassedOver
from stages.inventory.tree import Tree, status_of
from stages.readers.readers import labelled_reader

FoundFile = tuple[str, int, int, re.Match[str]]


@dataclass
class Found:
    """The content of a corpus's folder, as paths under that folder.

    Attributes:
        passed: paths that were passed over, with reasons.
        files: source files, with size in bytes, modification time in ns, and how the manifest's pattern matched; to
            match ten million paths again takes longer than to keep their matches until they are placed.
        lists: companions, which list the corpus's samples, with size in bytes and modification time in ns.
        archives: archives of source files.
        sample_folders: folders named like a sample.
    """

    passed: PassedOver
    files: list[FoundFile] = field(default_factory=list)
    lists: list[tuple[str, int, int]] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)
    sample_folders: set[str] = field(default_factory=set)


def scan(folder: Path, corpus: Corpus, passed: PassedOver, others: tuple[str, ...] = ()) -> Found:
    """Read once every folder that the manifest does not ignore.

    Args:
        folder: the corpus's folder under SOURCES.
        corpus: its manifest.
        passed: receives paths that are passed over.
        others: real paths of the folders of other corpora.
    """
    found = Found(passed)
    is_sample_folder = labelled_reader(corpus).is_sample_folder

    def note_sample(path: str) -> None:
        if is_sample_folder(path.rpartition("/")[2]):
            found.sample_folders.add(path)

    match_file = corpus.file_regex.fullmatch
    for files in Tree(folder, corpus.is_ignored, passed, note_sample, others).files_by_folder():
        for path, entry in files:
            if match := match_file(path):
                if status := status_of(path, entry, passed, is_probed=False):
                    found.files.append((path, status.st_size, status.st_mtime_ns, match))
            else:
                _note_other(path, entry, corpus, found)
    return found


def _note_other(path: str, entry: os.DirEntry[str], corpus: Corpus, found: Found) -> None:
    """Note a file that is not a source file."""
    passed = found.passed
    if corpus.is_companion(path):
        if status := status_of(path, entry, passed, is_probed=True):
            found.lists.append((path, status.st_size, status.st_mtime_ns))
    elif is_archive(corpus, path):
        found.archives.append(path)
    elif corpus.is_ignored(path):
        passed.add(path, "not_needed")
    else:
        passed.add(path, "unexpected_file", f"expected {corpus.file_pattern}")
