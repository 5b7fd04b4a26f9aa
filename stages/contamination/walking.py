"""Walk the files of a folder, and tell which ones a glob means."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

_GLOB = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}  # Path.match has no ** before Python 3.13


def walk(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield every file under a folder in order, and why it, or a folder, cannot be read ("" if it can).

    Links to folders are followed, but not to one that holds the link.
    """
    faults: list[OSError] = []
    above = {str(root): frozenset({os.path.realpath(root)})}  # real paths of a folder and of those it was reached by
    for folder, folders, files in os.walk(root, onerror=faults.append, followlinks=True):
        reached_by = above.pop(folder)
        entered = []
        for name in sorted(folders):
            path = f"{folder}{os.sep}{name}"
            if (real := os.path.realpath(path)) in reached_by:
                yield Path(path), "a link to a folder that holds it"
            else:
                above[path] = reached_by | {real}
                entered.append(name)
        folders[:] = entered
        for name in sorted(files):
            path_of_file = Path(folder) / name
            yield path_of_file, "" if path_of_file.is_file() else "a broken link, or no regular file"
    yield from ((Path(fault.filename), str(fault.strerror)) for fault in faults)


def first_meant(root: Path, pattern: str) -> Path | None:
    """Return the first file below a folder that a pattern means in any case, hidden ones left out."""
    for path, fault in walk(root):
        below = path.relative_to(root).as_posix()
        if not fault and not is_hidden(below) and is_meant(below, pattern, re.I):
            return path
    return None


def is_hidden(below: str) -> bool:
    """Return whether a path below a set's folder is hidden, or in a hidden folder."""
    return any(piece.startswith(".") for piece in below.split("/"))


def is_meant(below: str, pattern: str, flags: int = 0) -> bool:
    """Return whether a glob means a path; flags are those of `re`."""
    pieces = re.split(r"(\*\*/|\*|\?)", pattern)
    return re.fullmatch("".join(_GLOB.get(piece, re.escape(piece)) for piece in pieces), below, flags) is not None


def shown_name(name: str) -> str:
    """Return a name with those bytes escaped that are not UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode()
