"""Find the record of an FMoW picture: among the ground truth records, or beside the picture.

Records beside the pictures state no place since the challenge; the ground truth records do. Pictures of the test split
are numbered, and `test_gt_mapping.json` names the scene of each number. Not for what a record states: places.py.
"""

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path

_NAME = re.compile(r".+_\d+_(rgb|msrgb)")
_TRUTH = "groundtruth"  # folder of the records, as of the corpus under SOURCES
_N_FOLDERS_ABOVE = 4  # root, split, category, scene


def find_record(picture: Path) -> Path | None:
    """Return the record of a picture, None if there is none.

    Raises:
        OSError: the list of numbered pictures cannot be read.
        ValueError: it is not JSON.
    """
    paths = _truth_records(picture) if _NAME.fullmatch(picture.stem) else iter(())
    return next((path for path in chain(paths, [picture.with_suffix(".json")]) if path.is_file()), None)


def _truth_records(picture: Path) -> Iterator[Path]:
    """Yield the paths that a picture's ground truth record may have."""
    for root in picture.parents[1 : _N_FOLDERS_ABOVE + 1]:
        split, *folders, _ = picture.relative_to(root).parts
        name = f"{picture.stem}.json"
        for truth in (root / _TRUTH, root):
            below = truth / f"{split}_gt"
            yield below.joinpath(*folders, name)
            scene = _scenes(truth / f"{split}_gt_mapping.json").get("/".join((split, *folders)))
            if scene and folders:
                yield truth / scene / f"{Path(scene).name}{picture.stem.removeprefix(folders[-1])}.json"
        yield (root / _TRUTH).joinpath(split, *folders, name)
        yield root / _TRUTH / name


def _scenes(mapping: Path) -> dict[str, str]:
    return _read_scenes(mapping, mapping.stat().st_mtime_ns) if mapping.is_file() else {}


@lru_cache(maxsize=4)
def _read_scenes(mapping: Path, mtime_ns: int) -> dict[str, str]:
    """Return the folder of records of each folder of numbered pictures, by a mapping's rows `output` and `input`."""
    rows = json.loads(mapping.read_text(encoding="utf-8-sig"))
    listed = rows if isinstance(rows, list) else []
    return {str(row.get("output")): str(row.get("input")) for row in listed if isinstance(row, dict)}
