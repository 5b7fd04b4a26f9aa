"""Parquet with embedded images, as Hugging Face's `datasets` writes them: a struct of bytes and path."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flows.export.export import RIGHTS, Picture, Shard
from schemas.tables import METAFILE

# The Hub's viewer reads whole row groups.
_GROUP_ROWS, _GROUP_BYTES = 100, 64_000_000
_HUB_SPLIT = {"train": "train", "val": "validation"}
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_RENAMED = {"published_text": "text"}


def schema() -> pa.Schema:
    """Return the columns: image, text, and those of the metafile; with the features that `datasets` reads."""
    others = [pa.field(_RENAMED.get(f.name, f.name), f.type) for f in METAFILE.schema]
    fields = [pa.field("image", _IMAGE), *sorted(others, key=lambda field: field.name != "text")]
    features = {"image": {"_type": "Image"}, **{f.name: _feature(f.type) for f in fields[1:]}}
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "Sequence"}
    return {"dtype": {"double": "float64", "float": "float32"}.get(str(kind), str(kind)), "_type": "Value"}


class Parquet:
    """The format `parquet`."""

    name = "parquet"

    def paths(self, shard: Shard) -> Path:
        """Return the file of a tar's samples."""
        return Path("data") / shard.split / f"{shard.name}.parquet"

    def write(self, shard: Shard, pictures: Iterator[Picture], target: Path) -> None:
        """Write the samples in row groups of a bounded size."""
        columns = schema()
        # Images are compressed already; their bytes are neither compressed nor held twice as a dictionary.
        compression = {"image.bytes": "NONE"} | {name: "zstd" for name in columns.names if name != "image"}
        dictionaries = [field.name for field in columns if field.type == pa.string()]
        options: dict[str, Any] = {"compression": compression, "use_dictionary": dictionaries}
        with pq.ParquetWriter(target, columns, write_page_checksum=True, **options) as writer:
            for rows in _groups(pictures):
                writer.write_table(pa.Table.from_pylist(rows, columns), row_group_size=_GROUP_ROWS)

    def describe(self, shards: list[Shard], identity: str) -> str:
        """Return the README: a card with the files of each split."""
        splits = sorted({shard.split for shard in shards})
        files = [f"  - split: {_HUB_SPLIT[split]}\n    path: data/{split}/*.parquet" for split in splits]
        licence = ["license: other", "license_name: by-corpus-and-image"]
        configs = "\n".join([*licence, "configs:", "- config_name: default", "  data_files:", *files])
        return (
            f"---\n{configs}\n---\n\n# Samples with embedded images\n\nBuild `{identity}`. The column `image` is a"
            f" struct of bytes and path; `text` is the published text. {RIGHTS}\n\n"
            '    datasets.load_dataset("this folder", split="train")\n'
        )


def _groups(pictures: Iterator[Picture]) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    n_bytes = 0
    for picture in pictures:
        renamed = {_RENAMED.get(name, name): value for name, value in picture.row.items()}
        rows.append({"image": {"bytes": picture.data, "path": picture.name}, **renamed})
        n_bytes += len(picture.data)
        if len(rows) == _GROUP_ROWS or n_bytes >= _GROUP_BYTES:
            yield rows
            rows, n_bytes = [], 0
    if rows:
        yield rows
