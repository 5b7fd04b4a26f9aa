"""Collect columns of several tables for the samples to publish, sorted by tar."""

from collections.abc import Sequence

from schemas.tables import Table
from stages.contract import Inputs, Outcome, no_rejects
from stages.rows import query_rows


def collect(inputs: Inputs, table: Table, spine: str, steps: Sequence[tuple[str, tuple[str, ...]]]) -> Outcome:
    """Return one row per planned sample, sorted by tar and sample_id.

    Args:
        inputs: the stage's inputs.
        table: the table to write.
        spine: SQL for the samples with their tar, over shard_plan and sample.
        steps: queries, and the inputs that each of them reads. Each adds columns to `rows`, the result of the one
            before.
    """
    # In separate queries: joining and sorting wide rows in one query needs several times the memory.
    rows = query_rows(spine, {name: inputs[name] for name in ("shard_plan", "sample")})
    for query, names in steps:
        rows = query_rows(query, {"rows": rows, **{name: inputs[name] for name in names}})
    columns = ", ".join(table.schema.names)
    ordered = query_rows(f"SELECT {columns} FROM rows ORDER BY shard, sample_id", {"rows": rows})
    return Outcome(ordered.cast(table.schema), no_rejects(table))
