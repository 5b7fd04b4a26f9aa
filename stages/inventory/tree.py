"""Walk a corpus's folder under SOURCES: each path is a readable file, or is passed over with a reason.

Nothing vanishes: paths that cannot be read are `unreadable`. Files are matched to the corpus elsewhere.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stages.inventory.passed_over import PassedOver

CHECKSUMS = "SHA256SUMS"
# Files of unfinished downloads by browsers, aria2, axel, rsync-like tools and Hugging Face's downloader.
PARTIAL_ENDINGS = (
    ".part", ".partial", ".crdownload", ".download", ".opdownload", ".filepart", ".incomplete", ".aria2", ".st", ".tmp",
)  # fmt: skip
_UNFINISHED_MARKS = (".aria2", ".st")  # such a marker belongs to a file that has its full size before all of its bytes
_SPECIAL_NAME = re.compile(rf"(?:\.(?:{'|'.join(re.escape(e[1:]) for e in PARTIAL_ENDINGS)})|/{CHECKSUMS})/")
_KINDS = ((stat.S_ISFIFO, "fifo"), (stat.S_ISSOCK, "socket"), (stat.S_ISCHR, "device"), (stat.S_ISBLK, "device"))
_READ_BY_ALL = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
_Entry = os.DirEntry[str]


@dataclass
class Tree:
    """One corpus's folder.

    Attributes:
        root: the folder.
        is_ignored: whether a path below it is known and not read; a folder's path ends with a slash.
        passed: receives paths that are passed over.
        note_folder: called with the path below the root of each folder that is read.
        others: real paths of the folders of the other corpora: a link into one of them is not followed.
    """

    root: Path
    is_ignored: Callable[[str], bool]
    passed: PassedOver
    note_folder: Callable[[str], None] = lambda path: None
    others: tuple[str, ...] = ()
    _seen: set[tuple[int, int]] = field(default_factory=set)
    _waiting: list[str] = field(default_factory=lambda: [""])
    _links: list[str] = field(default_factory=list)

    def files(self) -> Iterator[tuple[str, _Entry]]:
        """Yield the regular files, and links to regular files, by path below the root."""
        return (file for found in self.files_by_folder() for file in found)

    def files_by_folder(self) -> Iterator[list[tuple[str, _Entry]]]:
        """Yield the files of each folder: one step of a generator for each of ten million files takes seconds.

        Linked folders come last, so a folder reached twice is listed under its own path.
        """
        while self._waiting or self._links:
            if self._waiting:
                below = self._waiting.pop()
            else:
                self._links.sort()
                below = self._links.pop(0)
                if not self._may_follow(below):
                    continue
            if self._is_first_visit(below):
                if below:
                    self.note_folder(below[:-1])
                yield self._look_into(below)

    def _look_into(self, below: str) -> list[tuple[str, _Entry]]:
        entries: list[_Entry] = []
        try:
            with os.scandir(f"{self.root}/{below}") as found:  # a `Path` for each of a million folders takes seconds
                entries.extend(found)
        except OSError as error:
            self.passed.add(below[:-1], "unreadable", f"the folder cannot be read: {error.strerror}")
        files, others = [], entries
        if are_ordinary([entry.name for entry in entries]):  # nearly every folder: no check of each name
            files = [(below + entry.name, entry) for entry in entries if entry.is_file(follow_symlinks=False)]
            others = [] if len(files) == len(entries) else [e for e in entries if not e.is_file(follow_symlinks=False)]
        marks = {entry.name.rpartition(".")[0] for entry in others if entry.name.endswith(_UNFINISHED_MARKS)}
        for entry in others:
            path = below + entry.name
            if marks and entry.name in marks:
                self.passed.add(path, "partial_download", "a marker of an unfinished download is beside it")
            elif self._is_file(entry, path):
                files.append((path, entry))
        return files

    def _is_file(self, entry: _Entry, path: str) -> bool:
        """Return whether an entry is a file that may be read; folders are queued to be read."""
        name = entry.name
        if name.startswith("."):
            self.passed.add(path, "hidden_file")
        elif not is_utf8(name):
            self._refuse(path, "its name is not UTF-8: rename it")
        elif entry.is_dir(follow_symlinks=False):
            if self.is_ignored(f"{path}/"):
                self.passed.add(path, "not_needed", "the folder was not looked into")
            else:
                self._waiting.append(f"{path}/")
        elif name == CHECKSUMS:
            self._pass_checksums(path)
        elif name.endswith(PARTIAL_ENDINGS):
            self.passed.add(path, "partial_download")
        elif entry.is_file(follow_symlinks=False):
            return True
        else:
            return self._is_link_to_file(entry, path)
        return False

    def _pass_checksums(self, path: str) -> None:
        if not is_readable_file(self.root / path):
            self.passed.add(path, "unreadable", "the list of checksums cannot be read")
        else:
            where = "" if path == CHECKSUMS else "not read: it is not in the corpus's own folder"
            self.passed.add(path, "checksum_list", where)

    def _is_link_to_file(self, entry: _Entry, path: str) -> bool:
        try:
            mode = entry.stat().st_mode
        except OSError as error:
            self._refuse(path, f"a link to {_target(entry)}: {error.strerror}")
            return False
        if stat.S_ISDIR(mode) and not self.is_ignored(f"{path}/"):
            self._links.append(f"{path}/")
        elif stat.S_ISDIR(mode):
            self.passed.add(path, "not_needed", "the folder was not looked into")
        elif not stat.S_ISREG(mode):
            self._refuse(path, not_regular(mode))
        return stat.S_ISREG(mode)

    def _refuse(self, path: str, what: str) -> None:
        if self.is_ignored(path):
            self.passed.add(path, "not_needed")
        else:
            self.passed.add(path, "unreadable", what)

    def _may_follow(self, below: str) -> bool:
        """Return whether a linked folder is read: not if it contains the link or belongs to another corpus."""
        target = os.path.realpath(self.root / below)
        holder = os.path.realpath((self.root / below).parent)
        if is_below(holder, target):
            self.passed.add(below[:-1], "reached_twice", "a link to a folder that contains it")
        elif any(is_below(target, other) for other in self.others):
            self.passed.add(below[:-1], "reached_twice", "a link into the folder of another corpus")
        else:
            return True
        return False

    def _is_first_visit(self, below: str) -> bool:
        try:
            status = os.stat(f"{self.root}/{below}")  # noqa: PTH116
        except OSError as error:
            self.passed.add(below[:-1], "unreadable", f"the folder cannot be read: {error.strerror}")
            return False
        if (status.st_dev, status.st_ino) in self._seen:
            self.passed.add(below[:-1], "reached_twice", "a folder that is listed under another path")
            return False
        self._seen.add((status.st_dev, status.st_ino))
        return True


def status_of(path: str, entry: _Entry, passed: PassedOver, is_probed: bool) -> os.stat_result | None:
    """Return the status of a readable file; None, after passing it over, if it cannot be read.

    Args:
        path: path below the corpus's folder.
        entry: the directory entry.
        passed: receives unreadable paths.
        is_probed: whether to read the first byte; else only permissions are checked, for corpora of millions of files.
    """
    try:
        status = entry.stat()
        if is_probed and status.st_size:
            with Path(entry.path).open("rb", buffering=0) as file:
                file.read(1)
        elif status.st_mode & _READ_BY_ALL != _READ_BY_ALL and not os.access(entry.path, os.R_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        passed.add(path, "unreadable", f"the file cannot be read: {error.strerror}")
        return None
    return status


def holds_something(folder: Path) -> bool:
    """Return whether a folder contains anything but folders; True if it cannot be read."""
    if not os.path.lexists(folder):
        return False
    seen, waiting = set(), [folder]
    while waiting:
        path = waiting.pop()
        try:
            status = path.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(path) as entries:
                for entry in entries:
                    if not entry.is_dir():
                        return True
                    waiting.append(Path(entry.path))
        except OSError:
            return True
    return False


def is_folder(path: Path) -> bool:
    """Return whether a path is an accessible folder; unlike `Path.is_dir` it never raises."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False


def is_readable_file(path: Path) -> bool:
    """Return whether a path is a regular file, or a link to one, that this process may read."""
    try:
        return stat.S_ISREG(path.stat().st_mode) and os.access(path, os.R_OK)
    except OSError:
        return False


def not_regular(mode: int) -> str:
    """Return the detail for a file that is not a regular file, by its mode."""
    kind = next((word for test, word in _KINDS if test(mode)), "special file")
    return f"a {kind}, not a file"


def is_utf8(name: str) -> bool:
    """Return whether a name is UTF-8; Python replaces invalid bytes with surrogates."""
    return name.isascii() or not any("\ud800" <= c <= "\udfff" for c in name)


def are_ordinary(names: Sequence[str]) -> bool:
    """Return whether no name in a folder is hidden, beyond ASCII, a list of checksums or an unfinished download."""
    text = "/" + "/".join(names) + "/"  # no name contains a slash
    return text.isascii() and "/." not in text and _SPECIAL_NAME.search(text) is None


def is_below(path: str, folder: str) -> bool:
    """Return whether a real path is a folder or below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _target(entry: _Entry) -> str:
    try:
        return str(Path(entry.path).readlink()).encode("utf-8", "backslashreplace").decode()
    except OSError:
        return "somewhere"
