"""Publish the metafiles: the rows of all tars, or of all source files, one after the other in one file.

Rows are streamed from the files of the current receipts, in the order of the receipts: no table is sorted or loaded as
a whole.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from flows.ask.dataset_folder import DatasetFolder
from flows.ask.report import safe_cell
from flows.ledger.ledger import Ledger
from flows.ledger.receipt import Receipt
from stages.identity import digest_json

if TYPE_CHECKING:
    from schemas.tables import Table

_FORMAT = 3  # raised when the files change for the same receipts
_PORTION = 131_072  # rows in memory at once, and per row group
_SPLITS = ("train", "val")
# The published columns come first, under their published names.
_CSV_NAMES = {"published_text": "text"}
_CSV_FIRST, _CSV_ORIGIN = ("img_name", "published_text"), {"pub11": "url", "rs3": "path"}
_CSV_FURTHER = (
    "corpus", "meta_caption", "country_code", "month", "latitude_deg", "longitude_deg", "utm_epsg", "sample_id",
    "width_px", "height_px", "caption_sources", "places", "vlm_score_cos", "detector_prob", "cluster_id", "group_key",
    "image_licence", "caption_model_licence", "nsfw", "punsafe", "pwatermark", "published_sha256",
)  # fmt: skip


def add_metafiles(ledger: Ledger, folder: DatasetFolder) -> None:
    """Add the metafiles of both halves, the crosswalk and the marks to a folder, if their tables are complete."""
    metafile, *others = (
        ledger.state(ledger.writer[name]) for name in ("metafile", "crosswalk", "contaminated", "left_out")
    )
    if not all(state.is_complete for state in (metafile, *others)):
        return
    for state in others:
        if state.stage.writes.name == "left_out" and not any(receipt.n_kept for receipt in state.receipts):
            continue  # everything is published, or nothing was left out for its rights
        _add(ledger, folder, f"{state.stage.writes.name}.parquet", state.stage.writes, state.receipts)
    for half, origin in _CSV_ORIGIN.items():
        receipts = [r for r in metafile.receipts if r.partition.startswith(f"{half}-")]
        _add(ledger, folder, f"{half}_metadata.parquet", metafile.stage.writes, receipts)
        for split in _SPLITS:
            chosen = [r for r in receipts if r.partition.startswith(f"{half}-{split}-")]
            columns = (*_CSV_FIRST, origin, *_CSV_FURTHER)
            _add(ledger, folder, f"{half}_{split}_metadata.csv", metafile.stage.writes, chosen, columns)


def _add(
    ledger: Ledger,
    folder: DatasetFolder,
    name: str,
    table: Table,
    receipts: Sequence[Receipt],
    columns: tuple[str, ...] = (),
) -> None:
    schema = pa.schema([table.schema.field(column) for column in columns or table.schema.names])
    of = digest_json([_FORMAT, name, schema.names, [receipt.kept_sha256 for receipt in receipts]])
    paths = [ledger.store.path(receipt.kept_file) for receipt in receipts if receipt.n_kept]
    write = write_csv_files if name.endswith(".csv") else write_parquet_files
    folder.make(f"metafiles/{name}", of, partial(write, paths, schema))


def _batches(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path, memory_map=False) as file:
        yield from file.iter_batches(_PORTION, columns=schema.names, use_threads=False)


def write_parquet_files(paths: Sequence[Path], schema: pa.Schema, target: Path) -> None:
    """Write the rows of some files, one row group at a time; each file begins a new row group."""
    with pq.ParquetWriter(target, schema, compression="zstd", write_page_checksum=True) as writer:
        for path in paths:
            for batch in _batches(path, schema):
                writer.write_batch(batch.select(schema.names).cast(schema))


def write_csv_files(paths: Sequence[Path], schema: pa.Schema, target: Path) -> None:
    """Write some columns of parquet files as CSV; lists are JSON, and texts that look like a formula are escaped."""
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_CSV_NAMES.get(name, name) for name in schema.names)
        for path in paths:
            for batch in _batches(path, schema):
                columns = [batch.column(name).to_pylist() for name in schema.names]
                writer.writerows([_csv_cell(value) for value in row] for row in zip(*columns, strict=True))


def _csv_cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else safe_cell(value)
