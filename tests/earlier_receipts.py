"""Turn a partition into one that an earlier version of the project made: fewer columns, or a smaller version."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from flows.ledger.digests import digest_file
from flows.ledger.receipt import Receipt, encode_receipt, read_receipt


def without_column(root: Path, receipt: Receipt, column: str, *, is_recorded: bool = True) -> None:
    """Remove a column from the kept rows; the receipt states the new file and, if recorded, the fewer columns."""
    body = _body(root, receipt)
    path = root / receipt.kept_file
    pq.write_table(pq.read_table(path).drop_columns([column]), path)
    kept = body["kept"] | {"size_bytes": path.stat().st_size, "sha256": digest_file(path)}
    if is_recorded:
        del kept["columns"]  # earlier versions recorded none
        for span in kept["spans"].values():
            span["digests"].pop(column)
    _write(root, receipt, body | {"kept": kept})


def of_version(root: Path, receipt: Receipt, version: int) -> None:
    """Make a receipt state another version of its stage."""
    _write(root, receipt, _body(root, receipt) | {"version": version})


def _body(root: Path, receipt: Receipt) -> dict[str, Any]:
    body = read_receipt(root / receipt.folder / "receipt.json")
    assert isinstance(body, dict)
    return body


def _write(root: Path, receipt: Receipt, body: dict[str, Any]) -> None:
    body.pop("receipt_sha256", None)
    (root / receipt.folder / "receipt.json").write_bytes(encode_receipt(json.loads(json.dumps(body))))
