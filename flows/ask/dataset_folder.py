"""A dataset folder while it is filled: it has the sha256 of each file and does not read files whose digest is known.

Not for choosing the published files: that is `dataset.py` in the same folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flows.ledger.digests import digest_file
from flows.ledger.receipt import fsync_folder
from stages.contract import InputError
from stages.plurals import counted

CHECKSUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Made:
    """A file that was made from tables and is made again only when these change.

    Attributes:
        of: digest of the inputs it was made from.
        sha256: of its bytes.
        size_bytes, mtime_ns, inode: of the file when it was published; one that differs now was changed since.
    """

    of: str
    sha256: str
    size_bytes: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True)
class File:
    """A file of a dataset folder.

    Attributes:
        name: its path below the folder.
        sha256: of its bytes.
        size_bytes: its size.
    """

    name: str
    sha256: str
    size_bytes: int


@dataclass
class DatasetFolder:
    """A folder that is being filled.

    Attributes:
        path: the new folder; nobody sees it before it is renamed.
        before: the folder that is published now, if any, from which unchanged files are linked.
    """

    path: Path
    before: Path | None
    _made: dict[str, Made] = field(default_factory=dict)
    _sha256: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._known = read_record(self.before) if self.before is not None else {}

    def link(self, name: str, source: Path, sha256: str) -> None:
        """Add a file that a receipt names, with the sha256 that the receipt states: it is not read."""
        if not source.exists():
            raise InputError(
                f"{source} is missing, although a receipt names it: run `make verify REPAIR=yes`, then `make build`,"
                " which makes it again"
            )
        link_or_copy(source, self._target(name))
        self._sha256[name] = sha256

    def write(self, name: str, text: str) -> None:
        """Add a small text file."""
        data = text.encode()
        self._target(name).write_bytes(data)
        _sync(self.path / name)
        self._sha256[name] = hashlib.sha256(data).hexdigest()

    def make(self, name: str, of: str, write: Callable[[Path], None]) -> None:
        """Add a large file: the published one if it is intact and has the same inputs, else a new one from `write`."""
        target, known = self._target(name), self._known.get(name)
        if (
            self.before is not None
            and known is not None
            and known.of == of
            and _is_unchanged(self.before / name, known)
        ):
            link_or_copy(self.before / name, target)
            sha256 = known.sha256
        else:
            write(target)
            _sync(target)
            sha256 = digest_file(target)
        self._sha256[name] = sha256
        found = target.stat()
        self._made[name] = Made(of, sha256, found.st_size, found.st_mtime_ns, found.st_ino)

    def files(self) -> list[File]:
        """Return the files added so far, in the order of their names."""
        return [File(n, sha256, (self.path / n).stat().st_size) for n, sha256 in sorted(self._sha256.items())]

    def publish(self, final: Path) -> None:
        """Write the checksums, and give the folder its name."""
        lines = (f"{sha256}  {name}\n" for name, sha256 in sorted(self._sha256.items()))
        (self.path / CHECKSUMS).write_text("".join(lines), encoding="utf-8")
        _sync(self.path / CHECKSUMS)
        record = _record_of(final)
        draft = record.with_name(f"{record.name}.{os.getpid()}")
        sizes = {file.name: file.size_bytes for file in self.files()}
        made = {name: asdict(made) for name, made in self._made.items()}
        draft.write_text(json.dumps({"made": made, "sizes": sizes}), encoding="utf-8")
        _sync(draft)
        draft.rename(record)  # without its folder a record means nothing
        for folder in (*(path for path in self.path.rglob("*") if path.is_dir()), self.path):
            fsync_folder(folder)
        if final.exists():  # a damaged one; `remove_others` removes it
            final.rename(self.path.with_name(f"{self.path.name}.damaged"))
        self.path.rename(final)
        fsync_folder(final.parent)

    def _target(self, name: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@contextmanager
def draft_folder(final: Path, before: Path | None) -> Iterator[DatasetFolder]:
    """Yield an empty folder beside the final one; after an error, such as a full disk, nothing of it takes space.

    Args:
        final: the name that `publish` will give it.
        before: the folder that is published now, if any.
    """
    draft = final.with_name(f"{final.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        yield DatasetFolder(draft, before)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        _record_of(final).with_name(f"{_record_of(final).name}.{os.getpid()}").unlink(missing_ok=True)
        raise


def read_record(folder: Path) -> Mapping[str, Made]:
    """Return the record of a published folder's large files, by name; empty if it is missing or invalid."""
    try:
        return {name: Made(**made) for name, made in _read(folder, "made").items()}
    except (TypeError, AttributeError):
        return {}


def _read(folder: Path, name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(_record_of(folder).read_text(encoding="utf-8"))[name]
        return found
    except (FileNotFoundError, ValueError, TypeError, KeyError):  # an older program's, or damaged: all is made
        return {}


def lost_files(folder: Path) -> list[str]:
    """Return the names of files of a published folder that are missing or have another size; none is read."""
    try:
        names = read_checksums(folder)
    except FileNotFoundError:
        return [CHECKSUMS]
    sizes = _read(folder, "sizes")
    return [name for name in names if not _has_size(folder / name, sizes.get(name))]


def _has_size(path: Path, size_bytes: int | None) -> bool:
    return path.is_file() and size_bytes in (None, path.stat().st_size)


def remove_others(folder: Path) -> None:
    """Remove everything next to a published folder but its record: earlier folders, and drafts of killed runs."""
    for other in folder.parent.iterdir():
        if other == folder or other == _record_of(folder):
            continue
        if other.is_dir():
            shutil.rmtree(other)
        else:
            other.unlink()


def link_or_copy(source: Path, target: Path) -> None:
    """Make a file appear under a second name, as a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def read_checksums(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file by its name, as a published folder states them. Raises FileNotFoundError."""
    lines = (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    return {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines)}


def published_names(root: Path) -> frozenset[str]:
    """Return the names of the files of a build's dataset folder as it is published now; empty if there is none."""
    try:
        return frozenset(read_checksums(root / "dataset"))
    except FileNotFoundError:
        return frozenset()


def left_out(before: Collection[str], now: Collection[str]) -> list[str]:
    """Return the files that were published before and are not now; those of a folder as one entry.

    Args:
        before: names of the files of a dataset folder.
        now: the same of the folder that replaced it.
    """
    n_gone = Counter(map(_top, set(before) - set(now)))
    left = {_top(name) for name in now}
    return [f"{counted(n, 'file')} of {name}" if name in left else name for name, n in sorted(n_gone.items())]


def _top(name: str) -> str:
    """Return the folder that a file is in, with a slash, or a file's own name."""
    return name[: name.find("/") + 1] or name


def folder_faults(folder: Path, digest_of: Callable[[Path], str] | None) -> Iterator[str]:
    """Yield the names in a published folder's checksums that are missing or have other bytes.

    Args:
        folder: the published folder; it has checksums.
        digest_of: returns the sha256 of a file; None to check only that a file exists.
    """
    for name, stated in read_checksums(folder).items():
        if not (folder / name).is_file() or (digest_of is not None and digest_of(folder / name) != stated):
            yield name


def _record_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.json")


def _is_unchanged(path: Path, made: Made) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return (found.st_size, found.st_mtime_ns, found.st_ino) == (made.size_bytes, made.mtime_ns, made.inode)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
