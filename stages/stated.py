"""The samples of a published dataset whose tars are to be made again: digests, texts, splits and tars, as stated.

`flows/ask/release_metadata.py` writes the file; reduce_attempts, read_labelled, describe_geometa, plan_shards and
list_origins are handed it.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from schemas.fields import FIELD
from stages.contract import InputError, Resources, Tool
from stages.identity import digest_json
from stages.plurals import counted

COLUMNS = ("sample_id", "body_sha256", "published_sha256", "published_text", "split", "shard")
# Cannot be found again: rights that a list of URLs lacks, scores of models that do not run.
RIGHTS = ("annotation_licence", "image_licence", "caption_model_licence")
MATCHES = ("caption_cos", "caption_top_share")
SCORES = ("vlm_score_cos", "detector_prob")
# In the corpora's own files, and not in a list of URLs.
FROM_CORPUS = ("keywords", "native_id", "nsfw", "punsafe", "pwatermark", "published_width_px", "published_height_px")
PLACE_AND_TIME = ("latitude_deg", "longitude_deg", "country_code", "taken_at", "meta_caption")
# Found by the published build among samples that a rebuild does not have.
FROM_BUILD = ("places", "group_key", "cluster_id", "cluster_n_samples", "caption_sources")
CARRIED = (*RIGHTS, *MATCHES, *SCORES, *FROM_CORPUS, *PLACE_AND_TIME, *FROM_BUILD)


class StatedResources(Resources):
    """Which dataset is made again."""

    stated: str = Field(
        "", description="file of `make release-metadata` to rebuild images and tars from (`make rebuild`)"
    )


def read_stated(path: Path) -> pa.Table:
    """Return `COLUMNS` of each sample in a file of release metadata, and those of `CARRIED` that the file has.

    Raises:
        InputError: the file cannot be read, lacks one of `COLUMNS`, or names a sample twice.
    """
    try:
        names = pq.read_schema(path).names
        schema = pa.schema([(name, FIELD[name].type) for name in (*COLUMNS, *CARRIED) if name in {*COLUMNS, *names}])
        rows = pq.read_table(path, columns=schema.names).cast(schema)
    except (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError, KeyError, ValueError) as error:
        raise InputError(
            f"{path}: expected a file of `make release-metadata` with the columns {', '.join(COLUMNS)}: {error}"
        ) from error
    n_names = len(rows["sample_id"].unique())
    if n_names != rows.num_rows:
        raise InputError(f"{path}: expected each sample once, found {counted(rows.num_rows - n_names, 'repeated row')}")
    return rows


def stated_texts(stated: pa.Table | None) -> dict[str, str] | None:
    """Return the stated text of each sample; None if nothing is stated."""
    if stated is None:
        return None
    return dict(zip(stated["sample_id"].to_pylist(), stated["published_text"].to_pylist(), strict=True))


def with_columns(stated: pa.Table | None, names: Sequence[str]) -> pa.Table:
    """Return some columns of the stated samples, null where the file has none; no rows if nothing is stated."""
    schema = pa.schema([(name, FIELD[name].type) for name in names])
    if stated is None:
        return schema.empty_table()
    missing = {name: pa.nulls(stated.num_rows, FIELD[name].type) for name in names if name not in stated.column_names}
    return pa.table({name: missing[name] if name in missing else stated[name] for name in names}, schema=schema)


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
    return {"sha256": _digest(path, status.st_size, status.st_mtime_ns), "carried": digest_json(list(CARRIED))[:16]}


@lru_cache(4)
def _digest(path: Path, n_bytes: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


STATED = Tool("stated", lambda params: {}, _open, _found)
