"""Number the patches of BigEarthNet, as samples are named by number. lists.py reads the lists."""

import re
from collections.abc import Sequence

from schemas.corpus import Corpus
from stages.contract import InputError
from stages.readers.ben import lists as ben_lists
from stages.readers.labelled_records import CorpusFiles, ListFault, list_name


def patch_of(found: re.Match[str]) -> str:
    """Return the patch name, of version 1 or 2, in a path that the corpus's file pattern matches."""
    return found["patch"] or found["patch_2"]


def number_patches(corpus: Corpus, holding: CorpusFiles) -> dict[str, int]:
    """Return the number of each patch by name; a patch of version 2 that is in no table has none.

    Raises:
        ListFault: a list is damaged.
        InputError: a list is missing, or there are patches of both versions, or of version 2 without its table.
    """
    _check_lists(corpus, holding)
    lists = {path: holding.folder / path for path in sorted(holding.lists)}
    metadata = [path for name, path in lists.items() if ben_lists.is_metadata(name)]
    names = [(str(path), path.read_bytes()) for path in lists.values() if path not in metadata]
    try:
        v1_names = ben_lists.v1_by_v2(metadata)
        ben_lists.patch_indices((), names)
    except InputError as error:
        damaged = [name for name, path in lists.items() if str(error).startswith(str(path))]
        raise ListFault(damaged[0] if damaged else "", str(error)) from error
    patches = _patches([*holding.paths, *holding.known], corpus)
    if any(map(ben_lists.is_v2_name, patches)):
        _check_one_version(holding, patches, bool(metadata))
    named = {name: name if ben_lists.is_v1_name(name) else v1_names.get(name, "") for name in patches}
    numbers = ben_lists.patch_indices([*({*named.values()} - {""}), *v1_names.values()], names)
    return {patch: numbers[name] for patch, name in named.items() if name}


def _patches(paths: Sequence[str], corpus: Corpus) -> set[str]:
    matches = map(corpus.match_file, paths)
    return {patch_of(match) for match in matches if match is not None}


def _check_lists(corpus: Corpus, holding: CorpusFiles) -> None:
    """Check that no list which numbers the build's samples is missing."""
    names = {list_name(path) for path in holding.lists}
    known = [path for path in holding.known if corpus.is_companion(path)]
    for path in sorted(path for path in known if list_name(path) not in names):
        raise InputError(
            f"{corpus.code}/{path} is missing, and it numbers this build's samples: restore it, or begin another build"
        )


def _check_one_version(holding: CorpusFiles, patches: set[str], has_metadata: bool) -> None:
    """Check that there is one version of patches, and for version 2 the table of version 1's names."""
    if first := min(filter(ben_lists.is_v1_name, patches), default=""):
        raise InputError(
            f"{holding.folder}: {first} is a patch of version 1, {min(filter(ben_lists.is_v2_name, patches))} one of"
            " version 2, whose pixels are processed differently. Expected one version in a build: move the other out of"
            " SOURCES, and begin another build if this one was made from it"
        )
    if not has_metadata:
        raise InputError(
            f"{holding.folder} holds patches of version 2, whose samples are named by its metadata.parquet, which"
            " is missing: download it (Zenodo 10891137) and put it beside them"
        )
