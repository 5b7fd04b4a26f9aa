"""Finds the samples of a build that its detector was trained on, by the list in the detector's folder.

Not for images in files: `Digests.find`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from rich.console import Console

from flows.ask.report import say
from flows.detector.digests import USED, Digests, has_digests, read_used, stored_digests
from flows.ledger.ledger import Ledger
from stages.outliers.scores import SCORE_DETECTOR
from stages.plurals import counted

if TYPE_CHECKING:
    import duckdb

_ROWS = 1_000_000  # searched at once: 0.3 GB
_SURVIVORS = """
    SELECT sample_id, body_sha256, phash, window_hashes, window_details
    FROM survivor JOIN image USING (image_id) LEFT JOIN keypoint_summary USING (pixel_sha256) ORDER BY sample_id
"""


def detector_folder(ledger: Ledger) -> Path | None:
    """Return the folder of the build's detector; None if none is in use."""
    if ledger.why_off(ledger.writer["detector_score"]):
        return None
    params: Any = ledger.settings.params(SCORE_DETECTOR)
    resources: Any = ledger.settings.resources(SCORE_DETECTOR)
    return Path(resources.models, params.detector)


def add_used_samples(ledger: Ledger, db: duckdb.DuckDBPyConnection) -> int:
    """Add a table `used` of the survivors that the build's detector was trained on; return their number.

    It is empty without a list of training images.
    """
    folder = detector_folder(ledger)
    known = read_used(folder) if folder else None
    found = [] if known is None else _find(db, known)
    db.register("used", pa.table({"sample_id": pa.array(found, pa.string())}))
    return len(found)


def _find(db: duckdb.DuckDBPyConnection, known: Digests) -> list[str]:
    found: list[str] = []
    for batch in db.sql(_SURVIVORS).to_arrow_reader(_ROWS):
        names, *columns = (column.to_pylist() for column in batch.columns)
        is_used = known.find(stored_digests(*columns))
        found += [name for name, used in zip(names, is_used.tolist(), strict=True) if used]
    return found


def say_used(folder: Path, n_used: int, console: Console) -> None:
    """Say how many images were left out because a detector was trained on them, or why none was."""
    if has_digests(folder):
        why = f"the detector was trained on them or on near duplicates ({folder / USED})"
        say(console, f"left out, because {why}: {counted(n_used, 'image')}", "yellow" if n_used else "")
    elif (folder / USED).is_file():
        say(
            console,
            f"{folder / USED} has no digests, so images that the detector was trained on are not left out and the"
            " figures may be too good: train it again with make train-detector",
            "yellow",
        )
    else:
        say(console, f"there is no {folder / USED}, so no image is left out as one that the detector was trained on")
