"""Rejects of captions: of images that cannot be decoded, and of those that a model cannot score."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pyarrow as pa

from schemas.tables import Table
from stages.contract import rejects_table
from stages.images.not_decoded import NotDecoded

T = TypeVar("T")
Rejects = list[tuple[str, int, str, str]]  # sample_id, n, reason, detail


def without_faults(
    batch: Sequence[T], loaded: Sequence[Any], keys: Callable[[T], list[tuple[str, int]]], rejects: Rejects
) -> tuple[list[T], list[Any]]:
    """Return the decoded images of a batch; append the keys of the others to the rejects."""
    sound: list[tuple[T, Any]] = []
    for item, prepared in zip(batch, loaded, strict=True):
        if isinstance(prepared, NotDecoded):
            rejects += [(*key, "decoding_failed", str(prepared)) for key in keys(item)]
        else:
            sound.append((item, prepared))
    return [item for item, _ in sound], [prepared for _, prepared in sound]


def refuse(table: Table, rejects: Rejects) -> pa.Table:
    """Return the reject rows of captions."""
    sample_ids, numbers, reasons, details = zip(*rejects, strict=True) if rejects else ((), (), (), ())
    keys = {"sample_id": pa.array(sample_ids, pa.string()), "n": pa.array(numbers, pa.int32())}
    return rejects_table(table, keys, pa.array(reasons, pa.string()), list(details))
