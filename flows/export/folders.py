"""Plain folders: `HALF/SPLIT-NNNN/NAME.jpg`, a folder for each tar, with its metadata as CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from flows.ask.report import safe_cell
from flows.export.export import Picture, Shard

METADATA = "metadata.csv"  # the name that Hugging Face's imagefolder reads
_PART_BYTES = "10G"


class Folders:
    """The format `folders`."""

    name = "folders"

    def paths(self, shard: Shard) -> Path:
        """Return the folder of a tar's images."""
        return Path(shard.half) / shard.name.removeprefix(f"{shard.half}-")

    def write(self, shard: Shard, pictures: Iterator[Picture], target: Path) -> None:
        """Write one file for each image, and metadata.csv: file_name, text, and the columns of the metafile."""
        target.mkdir()
        with (target / METADATA).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            for n, picture in enumerate(pictures):
                others = [name for name in picture.row if name not in ("img_name", "published_text")]
                if not n:
                    writer.writerow(["file_name", "text", *others])
                (target / picture.name).write_bytes(picture.data)
                cells = [picture.name, picture.row["published_text"], *(picture.row[name] for name in others)]
                writer.writerow([_cell(value) for value in cells])

    def describe(self, shards: list[Shard], identity: str) -> str:
        """Return the README: how to pack the folders in parts, and how to read them."""
        halves = sorted({shard.half for shard in shards})
        lines = [
            f"    tar -cz {half} | split -b {_PART_BYTES} - {half}_images.tar.gz_     # {half}_images.tar.gz_aa, _ab, …"
            for half in halves
        ]
        return "\n".join(
            [
                "# Images in plain folders",
                "",
                f"Build `{identity}`.",
                "",
                f"`HALF/SPLIT-NNNN/` has the images of one tar and {METADATA}: file_name, text, and the columns of the",
                "metafiles. To pack a half in parts, and to unpack it:",
                "",
                *lines,
                *(f"    cat {half}_images.tar.gz_* | tar -xz" for half in halves),
                "",
                f'To read them: `datasets.load_dataset("imagefolder", data_dir="{halves[0] if halves else "HALF"}")`.',
                "",
            ]
        )


def _cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else safe_cell(value)
