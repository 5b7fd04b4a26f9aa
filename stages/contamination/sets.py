"""List evaluation sets: the images of a folder of sets, of a manifest, or of shared files of hashes.

Not for reading images: stage.py does that. Captions files are read in captions.py.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from schemas.evaluation_manifests import EvaluationSet, layout_of, load_evaluation_sets
from stages.contamination.named_splits import ENDINGS, assign_splits
from stages.contamination.walking import first_meant, is_hidden, is_meant, shown_name, walk
from stages.contract import InputError
from stages.identity import digest_json

CAPTION_NAMES = re.compile(r"(captions|dataset(_\w+)?)\.(csv|tsv|json|jsonl)", re.I)
NO_SPLIT = "all"
_SPLITS = {
    "train": ("train", "training", "restval"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
SPLIT_OF = {name: split for split, names in _SPLITS.items() for name in names}
# Fields of a layout that hold for its captions file alone.
_OF_CAPTIONS = ("captions", "image_column", "caption_column", "more_caption_columns", "split_column")
Refusal = tuple[str, str, str, str]  # set, path, reason, detail


@dataclass(frozen=True)
class SetFolder:
    """An evaluation set and its folder."""

    about: EvaluationSet
    root: Path

    @cached_property
    def captions(self) -> Path | None:
        """Its captions file: the one in the manifest, or the first in its folder with a known name."""
        if "*" in self.about.captions:
            return first_meant(self.root, self.about.captions)
        if self.about.captions:
            return self.root / self.about.captions
        found = (path for path in sorted(self.root.iterdir()) if CAPTION_NAMES.fullmatch(path.name))
        return next(found, None)


@dataclass
class Sets:
    """Content of EVAL: sets of images, files of hashes, and all other paths with a reason."""

    folders: list[SetFolder] = field(default_factory=list)
    shared: list[Path] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


def find_sets(evaluation: Path) -> Sets:
    """Return the evaluation sets of EVAL: a folder of sets, a TOML manifest, or a parquet file of hashes.

    Raises:
        InputError: EVAL or a set's folder is missing, or EVAL names no set, or one twice.
        ManifestError: the manifest has a fault.
    """
    if evaluation.is_dir():
        sets = Sets([_set_of(evaluation.absolute())]) if _is_published_set(evaluation) else _in_folder(evaluation)
    elif not evaluation.is_file():
        raise InputError(
            f"EVAL={evaluation} is missing: give a folder with one folder per evaluation set, a TOML manifest, or a"
            " parquet file written by `make eval-hashes`; EVAL=none checks nothing"
        )
    elif evaluation.suffix == ".toml":
        listed = load_evaluation_sets(evaluation).sets
        sets = Sets([SetFolder(about, evaluation.parent / about.folder) for about in listed])
    elif evaluation.suffix == ".parquet":
        sets = Sets(shared=[evaluation])
    else:
        raise InputError(f"EVAL={evaluation} is neither a folder, nor a .toml manifest, nor a .parquet file of hashes")
    for one in sets.folders:
        if not one.root.is_dir():
            raise InputError(f"the folder {one.root} of the evaluation set {one.about.name} is missing")
    names = [one.about.name for one in sets.folders]
    if len(set(names)) != len(names):
        raise InputError(
            f"EVAL={evaluation}: folders whose names differ only in punctuation: {sorted(names)}; rename one"
        )
    if not names and not sets.shared:
        raise InputError(f"EVAL={evaluation} has no folder: expected one folder per evaluation set")
    return sets


def _is_published_set(evaluation: Path) -> bool:
    """Return whether EVAL is a published set itself: by its name, without another set or a file of hashes in it."""
    if layout_of(evaluation.absolute().name) is None:
        return False
    return not any(path.suffix == ".parquet" or layout_of(path.name) for path in evaluation.iterdir())


def _refuse_single_set(evaluation: Path) -> None:
    """Raise InputError if a folder's content is that of one set: folders of splits alone, or a captions file."""
    names = [path.name for path in sorted(evaluation.iterdir()) if not path.name.startswith(".")]
    folders = [name for name in names if (evaluation / name).is_dir()]
    captions = [name for name in names if CAPTION_NAMES.fullmatch(name) and name not in folders]
    if captions or (folders and all(name.lower() in SPLIT_OF for name in folders)):
        raise InputError(
            f"EVAL={evaluation} has {', '.join(captions or folders)}, so it is one evaluation set: expected a folder"
            f" with a folder per set. Name the folder above it, {evaluation.absolute().parent}, or write a manifest"
        )


def _in_folder(evaluation: Path) -> Sets:
    _refuse_single_set(evaluation)
    sets = Sets()
    for path in sorted(evaluation.iterdir()):
        name = shown_name(path.name)
        if path.name.startswith("."):
            sets.refused.append(("", name, "hidden_file", ""))
        elif path.is_dir():
            sets.folders.append(_set_of(path))
        elif path.suffix == ".parquet":
            sets.shared.append(path)
        else:
            sets.refused.append(("", name, "not_an_evaluation_image", "outside the folders of the evaluation sets"))
    return sets


def _set_of(root: Path) -> SetFolder:
    """Return the set of a folder, with its layout if it is a published one.

    Without the captions file of that layout, captions are read by the general rules.
    """
    name = re.sub(r"[^A-Za-z0-9._]", "_", root.name).lstrip("._")[:60] or "unnamed"
    layout = layout_of(root.name)
    known = layout.model_dump(exclude={"name", "folders"}) if layout else {}
    if layout and layout.captions and first_meant(root, layout.captions) is None:
        known = {key: value for key, value in known.items() if key not in _OF_CAPTIONS}
    return SetFolder(EvaluationSet(name=name, folder=root.name, **known), root)


def list_images(one: SetFolder, splits: dict[str, str]) -> tuple[list[dict[str, Any]], list[Refusal]]:
    """Return the images of a set, sorted by path, and all other paths in its folder with a reason.

    Args:
        one: the evaluation set.
        splits: split by name or path of image, from the captions file.

    Raises:
        InputError: a split has an unknown name.
    """
    rows: list[dict[str, Any]] = []
    refused: list[Refusal] = []
    name, captions = one.about.name, one.captions
    for path, fault in walk(one.root):
        below = path.relative_to(one.root).as_posix()
        shown = shown_name(below)
        if fault or shown != below:
            refused.append((name, shown, "unreadable", fault or "its name is not UTF-8: rename it"))
        elif is_hidden(below):
            refused.append((name, below, "hidden_file", ""))
        elif captions is not None and path == captions:
            refused.append((name, below, "caption_list", ""))
        elif _split_of_list(one, below):
            refused.append((name, below, "split_list", ""))
        elif not below.lower().endswith(ENDINGS) or not is_meant(below, one.about.pattern):
            refused.append((name, below, "not_an_evaluation_image", f"pattern {one.about.pattern}"))
        else:
            rows.append(_row(one, path, below))
    if not one.about.split_pattern:
        _name_splits(rows, {**_listed_splits(one), **splits})
    if not rows:
        refused.append((name, "", "empty_set", f"no file {', '.join(ENDINGS)} with pattern {one.about.pattern}"))
    return rows, refused


def _name_splits(rows: list[dict[str, Any]], named: dict[str, str]) -> None:
    """Set the splits of the images that captions and lists name, in place."""
    found = assign_splits({row["evaluation_path"]: row["evaluation_split"] for row in rows}, named, NO_SPLIT)
    for row in rows:
        row["evaluation_split"] = found[row["evaluation_path"]]


def _row(one: SetFolder, path: Path, below: str) -> dict[str, Any]:
    status = path.stat()
    return {
        "evaluation_set": one.about.name,
        "evaluation_path": below,
        "evaluation_split": _split(one, below),
        "evaluation_licence": one.about.licence,
        "size_bytes": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "evaluation_file": str(path.resolve()),
    }


def _split_of_list(one: SetFolder, below: str) -> str:
    """Return the split whose images a text file lists, "" if it is not such a list."""
    found = re.search(one.about.split_lists, below) if one.about.split_lists else None
    return plain_split(found["split"], f"the path {below} of {one.about.name}") if found else ""


def _listed_splits(one: SetFolder) -> dict[str, str]:
    """Return the split of each image, by its name without an ending, that a text file of the folder lists.

    Raises:
        InputError: a list cannot be read, or two lists have the same image.
    """
    splits: dict[str, str] = {}
    paths = [path for path, fault in walk(one.root) if not fault] if one.about.split_lists else []
    for path in paths:
        split = _split_of_list(one, path.relative_to(one.root).as_posix())
        for line in _read_lines(path) if split else ():
            if splits.setdefault(Path(line).stem, split) != split:
                raise InputError(f"{line} is in two split lists of {one.about.name}: remove it from {path}")
    return splits


def _read_lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the split list {path} cannot be read: {error}") from error


def _split(one: SetFolder, below: str) -> str:
    """Return the split that the pattern of the set, or else its folder, names."""
    if one.about.split_pattern:
        found = re.search(one.about.split_pattern, below)
        return plain_split(found["split"], f"the path {below} of {one.about.name}") if found else NO_SPLIT
    return SPLIT_OF.get(below.split("/")[0].lower(), NO_SPLIT)


def plain_split(name: str, where: str) -> str:
    """Return train, val or test. Raises InputError for another name."""
    if name.strip().lower() not in SPLIT_OF:
        raise InputError(f"the split {name!r} of {where}: expected one of {', '.join(SPLIT_OF)}")
    return SPLIT_OF[name.strip().lower()]


def evaluation_identity(evaluation: str) -> dict[str, str]:
    """Return a digest of the names, sizes and times of all files of EVAL, including a fault of EVAL."""
    if not evaluation:
        return {"files": "none"}
    path = Path(evaluation)
    try:
        sets = find_sets(path)
        tree = [
            (one.about.model_dump(mode="json"), [_status(file) for file, _ in walk(one.root)]) for one in sets.folders
        ]
        others = [*sets.shared, *(one.captions for one in sets.folders if one.captions)]
        return {"files": digest_json([tree, [_status(file) for file in others], sets.refused])}
    except (InputError, ValueError, OSError) as fault:
        return {"fault": str(fault)}


def _status(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError:
        return shown_name(str(path)), -1, 0
    return shown_name(str(path)), status.st_size, status.st_mtime_ns
