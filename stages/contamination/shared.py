"""Hashes and keypoints of evaluation sets in one parquet file, written by `make eval-hashes`.

It is shared without the images. A file without keypoints is read too: its pictures are compared by hashes alone. One
whose hashes or keypoints were found in another way is refused, since they would match nothing or anything.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.fields import FIELD
from schemas.tables import EVALUATION_IMAGE, EVALUATION_KEYPOINTS
from stages.contract import InputError

SHARED_COLUMNS = tuple(name for name in EVALUATION_IMAGE.schema.names if name != "evaluation_file")
SHARED_SCHEMA = pa.schema([EVALUATION_IMAGE.schema.field(name) for name in SHARED_COLUMNS])
Shared = dict[tuple[str, str], dict[str, Any]]  # facts by evaluation set and path
# The versions of the stages that hash evaluation images and find their keypoints; the file states them.
HASHES_VERSION = 6
KEYPOINTS_VERSION = 6
_MADE_BY = {b"evaluation_hashes": f"hashes {HASHES_VERSION}, keypoints {KEYPOINTS_VERSION}".encode()}
ROW_GROUP_ROWS = 500  # 27 MB of keypoints: a partition reads its own ones


def list_shared(path: Path) -> list[dict[str, Any]]:
    """Return the listing rows of the images in a file of hashes.

    Raises:
        InputError: the file is not parquet, lacks a column, or another version of the program made it.
    """
    names = ["evaluation_set", "evaluation_path", "evaluation_split", "evaluation_licence"]
    rows = read_shared(path, names)
    status = path.stat()
    about = {"size_bytes": status.st_size, "mtime_ns": status.st_mtime_ns, "evaluation_file": str(path.resolve())}
    return [{**row, **about} for row in rows.to_pylist()]


def read_shared(path: Path, names: list[str]) -> pa.Table:
    """Return columns of a file of hashes. Raises InputError like list_shared."""
    try:
        with pq.ParquetFile(path) as file:
            found = file.schema_arrow
            odd = [f.name for f in SHARED_SCHEMA if f.name not in found.names or found.field(f.name).type != f.type]
            if odd:
                raise InputError(
                    f"{path} is not a file of evaluation sets' hashes: the columns {odd} are missing or of another"
                    " type. Write it with `make eval-hashes`"
                )
            if _MADE_BY.items() - (found.metadata or {}).items():
                raise InputError(
                    f"{path} was made by another version of this program, so its hashes or keypoints cannot be compared"
                    " with those of this one. Write it again with `make eval-hashes`, from a build of this version"
                )
            return file.read(names).select(names)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read as parquet: {error}") from error


def load_shared(path: Path) -> Shared:
    """Return the facts of each picture in a file of hashes, by evaluation set and path."""
    rows = read_shared(path, list(SHARED_COLUMNS)).to_pylist()
    return {(row["evaluation_set"], row["evaluation_path"]): row for row in rows}


def read_shared_keypoints(path: Path, name: str, paths: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the summary and keypoints of pictures in a file of hashes, by path, of those that have them there.

    Args:
        path: the file.
        name: the evaluation set.
        paths: paths of pictures of the set.
    """
    columns = EVALUATION_KEYPOINTS.columns
    with pq.ParquetFile(path) as file:
        if any(column not in file.schema_arrow.names for column in columns):
            return {}
    chosen = [
        ("evaluation_set", "==", name), ("evaluation_path", ">=", min(paths)), ("evaluation_path", "<=", max(paths))
    ]  # fmt: skip
    rows = pq.read_table(path, columns=["evaluation_path", *columns], filters=chosen, use_threads=False)
    wanted = set(paths)
    found = {row["evaluation_path"]: row for row in rows.to_pylist()}
    return {key: row for key, row in found.items() if key in wanted and row["packed_keypoints"] is not None}


def write_shared(rows: pa.Table, keypoints: pa.Table, path: Path) -> None:
    """Write the hashes and keypoints of evaluation images, sorted by set and path.

    Args:
        rows: of evaluation_image.
        keypoints: of evaluation_keypoints; pictures without a row there have no keypoints in the file.
        path: the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.partial")
    ordered = rows.select(SHARED_COLUMNS).cast(SHARED_SCHEMA).sort_by([(n, "ascending") for n in EVALUATION_IMAGE.key])
    columns = EVALUATION_KEYPOINTS.columns
    place_of = {key: n for n, key in enumerate(_keys(keypoints))}
    places = pa.array([place_of.get(key) for key in _keys(ordered)], pa.int64())
    schema = pa.schema([*SHARED_SCHEMA, *(pa.field(name, FIELD[name].type) for name in columns)], _MADE_BY)
    with pq.ParquetWriter(draft, schema, compression="zstd") as writer:
        for start in range(0, ordered.num_rows, ROW_GROUP_ROWS):
            some = keypoints.select(columns).take(places.slice(start, ROW_GROUP_ROWS))
            block = ordered.slice(start, ROW_GROUP_ROWS)
            for name in columns:
                block = block.append_column(schema.field(name), some[name])
            writer.write_table(block)
    draft.replace(path)


def _keys(rows: pa.Table) -> list[tuple[str, str]]:
    return list(zip(*(rows[name].to_pylist() for name in EVALUATION_IMAGE.key), strict=True))
