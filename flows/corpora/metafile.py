"""Present RS5M's own lists (METAFILE=…) as a SOURCES folder, to build from or to compare a build with.

The lists are read by `stages/readers/rs5m_list/rows.py`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from schemas.corpora import LIST_CODE, RELEASED_CODE, Corpus, labelled_codes
from stages.contract import InputError
from stages.identity import digest_json
from stages.readers.corpora import load_corpus

FOLDER = ".metafile"


def list_files(metafile: Path) -> list[Path]:
    """Return the lists of a METAFILE: the file itself, or the lists in the folder, by name.

    Raises:
        InputError: there is no list.
    """
    corpus = load_corpus(LIST_CODE)
    if not metafile.exists():
        raise InputError(
            f"METAFILE={metafile} does not exist: expected a list or a folder of lists. {corpus.how_to_get}"
        )
    found = [path for path in _files_under(metafile) if corpus.match_file(path.name)]
    if not found:
        raise InputError(_what_is_wrong(metafile, corpus))
    return found


def as_sources(metafile: Path, build: Path, labelled: Path | None = None) -> Path:
    """Return a SOURCES folder with links to the files of a METAFILE, made atomically.

    Args:
        metafile: a list or a folder of lists.
        build: the build's folder.
        labelled: a SOURCES folder whose labelled corpora are linked too, if any.

    Raises:
        InputError: there is no list, or no labelled corpus.
    """
    list_files(metafile)  # other files are linked too, so that inventory names them as passed over
    files = [path.resolve() for path in _files_under(metafile)]
    folders = {} if labelled is None else _labelled_folders(labelled)
    made = build / FOLDER / digest_json([str(path) for path in (*files, *folders.values())])[:16]
    if not made.exists():
        draft = made.with_name(f"{made.name}.{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        (draft / LIST_CODE).mkdir(parents=True)
        for path in files:
            (draft / LIST_CODE / path.name).symlink_to(path)
        for code, folder in folders.items():
            (draft / code).symlink_to(folder)
        draft.rename(made)
    return made


def _labelled_folders(sources: Path) -> dict[str, Path]:
    codes = [code for code in labelled_codes() if code != RELEASED_CODE]
    found = {code: (sources / code).resolve() for code in codes if (sources / code).is_dir()}
    if not found:
        raise InputError(
            f"SOURCES={sources}: expected a folder with one folder per labelled corpus ({', '.join(codes)}), found none"
            " of them. Without SOURCES only the web images are made again"
        )
    return found


def _files_under(metafile: Path) -> list[Path]:
    if metafile.is_file():
        return [metafile]
    return sorted(path for path in metafile.iterdir() if path.is_file() and not path.name.startswith("."))


def _what_is_wrong(metafile: Path, corpus: Corpus) -> str:
    files = _files_under(metafile)
    advice = next((f" {path.name}: {text}." for path in files if (text := corpus.advice_on(path.name))), "")
    found = ", ".join(path.name for path in files[:5]) or "nothing"
    return (
        f"METAFILE={metafile}: expected a CSV or parquet file with image name, text and URL, such as"
        f" pub11_train_metadata.csv; found {found}.{advice} {corpus.how_to_get}"
    )
