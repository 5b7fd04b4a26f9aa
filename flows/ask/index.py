"""Publish `index.parquet`: the location of each sample's members in the tars, to read single samples.

Rows are streamed from the tables of the stages that wrote the tars; no tar is read and no table is sorted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from flows.ask.dataset_folder import DatasetFolder
from flows.ask.tars import written_tars
from flows.ledger.ledger import Ledger
from schemas.index_table import INDEX_SCHEMA
from stages.identity import digest_json
from stages.shard.layouts import MEMBERS, Layout, tar_key

INDEX = "index.parquet"
_FORMAT = 1  # raised when the file changes for the same receipts
_PORTION = 131_072  # rows in memory at once, and per row group
# By table, shard and pair: columns of the format, length and sha256 of the image in the tar.
IMAGE_FACTS: dict[Layout, tuple[str, str, str]] = {
    "rs5m": ("published_format", "published_n_bytes", "published_sha256"),
    "pairs": ("pair_format", "pair_n_bytes", "pair_sha256"),
}
_PLACES = ("image_offset", "text_offset", "text_n_bytes", "extra_offset", "extra_n_bytes")

Part = tuple[Layout, str, Path]  # layout, published path of a tar, table of its samples


def add_index(ledger: Ledger, folder: DatasetFolder) -> None:
    """Add the index of the tars of all layouts, sorted by layout, tar and sample; none if no tar is written."""
    parts: list[Part] = []
    digests = []
    for layout, tar, receipt in written_tars(ledger):
        if receipt.n_kept:
            parts.append((layout, tar, ledger.store.path(receipt.kept_file)))
            digests.append([tar, receipt.kept_sha256])
    if parts:
        folder.make(INDEX, digest_json([_FORMAT, INDEX_SCHEMA.names, digests]), partial(write_index, parts))


def write_index(parts: Sequence[Part], target: Path) -> None:
    """Write the index of some tars; rows of several tars share a row group.

    Args:
        parts: tars with the tables of their samples.
        target: path of the index.
    """
    with pq.ParquetWriter(target, INDEX_SCHEMA, compression="zstd", write_page_checksum=True) as writer:
        waiting: list[pa.RecordBatch] = []
        for batch in _rows(parts):
            waiting.append(batch)
            if sum(some.num_rows for some in waiting) >= _PORTION:
                writer.write_table(pa.Table.from_batches(waiting, INDEX_SCHEMA))
                waiting = []
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting, INDEX_SCHEMA))


def _rows(parts: Sequence[Part]) -> Iterator[pa.RecordBatch]:
    for layout, tar, path in parts:
        with pq.ParquetFile(path, memory_map=False) as file:
            columns = ["sample_id", *IMAGE_FACTS[layout], *_PLACES]
            for batch in file.iter_batches(_PORTION, columns=columns, use_threads=False):
                yield _located(batch, layout, tar)


def _located(batch: pa.RecordBatch, layout: Layout, tar: str) -> pa.RecordBatch:
    image_format, n_bytes, sha256 = IMAGE_FACTS[layout]
    image, text, extra = MEMBERS[layout]
    fixed = {"layout": layout, "tar": tar, "text_member": text, "extra_member": extra}
    columns = {
        **{name: pa.repeat(value, batch.num_rows) for name, value in fixed.items()},
        **{name: batch.column(name) for name in ("sample_id", *_PLACES)},
        "tar_key": pa.array(map(tar_key, batch.column("sample_id").to_pylist()), pa.string()),
        "image_member": pa.repeat(image, batch.num_rows) if image else batch.column(image_format),
        "image_n_bytes": batch.column(n_bytes),
        "image_sha256": batch.column(sha256),
    }
    return pa.RecordBatch.from_arrays(
        [columns[field.name].cast(field.type) for field in INDEX_SCHEMA], schema=INDEX_SCHEMA
    )
