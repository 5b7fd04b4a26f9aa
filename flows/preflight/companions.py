"""Check that the lists and companion files that readers need beside a corpus's files exist, in the expected version.

Only existing folders of corpora are looked at: a missing corpus is no gap. Only names and first lines are checked; a
reader checks the rest.
"""

from __future__ import annotations

import bz2
import gzip
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile, ZipFile

from flows.preflight.gaps import Gap
from flows.settings import Settings
from schemas.companions import Companion
from schemas.corpus import Corpus
from stages.contract import Stage

_MAX_DEPTH = 3
_MAX_ENTRIES = 3_000  # of one folder: BigEarthNet's has 590,326 patches, and its lists are beside them or above
_MAX_FOLDERS = 300
_HEAD_BYTES = 1 << 16
_OPENERS: Mapping[str, Callable[..., Any]] = {".bz2": bz2.open, ".gz": gzip.open}


def companion_gaps(
    sources: Path | None, corpora: Sequence[Corpus], settings: Settings, stages: Sequence[Stage]
) -> Iterator[Gap]:
    """Yield the companion files that are missing or of another version.

    Args:
        sources: the SOURCES folder; it need not be there.
        corpora: manifests of the corpora that are read.
        settings: of the build; some lists are needed only with a certain setting.
        stages: the stages that the settings belong to.
    """
    for corpus in corpora:
        folder = sources / corpus.code if sources is not None else None
        if folder is None or not folder.is_dir() or not corpus.companions:
            continue
        names = look_into(folder)
        for companion in corpus.companions:
            if companion.beside and not any(re.fullmatch(companion.beside, name) for name in names):
                continue
            yield from _judge(folder, corpus, companion, names, settings, stages)


def _judge(
    folder: Path,
    corpus: Corpus,
    companion: Companion,
    names: Sequence[str],
    settings: Settings,
    stages: Sequence[Stage],
) -> Iterator[Gap]:
    is_fatal = companion.is_needed or (bool(companion.for_setting) and _is_set(companion.for_setting, settings, stages))
    found = [name for name in names if re.fullmatch(companion.pattern, name)]
    name = f"{corpus.code}/{companion.name}"
    if not found:
        what = "needed" if is_fatal else "wanted"
        yield Gap(
            "list", name, f"{what}: expected it under {folder}; without it {companion.without}",
            companion.how_to_get or corpus.how_to_get, is_fatal,
        )  # fmt: skip
    for path in (folder / one for one in found if companion.first_line and not one.endswith("/")):
        if fault := first_line_fault(path, companion):
            yield Gap("list", name, f"{path} {fault}", companion.how_to_get or corpus.how_to_get, True)


def _is_set(setting: str, settings: Settings, stages: Sequence[Stage]) -> bool:
    """Return whether a setting `section.key=value` is in force."""
    name, _, value = setting.partition("=")
    section, _, key = name.partition(".")
    params = [settings.params(stage) for stage in stages if stage.settings_section == section]
    return any(str(getattr(one, key, "")) == value for one in params)


def look_into(folder: Path) -> list[str]:
    """Return paths below a folder, the first few thousand in each; paths of folders end with a slash."""
    found: list[str] = []
    waiting, n_folders = [("", 0)], 0
    while waiting and n_folders < _MAX_FOLDERS:
        below, depth = waiting.pop(0)
        n_folders += 1
        try:
            with os.scandir(folder / below) as entries:
                for _, entry in zip(range(_MAX_ENTRIES), entries, strict=False):
                    is_folder = entry.is_dir()
                    found.append(f"{below}{entry.name}" + ("/" if is_folder else ""))
                    if is_folder and depth + 1 < _MAX_DEPTH:
                        waiting.append((found[-1], depth + 1))
        except OSError:
            continue  # the inventory names folders that cannot be read
    return sorted(found)


def first_line_fault(path: Path, companion: Companion) -> str:
    """Return why a file's first line, or a parquet file's column names, are not as expected, or ""."""
    try:
        line = _first_line(path)
    except (OSError, EOFError, BadZipFile, ValueError, IndexError) as error:
        return f"cannot be read: {type(error).__name__}: {error}"
    if re.match(companion.first_line, line) is None:
        expected = companion.first_line_in_words or f"a match of {companion.first_line}"
        return f"is of another version: expected in its first line {expected}; found {line[:80]!r}"
    return ""


def _first_line(path: Path) -> str:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return ",".join(pq.read_schema(path).names)
    if path.suffix == ".zip":
        with ZipFile(path) as archive, archive.open(archive.namelist()[0]) as member:
            return _head(member)
    with _OPENERS.get(path.suffix, open)(path, "rb") as file:
        return _head(file)


def _head(file: IO[bytes]) -> str:
    return file.readline(_HEAD_BYTES).decode("utf-8-sig", "replace").rstrip("\r\n")
