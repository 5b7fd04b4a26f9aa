"""List the files that a model's folder lacks: by the model's list, the index of its shards, and the shards' own names.

Not for damaged files, which have digests: that is `weights.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

_INDEX = ".index.json"  # after the name that the weights would have as one file
_SHARD = re.compile(r"(.+)-\d{5}-of-\d{5}\.safetensors")
_IN_A_PATTERN = set("*?[")


def lacking_files(folder: Path, patterns: Sequence[str]) -> list[str]:
    """Return the names of the files that a folder lacks, sorted; an empty file or damaged JSON counts as missing.

    Args:
        folder: of the model, with weights, which may have other names than in its list if the user converted them.
        patterns: names that the model needs, and patterns of further ones, which may match nothing; none if the
            model states no list.
    """
    named = {name for name in patterns if not _IN_A_PATTERN & set(name) and not name.endswith(".safetensors")}
    found = {path.name for pattern in patterns for path in folder.glob(pattern)}
    wanted = {*named, *found, *_shards(folder)}
    faulty = {index.name for index in _indexes(folder) if not _named_in(index)}
    return sorted(faulty | {name for name in wanted if not _is_whole(folder / name)})


def _shards(folder: Path) -> Iterator[str]:
    """Yield the index that shards need, and the shards that an index names."""
    for path in folder.glob("*.safetensors"):
        shard = _SHARD.fullmatch(path.name)
        if shard and not (folder / f"{shard[1]}.safetensors").is_file():
            yield f"{shard[1]}.safetensors{_INDEX}"
    for index in _indexes(folder):
        yield from _named_in(index)


def _indexes(folder: Path) -> list[Path]:
    """Return the indexes of shards, without those beside one whole file, which is read in place of the shards."""
    found = folder.glob(f"*.safetensors{_INDEX}")
    return [index for index in found if not index.with_name(index.name.removesuffix(_INDEX)).is_file()]


def _named_in(index: Path) -> set[str]:
    """Return the shards that an index names; none if it is damaged."""
    try:
        return {str(name) for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def _is_whole(path: Path) -> bool:
    """Return whether a file exists and has bytes; of weights, whether it exists; of a JSON file, whether it is JSON."""
    if path.suffix == ".safetensors" or not path.is_file():
        return path.is_file()
    if path.suffix != ".json":
        return path.stat().st_size > 0
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True
