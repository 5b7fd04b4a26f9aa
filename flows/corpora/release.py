"""Present RS5M's released tars as a SOURCES folder: PUB11's and RS3's tars as two corpora.

The tars are read by `stages/readers/rs5m_tars`.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from schemas.corpora import LIST_CODE, RELEASED_CODE
from stages.identity import digest_json

FOLDER = ".release"
_SPLITS = ("train", "val")
_TAR = re.compile(r"(pub11|rs3)-(?:train|val)-\d{4}\.tar")
_CODES = {"pub11": LIST_CODE, "rs3": RELEASED_CODE}


def is_release(folder: Path) -> bool:
    """Return whether a folder has released tars, as published by RS5M or as in a build's dataset folder."""
    return bool(tars_of(folder))


def as_sources(folder: Path, build: Path) -> Path:
    """Return a SOURCES folder with links to the files in the release's train and val, made atomically.

    A file that is not a released tar is linked with PUB11's, so that inventory lists it as skipped.
    """
    files = [path.absolute() for path in _files(folder)]
    made = build / FOLDER / digest_json([str(path) for path in files])[:16]
    if not made.exists():
        draft = made.with_name(f"{made.name}.{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        for path in files:
            found = _TAR.fullmatch(path.name)
            link = draft / (_CODES[found[1]] if found else LIST_CODE) / path.parent.name / path.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
        draft.rename(made)
    return made


def tars_of(folder: Path) -> list[Path]:
    """Return the released tars of a folder, by split and name."""
    return [path for path in _files(folder) if _TAR.fullmatch(path.name)]


def _files(folder: Path) -> list[Path]:
    found = (folder / split for split in _SPLITS)
    return sorted(path for split in found if split.is_dir() for path in split.iterdir() if path.is_file())
