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
    columns = ", ".join(table.schema.names)
    for n, (query, names) in enumerate(steps, 1):
        if n == len(steps):  # sorted as it is made: its rows are the widest, and would be written twice
            query = f"SELECT {columns} FROM ({query}) ORDER BY shard, sample_id"
        rows = query_rows(query, {"rows": rows, **{name: inputs[name] for name in names}})
    return Outcome(rows.cast(table.schema), no_rejects(table))
