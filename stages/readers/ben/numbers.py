"""The number of each patch of BigEarthNet, by which its sample is named. Not for reading lists: that is ben_lists."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from schemas.corpora import Corpus
from stages.contract import InputError
from stages.inventory.scanning import Found
from stages.readers.ben import lists as ben_lists
from stages.readers.ben import reader as ben
from stages.readers.labelled_records import FileRole

Placer = Callable[[str, re.Match[str]], tuple[FileRole, int]]
_UNKNOWN = "no table of version 2 names the patch, so that it has no number"


def patch_placer(folder: Path, corpus: Corpus, found: Found, known: Sequence[str]) -> Placer:
    """Return what says where a file of a patch belongs, and the patch's number.

    Args:
        folder: the corpus's folder under SOURCES.
        corpus: its manifest.
        found: the files of the folder; files of version 2 without a number are passed over.
        known: paths under the folder that were listed before: a patch that has vanished keeps its number.

    Raises:
        InputError: a list is gone or damaged, there are patches of both versions, or of version 2 without its table.
    """
    _check_lists(found, [path for path in known if corpus.is_companion(path)])
    lists = [(path, (folder / path).read_bytes()) for path, _, _ in sorted(found.lists)]
    metadata = [(f"{folder}/{path}", data) for path, data in lists if ben_lists.is_metadata(path)]
    names = [(f"{folder}/{path}", data) for path, data in lists if not ben_lists.is_metadata(path)]
    try:
        v1_names = ben_lists.v1_by_v2(metadata)
        ben_lists.patch_indices((), names)
    except InputError as error:  # the corpus is left out, and the others go on
        for path, _ in lists:
            if str(error).startswith(f"{folder}/{path}"):
                found.passed.add(path, "unreadable", str(error))
        raise
    patches = _patches([*(path for path, _, _ in found.files), *known], corpus)
    if any(map(ben_lists.is_v2_name, patches)):
        _check_one_version(folder, patches, bool(metadata))
        _drop_unknown(found, v1_names)
    named = {name if ben_lists.is_v1_name(name) else v1_names.get(name, "") for name in patches} - {""}
    indices = ben_lists.patch_indices([*named, *v1_names.values()], names)

    def place(path: str, match: re.Match[str]) -> tuple[FileRole, int]:
        patch = ben.patch_of(match)
        index = indices[v1_names.get(patch, patch)]
        return ben.place(path, match, index), index

    return place


def _patches(paths: Sequence[str], corpus: Corpus) -> set[str]:
    matches = map(corpus.match_file, paths)
    return {ben.patch_of(match) for match in matches if match is not None}


def _check_lists(found: Found, known: Sequence[str]) -> None:
    """Check that no list is gone that the samples of the build are numbered by."""
    names = {ben_lists.list_name(path) for path, _, _ in found.lists}
    for path in sorted(path for path in known if ben_lists.list_name(path) not in names):
        raise InputError(
            f"ben/{path} is gone, and this build's samples are numbered by it: restore it, or begin another build"
        )


def _check_one_version(folder: Path, patches: set[str], has_metadata: bool) -> None:
    """Check that patches of version 2 are alone, and that there is what leads from them to version 1."""
    if first := min(filter(ben_lists.is_v1_name, patches), default=""):
        raise InputError(
            f"{folder}: {first} is a patch of version 1, {min(filter(ben_lists.is_v2_name, patches))} one of version 2,"
            " whose pixels are processed otherwise. Expected one version in a build: move the other out of SOURCES,"
            " and begin another build where this one was made of it"
        )
    if not has_metadata:
        raise InputError(
            f"{folder} holds patches of version 2, whose samples are named through its metadata.parquet, which is not"
            " there: download it (Zenodo 10891137) and put it beside them"
        )


def _drop_unknown(found: Found, v1_names: Mapping[str, str]) -> None:
    """Pass over the files of version 2 that its tables do not know: they have no number."""
    known = [file for file in found.files if file[0].split("/")[-2] in v1_names]
    for path in sorted({path for path, _, _ in found.files} - {path for path, _, _ in known}):
        found.passed.add(path, "unexpected_file", _UNKNOWN)
    found.files[:] = known
