"""Whether the rows of a receipt have the columns that their table declares now, known from the receipt alone.

Not for the rows themselves: `verify` and `check_outcome` compare those with the declaration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flows.ledger.receipt import Receipt
from flows.ledger.spans import digested_columns
from flows.ledger.store import Store
from schemas.tables import Table
from stages.contract import InputError, Stage


def columns_of(schema: pa.Schema) -> dict[str, str]:
    """Return the type of each column by name, as receipts record them."""
    return {field.name: str(field.type) for field in schema}


def differences(table: Table, body: Mapping[str, Any]) -> str:
    """Return how the columns of a receipt differ from the declaration of its table, "" if they do not.

    Receipts without a record of their columns have a digest for each of them, but for measured ones.
    """
    kept, rejects = body["kept"], body["rejects"]
    of_kept, of_rejects, digested = _declared(table)
    spans = list(kept["spans"].values())
    if "columns" in kept:
        what = _differ(kept["columns"], of_kept)
    else:
        what = _differ(dict.fromkeys(spans[0]["digests"], ""), digested) if spans else ""
    if what or not rejects["file"]:
        return what
    if "columns" in rejects:
        return _differ(rejects["columns"], of_rejects)
    return _differ(dict.fromkeys(rejects["digests"], ""), dict.fromkeys(of_rejects, ""))


def as_declared(store: Store, stage: Stage, receipt: Receipt | None) -> Receipt | None:
    """Return a receipt if its columns and its version are those of its stage, else None: the partition is stale.

    Args:
        store: the build; it forgets a receipt that does not count, since another takes its place.
        stage: the stage that wrote it; the version of an accumulating or observing one plays no part.
        receipt: None stays None.

    Raises:
        InputError: the receipt has other columns, and is never made again because it records answers of the world.
    """
    if receipt is None:
        return None
    is_lasting = stage.is_accumulating or stage.keeps != "current"
    is_of_version = is_lasting or receipt.body.get("version", stage.version) == stage.version
    what = differences(stage.writes, receipt.body)
    if what and (stage.is_accumulating or stage.keeps == "all"):
        raise InputError(earlier(store.root, receipt.folder, what))
    if is_of_version and not what:
        return receipt
    store.forget(f"{receipt.folder}/receipt.json")
    return None


def refuse_other_columns(root: Path, files: Sequence[tuple[Path, pa.Schema]]) -> None:
    """Read the footers of tables that a query failed on. Raises InputError where a file lacks a declared column."""
    for path, schema in files:
        if what := file_differences(path, schema):
            raise InputError(earlier(root, path.relative_to(root).as_posix(), what))


def file_differences(path: Path, schema: pa.Schema) -> str:
    """Return which columns of a schema a parquet file lacks or has with another type, "" if none."""
    with pq.ParquetFile(path) as file:
        found = {field.name: field.type for field in file.schema_arrow}
    # Compared as types: as text they differ in parquet's name for the elements of a list.
    return _differ(
        {f.name: str(f.type if found[f.name] == f.type else found[f.name]) for f in schema if f.name in found},
        columns_of(schema),
    )


def earlier(root: Path, where: str, what: str) -> str:
    """Return the sentence that refuses a build folder made by an earlier version."""
    return (
        f"{root} was made by an earlier version of this project: {where} {what}."
        " Build into a new folder with BUILD=…, or open this one with the version that made it"
    )


@lru_cache(256)
def _declared(table: Table) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    return columns_of(table.schema), columns_of(table.reject_schema), dict.fromkeys(digested_columns(table), "")


def _differ(found: Mapping[str, str], declared: Mapping[str, str]) -> str:
    if found == declared:
        return ""
    kinds = {
        "lacks": [name for name in declared if name not in found],
        "has in addition": [name for name in found if name not in declared],
        "has with another type": [n for n in declared if n in found and found[n] != declared[n]],
    }
    return " and ".join(f"{verb} the column{'s' * (len(n) > 1)} {', '.join(n)}" for verb, n in kinds.items() if n)
