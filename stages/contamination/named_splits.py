"""Assign splits to the images that captions files and split lists name.

Not for reading these files: captions.py and sets.py do.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
_ENDING = re.compile(f"({'|'.join(map(re.escape, ENDINGS))})$", re.I)


def assign_splits(by_folder: Mapping[str, str], named: Mapping[str, str], no_split: str) -> dict[str, str]:
    """Return the split of each image, by path.

    A name stands for the images whose path ends with it. If there is none, it stands for the only image with that name
    and another ending. A name without an ending stands for all images with that name. If a name stands for several
    images, those in a folder of a split keep that split. Of two names for one image, the one with more folders counts.

    Args:
        by_folder: split by path of image; no_split where no folder names one.
        named: split by name or path of image.
        no_split: split of images that nothing names.
    """
    by_end, by_stem = _by_end(by_folder, with_ending=True), _by_end(by_folder, with_ending=False)
    found = dict(by_folder)
    for name in sorted(named, key=lambda name: name.count("/")):
        images = by_end.get(name, [])
        if not images:
            alike = by_stem.get(_ENDING.sub("", name), [])
            images = alike if len(alike) == 1 or not _ENDING.search(name) else []
        for path in images:
            if len(images) == 1 or by_folder[path] == no_split:
                found[path] = named[name]
    return found


def _by_end(paths: Iterable[str], *, with_ending: bool) -> dict[str, list[str]]:
    """Return paths by each end of them that begins with a name of a folder or file."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        pieces = (path if with_ending else _ENDING.sub("", path)).split("/")
        for n in range(len(pieces)):
            found["/".join(pieces[n:])].append(path)
    return dict(found)
