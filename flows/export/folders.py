"""Plain folders: `HALF/SPLIT-NNNN/NAME.jpg`, a folder for each tar, with its metadata as CSV and parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from flows.ask.report import safe_cell
from flows.export.export import RIGHTS, Picture, Shard
from schemas.tables import METAFILE

TABLE = "index.csv"  # not a list for METAFILE=, which takes the other one
# The name that Hugging Face's imagefolder reads. Not CSV, of which it infers types by folder: it then refuses all of
# them where a column is empty in one.
METADATA = "metadata.parquet"
_NAMED = ("img_name", "published_text")  # file_name and text here
_PART_BYTES = "10G"


class Folders:
    """The format `folders`."""

    name = "folders"

    def paths(self, shard: Shard) -> Path:
        """Return the folder of a tar's images."""
        return Path(shard.half) / shard.name.removeprefix(f"{shard.half}-")

    def write(self, shard: Shard, pictures: Iterator[Picture], target: Path) -> None:
        """Write one file for each image, and two tables of them: file_name, text, and the columns of the metafile."""
        target.mkdir()
        rows = []
        for picture in pictures:
            (target / picture.name).write_bytes(picture.data)
            others = {name: value for name, value in picture.row.items() if name not in _NAMED}
            rows.append({"file_name": picture.name, "text": picture.row["published_text"], **others})
        found = pa.Table.from_pylist(rows, schema())
        pq.write_table(found, target / METADATA, compression="zstd", write_page_checksum=True)
        with (target / TABLE).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(found.column_names)
            writer.writerows([_cell(row[name]) for name in found.column_names] for row in rows)

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
                f"`HALF/SPLIT-NNNN/` has the images of one tar, and {TABLE} with file_name, text and the columns of",
                f"the metafiles; {METADATA} is the same table with types. {RIGHTS}",
                "",
                "To pack a half in parts, and to unpack it:",
                "",
                *lines,
                *(f"    cat {half}_images.tar.gz_* | tar -xz" for half in halves),
                "",
                'To read them: `datasets.load_dataset("imagefolder", data_dir=".")`, or with the folder of one half.',
                "",
            ]
        )


def schema() -> pa.Schema:
    """Return the columns of the tables beside the images."""
    others = [pa.field(f.name, f.type) for f in METAFILE.schema if f.name not in _NAMED]
    return pa.schema([("file_name", pa.string()), ("text", pa.string()), *others])


def _cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else safe_cell(value)
