"""Find archives of a labelled corpus under SOURCES that are not unpacked, and the commands to unpack them.

Nothing is unpacked: files under SOURCES are never changed.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from schemas.corpus import Corpus

# Longer endings first. Volumes of a split archive end with .001 and so on, or with the two letters of `split`.
_ARCHIVE = re.compile(
    r"(?P<whole>(?P<stem>.+?)\.(?P<kind>tar\.gz|tgz|tar\.bz2|tar\.zst|tar|zip))(?P<part>\.\d{3}|[a-z]{2})?"
)
_PIPE_OPTIONS = {"tar.gz": "xzf", "tgz": "xzf", "tar.bz2": "xjf", "tar.zst": "-I zstd -xf", "tar": "xf"}


@dataclass(frozen=True)
class Archive:
    """An archive, which may be split into volumes.

    Attributes:
        path: the archive or its first volume, under the corpus's folder.
        n_volumes: 0 if the archive is not split.
        command: the command to unpack it, from the folder that contains SOURCES.
        paths: all its volumes.
    """

    path: str
    n_volumes: int
    command: str
    paths: tuple[str, ...] = field(default=(), compare=False)

    @property
    def detail(self) -> str:
        """The detail of the archive's reject row."""
        return f"{f'{self.n_volumes} volumes; ' if self.n_volumes else ''}unpack: {self.command}"


def is_archive(corpus: Corpus, path: str) -> bool:
    """Return whether a path under a corpus's folder is an archive, or a volume of one, of files that are read."""
    return _found(corpus, path) is not None


def not_unpacked(corpus: Corpus, archives: Iterable[str], files: Sequence[str]) -> list[Archive]:
    """Return the archives not yet unpacked; a split archive counts once.

    Args:
        corpus: its manifest names the content of archives.
        archives: paths for which `is_archive` is true.
        files: paths of the source files that were found.
    """
    sets: dict[str, list[str]] = {}
    for path in sorted(archives):
        found = _found(corpus, path)
        if found is not None:
            sets.setdefault(path.removesuffix(found[0]["part"] or ""), []).append(path)
    return [
        _archive(corpus, whole, paths)
        for whole, paths in sorted(sets.items())
        if not _is_unpacked(corpus, whole, files)
    ]


def _found(corpus: Corpus, path: str) -> tuple[re.Match[str], str] | None:
    """Return the match of an archive's name and the folder that its files belong in."""
    match = _ARCHIVE.fullmatch(path.rpartition("/")[2])
    if match is None:
        return None
    return next(((match, into) for stem, into in corpus.archives.items() if re.fullmatch(stem, match["stem"])), None)


def _is_unpacked(corpus: Corpus, whole: str, files: Sequence[str]) -> bool:
    found = _found(corpus, whole)
    if found is None:
        return False
    into, others = found[1], {*corpus.archives.values()} - {""}
    folders = (path.split("/")[:-1] for path in files)
    return any(into in names if into else not others.intersection(names) for names in folders)


def _archive(corpus: Corpus, whole: str, paths: Sequence[str]) -> Archive:
    folder, _, name = whole.rpartition("/")
    found = _found(corpus, whole)
    kind, into = (found[0]["kind"], found[1]) if found else ("tar", "")
    is_whole = paths[0] == whole
    target = f" -C {into}" if into else ""
    if kind == "zip":
        unpack = f"unzip -n -q {name}"
        unpack = unpack if is_whole else f"cat {name}.* > {name} && {unpack}"
    elif is_whole:
        unpack = f"tar xf {name}{target}"
    else:
        unpack = f"cat {name}?* | tar {_PIPE_OPTIONS[kind]} -{target}"
    steps = [
        "cd " + "/".join(filter(None, ("SOURCES", corpus.code, folder))),
        f"mkdir -p {into}" if into else "",
        unpack,
    ]
    return Archive(paths[0], 0 if is_whole else len(paths), " && ".join(filter(None, steps)), tuple(paths))
