"""Present RS5M's own lists (METAFILE=…) as a SOURCES folder, to build from or to compare a build with.

The lists are read by `stages/readers/rs5m_list/rows.py`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from schemas.corpora import LIST_CODE, RELEASED_CODE, labelled_codes
from stages.contract import InputError
from stages.identity import digest_json
from stages.readers.corpora import load_corpus

FOLDER = ".metafile"
_TABLES = (".csv", ".parquet", ".pkl")  # below a folder may be millions of images


def list_files(metafile: Path) -> tuple[list[Path], list[Path]]:
    """Return the lists of a METAFILE, and its files with other names, each by path.

    Only a folder without any list is searched below, as that of `make export`.

    Raises:
        InputError: there is no list.
    """
    corpus = load_corpus(LIST_CODE)
    if not metafile.exists():
        raise InputError(
            f"METAFILE={metafile} does not exist: expected a list or a folder of lists. {corpus.how_to_get}"
        )
    files = _files_under(metafile)
    found = [path for path in files if corpus.match_file(path.name)]
    if not found:
        raise no_list(metafile, files)
    return found, [path for path in files if path not in set(found)]


def _files_under(metafile: Path) -> list[Path]:
    """Return the files of a METAFILE, by path: those of the folder itself, and if none is a list, tables below it."""
    if metafile.is_file():
        return [metafile]
    corpus = load_corpus(LIST_CODE)
    files = [path for path in metafile.iterdir() if path.is_file()]
    if not any(corpus.match_file(path.name) for path in files):
        files += [path for path in metafile.rglob("*/*") if path.suffix.lower() in _TABLES and path.is_file()]
    return sorted(path for path in files if not path.name.startswith("."))


def as_sources(metafile: Path, build: Path, labelled: Path | None = None) -> Path:
    """Return a SOURCES folder with links to the files of a METAFILE, made atomically.

    Args:
        metafile: a list or a folder of lists.
        build: the build's folder.
        labelled: a SOURCES folder whose labelled corpora are linked too, if any.

    Raises:
        InputError: there is no list, or no labelled corpus.
    """
    lists, others = list_files(metafile)
    # Other files are linked too, so that inventory names them as passed over.
    files = {_link_of(path, metafile): path.resolve() for path in sorted([*lists, *others])}
    folders = {} if labelled is None else _labelled_folders(labelled)
    made = build / FOLDER / digest_json([str(path) for path in (*files, *files.values(), *folders.values())])[:16]
    if not made.exists():
        draft = made.with_name(f"{made.name}.{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        (draft / LIST_CODE).mkdir(parents=True)
        for link, path in files.items():
            (draft / LIST_CODE / link).parent.mkdir(parents=True, exist_ok=True)
            (draft / LIST_CODE / link).symlink_to(path)
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
            " of them. Without SOURCES only the web images are rebuilt"
        )
    return found


def _link_of(path: Path, metafile: Path) -> Path:
    """Return where a file of a METAFILE is linked below the folder of the lists."""
    return Path(path.name) if path == metafile else path.relative_to(metafile)


def no_list(metafile: Path, files: Sequence[Path]) -> InputError:
    """Return the error for a METAFILE without a list: the expected file, the found files and the remedy."""
    corpus = load_corpus(LIST_CODE)
    advice = next((f" {path.name}: {text}." for path in files if (text := corpus.advice_on(path.name))), "")
    found = ", ".join(path.name for path in files[:5]) or "nothing"
    return InputError(
        f"METAFILE={metafile}: expected a CSV or parquet file with image name, text and URL, such as"
        f" pub11_train_metadata.csv; found {found}.{advice} {corpus.how_to_get}"
    )
