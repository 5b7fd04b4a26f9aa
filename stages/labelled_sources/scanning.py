"""One look at every folder of a labelled corpus: what is read, what is told beside it, what is packed, what is strange.

Not for saying which sample a file belongs to.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from schemas.corpora import Corpus
from stages.labelled_sources import ben
from stages.labelled_sources.archives import is_archive

_LINK = "a link to a folder, which is not followed"


@dataclass
class Found:
    """What one look at a corpus's folder found, in paths under that folder.

    Attributes:
        files: paths of the corpus's source files, with size in bytes and modification time in ns.
        lists: paths of lists of BigEarthNet's patches, with size in bytes and modification time in ns.
        archives: paths of archives of what is read.
        strangers: by folder, the first path that nothing explains, how many more there are, and what is wrong.
        patch_folders: paths of folders that are named like a BigEarthNet patch.
    """

    files: list[tuple[str, int, int]] = field(default_factory=list)
    lists: list[tuple[str, int, int]] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)
    strangers: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    patch_folders: set[str] = field(default_factory=set)

    def add_stranger(self, path: str, what: str) -> None:
        """Count a path that is left out; one reject speaks for its folder, or a foreign corpus would be millions."""
        folder = path.rpartition("/")[0]
        first, n_more, detail = self.strangers.get(folder, (path, -1, what))
        self.strangers[folder] = (min(first, path), n_more + 1, detail)


def scan(folder: Path, corpus: Corpus) -> Found:
    """Look once at every folder that the manifest does not say to pass by."""
    found = Found()
    waiting = [""]
    while waiting:
        below = waiting.pop()
        with os.scandir(folder / below) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.name != "SHA256SUMS":
                    _sort_out(entry, below + entry.name, corpus, found, waiting)
    return found


def _sort_out(entry: os.DirEntry[str], path: str, corpus: Corpus, found: Found, waiting: list[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        if not corpus.is_ignored(path + "/"):
            waiting.append(path + "/")
            if corpus.code == "ben" and ben.is_patch(entry.name):
                found.patch_folders.add(path)
    elif corpus.match_file(path) and _is_utf8(path) and entry.is_file():
        status = entry.stat()
        found.files.append((path, status.st_size, status.st_mtime_ns))
    elif entry.is_dir():
        found.add_stranger(path, _LINK)
    elif corpus.is_companion(path) and _is_utf8(path) and entry.is_file():
        status = entry.stat()
        found.lists.append((path, status.st_size, status.st_mtime_ns))
    elif is_archive(corpus.code, path) and _is_utf8(path):
        found.archives.append(path)
    elif not corpus.is_ignored(path):
        found.add_stranger(path, f"expected {corpus.file_pattern}")


def _is_utf8(path: str) -> bool:
    return path.isascii() or not any("\ud800" <= c <= "\udfff" for c in path)
