"""The labelled corpora of the generated world: FMoW, BigEarthNet and MillionAID in their original layouts.

Their images are not downloaded; each has a planned fate and, if known, a true position and time.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from flows.demo.world.ben import plan_ben
from flows.demo.world.damage import damaged
from flows.demo.world.drawings import FROM_ABOVE
from flows.demo.world.fmow import plan_fmow
from flows.demo.world.images import Gallery
from flows.demo.world.labelled_rows import LabelledRow
from flows.demo.world.rows import Row

LABELLED = ("fmow", "ben", "millionaid")
# Numbers of samples: in a full world, and in one below SMALL_WORLD_ROWS.
N_VIEWS, N_PATCHES, N_MILLIONAID = (24, 8), (30, 10), (60, 20)
SMALL_WORLD_ROWS = 1000


@dataclass
class Labelled:
    """All files of the labelled corpora by path under SOURCES, and all samples."""

    files: dict[str, bytes] = field(default_factory=dict)
    rows: list[LabelledRow] = field(default_factory=list)

    def write(self, sources: Path, truth: Path) -> None:
        """Write the files, and a table with the true values of each sample that read_labelled keeps."""
        for name, body in self.files.items():
            path = sources / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        names = [f.name for f in fields(LabelledRow) if f.name not in ("corpus", "stage", "reason")]
        with truth.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(names)
            for row in self.rows:
                if row.stage != "read_labelled":
                    values = {**vars(row), "labels": json.dumps(list(row.labels))}
                    writer.writerow(["" if values[name] is None else values[name] for name in names])


def plan_labelled(n_rows: int, seed: int, gallery: Gallery, web_rows: Sequence[Row]) -> Labelled:
    """Plan the labelled corpora of a world of n_rows; the gallery has already drawn the pictures of web_rows."""
    planned, size = Labelled(), int(n_rows < SMALL_WORLD_ROWS)
    planned.rows += plan_fmow(N_VIEWS[size], seed, gallery, planned.files)
    planned.rows += plan_ben(N_PATCHES[size], seed, gallery, planned.files)
    planned.rows += _plan_millionaid(N_MILLIONAID[size], seed, gallery, planned, web_rows)
    return planned


def _plan_millionaid(
    n_images: int, seed: int, gallery: Gallery, planned: Labelled, web_rows: Sequence[Row]
) -> list[LabelledRow]:
    """Plan a flat folder of images, among them a truncated one, an empty one, and copies of FMoW and web images."""
    rng = np.random.default_rng([seed, 1 << 24])
    first = planned.rows[0]
    copied = next(
        row for row in web_rows
        if row.image is not None and row.image.recipe == "jpeg" and row.image.kind in FROM_ABOVE
    )  # fmt: skip
    rows = []
    for n in range(n_images):
        name = f"P{185 + 37 * n:07d}"
        row = LabelledRow(f"millionaid_{name}", "millionaid")
        if n == 1:
            row.stage, row.reason = "screen", "truncated_image"
            body, _, _ = damaged("truncated_image", seed, 1 << 21)
        elif n == 2:
            row.stage, row.reason, body = "screen", "empty_file", b""
        elif n == 3:
            row.copy_of = first.sample_id
            body = planned.files[first.path]
        elif n == 4 and copied.image is not None:
            row.copy_of = copied.survivor or copied.sample_id
            body = copied.image.body
        else:
            kind = sorted(FROM_ABOVE)[int(rng.integers(len(FROM_ABOVE)))]
            width, height = (int(side) for side in rng.choice([110, 160, 200, 256, 320], 2))
            body = gallery.draw_kind(kind, ["jpeg"], width, height)[0].body
        row.path = f"millionaid/test/{name}.jpg"
        planned.files[row.path] = body
        rows.append(row)
    planned.files["millionaid/train/water_area/lake/P0000186.jpg"] = b"not of the test images: never read"
    return rows


def read_truth(out: Path) -> dict[str, LabelledRow]:
    """Return the true values of the labelled samples of a world on disk, by sample_id."""
    found = {}
    with (out / "labelled_truth.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found[row["sample_id"]] = LabelledRow(
                row["sample_id"], row["sample_id"].split("_")[0], path=row["path"],
                latitude_deg=float(row["latitude_deg"]) if row["latitude_deg"] else None,
                longitude_deg=float(row["longitude_deg"]) if row["longitude_deg"] else None,
                datetime=row["datetime"], country_code=row["country_code"], labels=tuple(json.loads(row["labels"])),
                scene_id=row["scene_id"], copy_of=row["copy_of"],
            )  # fmt: skip
    return found
