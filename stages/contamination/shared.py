"""Hashes of evaluation sets in one parquet file, written by `make eval-hashes` to be shared without the images."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.tables import EVALUATION_IMAGE
from stages.contract import InputError

SHARED_COLUMNS = tuple(name for name in EVALUATION_IMAGE.schema.names if name != "evaluation_file")
SHARED_SCHEMA = pa.schema([EVALUATION_IMAGE.schema.field(name) for name in SHARED_COLUMNS])


def list_shared(path: Path) -> list[dict[str, Any]]:
    """Return the listing rows of the images in a file of hashes.

    Raises:
        InputError: the file is not parquet, or lacks a column.
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
                    f"{path} is no file of hashes of evaluation sets: the columns {odd} are missing or of another"
                    " type. Write it with `make eval-hashes`"
                )
            return file.read(names).select(names)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read as parquet: {error}") from error


def write_shared(rows: pa.Table, path: Path) -> None:
    """Write the hashes of evaluation images, sorted by set and path."""
    keys = [(name, "ascending") for name in EVALUATION_IMAGE.key]
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.partial")
    pq.write_table(rows.select(SHARED_COLUMNS).cast(SHARED_SCHEMA).sort_by(keys), draft, compression="zstd")
    draft.replace(path)
