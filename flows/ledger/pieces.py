"""Read the inputs of a partition from the pieces that the ledger lists: into memory, or as files for queries.

Not for listing the pieces: that takes the receipts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa

from flows.ledger.declared import refuse_other_columns
from flows.ledger.store import Store
from stages.contract import COUNTS_SCHEMA, InputError, Reads, Stage
from stages.rows import Rows, Space

T = TypeVar("T")


@dataclass(frozen=True)
class Piece:
    """The location of one span of an input: row groups of a file, or counts, which are in the receipt itself."""

    span: str
    address: str = ""
    first_group: int = 0
    n_groups: int = 0
    n_rows: int = 0
    counts: tuple[tuple[str, int], ...] = ()
    sha256: str = ""


def read_input(store: Store, reads: Reads, writer: Stage, pieces: Sequence[Piece]) -> pa.Table:
    """Return the rows of an input from its pieces.

    Raises:
        InputError: when a file that a receipt names is gone or damaged, or has not the declared columns.
    """
    if reads.section == "counts":
        rows = [(piece.span, reason, n) for piece in pieces for reason, n in piece.counts]
        return pa.table(dict(zip(COUNTS_SCHEMA.names, zip(*rows, strict=True) if rows else ([], [], []), strict=True)),
                        schema=COUNTS_SCHEMA)  # fmt: skip
    runs = [(piece.address, piece.first_group, piece.n_groups) for piece in pieces]
    schema = _schema(reads, writer)
    try:
        return _reading(reads, writer, lambda: store.read_spans(runs, schema))
    except KeyError:
        refuse_other_columns(store.root, [(store.path(piece.address), schema) for piece in pieces])
        raise


def open_input(store: Store, reads: Reads, writer: Stage, pieces: Sequence[Piece], space: Space | None) -> Rows:
    """Return the rows of an input; with a space for queries, those of a whole table stay in their files.

    Raises:
        InputError: when a file that a receipt names is gone or damaged.
    """
    if space is None or not reads.is_whole or reads.section == "counts":
        return read_input(store, reads, writer, pieces)
    files: dict[str, tuple[int, str]] = {}
    for piece in pieces:  # all spans of a file are among them: the table is read whole
        if piece.n_rows:
            files[piece.address] = (files.get(piece.address, (0, ""))[0] + piece.n_rows, piece.sha256)
    schema = _schema(reads, writer)
    opened = _reading(reads, writer, lambda: store.open_files(files, schema, space))
    refuse_other_columns(store.root, [(path, schema) for path in opened.paths])
    return opened


def _schema(reads: Reads, writer: Stage) -> pa.Schema:
    table_schema = writer.writes.schema if reads.section == "kept" else writer.writes.reject_schema
    return pa.schema([table_schema.field(name) for name in reads.columns])


def _reading(reads: Reads, writer: Stage, read: Callable[[], T]) -> T:
    try:
        return read()
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(
            f"{reads.table} cannot be read: {error}. A file of the build was deleted or damaged:"
            f" run `make verify REPAIR=yes`, then `make stage-{writer.module}`"
        ) from error
