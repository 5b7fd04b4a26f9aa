"""The samples of a published dataset whose tars are to be made again: digests, texts, splits and tars, as stated.

`flows/ask/release_metadata.py` writes the file; settle, read_labelled and plan_shards are handed it.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from stages.contract import InputError, Resources, Tool

COLUMNS = ("sample_id", "body_sha256", "published_sha256", "published_text", "split", "shard")
_SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])


class StatedResources(Resources):
    """Which dataset is made again."""

    stated: str = Field(
        "", description="file of `make release-metadata` whose images and tars are to be made again (`make rebuild`)"
    )


def read_stated(path: Path) -> pa.Table:
    """Return `COLUMNS` of each sample that a file of release metadata states.

    Raises:
        InputError: the file cannot be read, lacks a column, or names a sample twice.
    """
    try:
        found = pq.read_table(path, columns=list(COLUMNS))
        rows = found.cast(_SCHEMA)
    except (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError, KeyError, ValueError) as error:
        raise InputError(
            f"{path}: expected a file of `make release-metadata` with the columns {', '.join(COLUMNS)}: {error}"
        ) from error
    n_names = len(rows["sample_id"].unique())
    if n_names != rows.num_rows:
        raise InputError(f"{path}: {rows.num_rows - n_names} samples are named twice; expected each once")
    return rows


def stated_texts(stated: pa.Table | None) -> dict[str, str] | None:
    """Return the stated text of each sample; None if nothing is stated."""
    if stated is None:
        return None
    return dict(zip(stated["sample_id"].to_pylist(), stated["published_text"].to_pylist(), strict=True))


@contextmanager
def _open(params: Any, resources: StatedResources) -> Iterator[pa.Table | None]:
    yield read_stated(Path(resources.stated)) if resources.stated else None


def _found(params: Any, resources: StatedResources) -> Mapping[str, str] | None:
    if not resources.stated:
        return {}
    path = Path(resources.stated)
    try:
        status = path.stat()
    except OSError:
        return None
    return {"sha256": _digest(path, status.st_size, status.st_mtime_ns)}


@lru_cache(4)
def _digest(path: Path, n_bytes: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


STATED = Tool("stated", lambda params: {}, _open, _found)
