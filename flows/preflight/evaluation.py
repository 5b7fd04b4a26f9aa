"""Evaluation sets before a build: the rows of the stages that compare with them, and the faults of EVAL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flows.preflight.gaps import Gap
from flows.preflight.volumes import Halves
from flows.settings import Settings
from schemas.manifest_files import ManifestError
from stages.contamination.sets import find_sets, list_images
from stages.contract import InputError
from stages.dedup.settings import DescribeParams, off_without_summaries

# A pilot compares with the whole sets, so these do not grow with it.
OF_EVALUATION = frozenset(
    {"list_evaluation", "list_evaluation_captions", "hash_evaluation", "describe_evaluation", "locate_evaluation",
     "find_candidates", "compare_candidates", "find_set_pairs", "compare_sets", "find_overlap", "find_ground_overlap"}
)  # fmt: skip
_PAIRED = frozenset({"find_candidates", "compare_candidates", "find_set_pairs", "compare_sets"})  # a row for each pair
_OF_MARKS = frozenset({"find_contaminated", "find_same_ground", "find_captions", "count_contamination"})  # few rows


def evaluation_volumes(settings: Settings, pictures: Halves) -> dict[str, Halves]:
    """Return the rows of the stages of contamination, by stage.

    Args:
        settings: of the build, with EVAL.
        pictures: number of pictures of the corpora, by half.
    """
    path = evaluation_of(settings)
    n_pictures = count_pictures(path) if path else 0
    n_candidates = int(settings.by_stage["find_candidates"][0].model_dump()["n_candidates"])
    rows = {name: Halves(n_pictures * (n_candidates if name in _PAIRED else 1)) for name in OF_EVALUATION | _OF_MARKS}
    gallery = pictures if n_pictures else Halves()
    dedup = settings.by_stage["summarise_keypoints"][0]
    is_summarised = isinstance(dedup, DescribeParams) and not off_without_summaries(dedup)
    return rows | {"plan_gallery": gallery, "summarise_gallery": Halves() if is_summarised else gallery}


def count_pictures(evaluation: Path) -> int:
    """Return the number of pictures in the evaluation sets; 0 for sets with a fault, which is a gap."""
    import pyarrow.parquet as pq

    try:
        sets = find_sets(evaluation)
        n_shared = sum(int(pq.read_metadata(path).num_rows) for path in sets.shared)
        return n_shared + sum(len(list_images(one, {})[0]) for one in sets.folders)
    except (InputError, ManifestError, OSError, ValueError):
        return 0


def evaluation_gaps(settings: Settings) -> Iterator[Gap]:
    """Yield the faults of EVAL, which the stages of contamination would otherwise report much later."""
    path = evaluation_of(settings)
    try:
        if path:
            check_evaluation(path)
    except (InputError, ManifestError) as error:
        yield Gap("setting", "contamination.evaluation", str(error))


def check_evaluation(evaluation: Path) -> None:
    """List the evaluation sets, and raise what is wrong with them.

    Raises:
        InputError: EVAL, a captions file, a split list or a file of hashes has a fault.
        ManifestError: the manifest has a fault.
    """
    from stages.contamination.captions import read_captions, splits_of
    from stages.contamination.shared import list_shared
    from stages.contamination.stage import refuse_twice

    sets = find_sets(evaluation)
    rows = [row for path in sets.shared for row in list_shared(path)]
    for one in sets.folders:
        rows += list_images(one, splits_of(read_captions(one)))[0]
    refuse_twice(rows)


def evaluation_of(settings: Settings) -> Path | None:
    """Return EVAL, None if no evaluation sets are named."""
    text = str(settings.by_stage["list_evaluation"][0].model_dump()["evaluation"])
    return Path(text) if text else None
