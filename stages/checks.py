"""The laws every outcome must obey, checked on each partition at run time and again by `verify`.

Not for deciding anything about rows: a fault here is a fault of the code.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stages.contract import ContractError, InputError, Inputs, Outcome, Stage
from stages.file_checks import check_in_files
from stages.refusals import SHOWN_KEYS, check_columns, check_counts, given_width, listed, refuse_nulls, refuse_reasons
from stages.rows import run_sql, space_of


def check_outcome(stage: Stage, inputs: Inputs, outcome: Outcome) -> None:
    """Check that an outcome is typed, unique, closed in its reasons and conserving.

    Raises:
        ContractError: naming the stage, the law and the first rows that break it.
    """
    if space_of({**inputs, "kept": outcome.kept, "rejects": outcome.rejects}):
        return check_in_files(stage, inputs, outcome)
    check_typed(stage, outcome.kept, stage.writes.schema, "kept rows")
    check_typed(stage, outcome.rejects, stage.writes.reject_schema, "reject rows")
    check_unique(stage, outcome.kept)
    check_reasons(stage, outcome.rejects)
    check_conserved(stage, given_keys(stage, inputs), outcome)


def check_typed(stage: Stage, table: pa.Table, schema: pa.Schema, what: str) -> None:
    """Check names, types and nulls of a table against its declaration."""
    check_columns(stage, table.schema, schema, what)
    for column in schema:
        if not column.nullable:
            refuse_nulls(stage, table[column.name].null_count, column.name, what)


def check_unique(stage: Stage, kept: pa.Table) -> None:
    """Check that the key names each kept row once."""
    keys = key_array(kept, stage.writes.key)
    n_distinct = pc.count_distinct(keys).as_py()
    if n_distinct != len(keys):
        counts = pc.value_counts(keys)
        twice = pc.filter(counts.field("values"), pc.greater(counts.field("counts"), 1))
        raise ContractError(
            f"{stage.name}: {len(keys) - n_distinct} kept rows repeat a key of {stage.writes.name}: {_some(twice)}"
        )


def check_reasons(stage: Stage, rejects: pa.Table) -> None:
    """Check that every reject has a declared reason and a detail of at most 200 characters."""
    longest = pc.max(pc.utf8_length(rejects["detail"])).as_py() or 0
    refuse_reasons(stage, pc.unique(rejects["reason"]).to_pylist(), longest)


def check_conserved(stage: Stage, given: pa.Array | pa.ChunkedArray | None, outcome: Outcome) -> None:
    """Check that every given key is accounted for, as the stage's grain says."""
    if stage.grain == "count":
        return check_counts(stage, outcome)
    if given is None:
        return None
    names = stage.writes.key[: given_width(stage)]
    kept, rejected = key_array(outcome.kept, names), key_array(outcome.rejects, names)
    out = pa.chunked_array([*kept.chunks, *rejected.chunks], pa.string())
    lost = pc.filter(given, pc.invert(_is_in(given, out)))
    if len(lost) and stage.grain != "observe":
        raise ContractError(f"{stage.name}: {len(lost)} given rows are neither kept nor rejected: {_some(lost)}")
    foreign = pc.filter(out, pc.invert(_is_in(out, given)))
    if len(foreign):
        raise ContractError(f"{stage.name}: {len(foreign)} rows belong to no given row: {_some(foreign)}")
    if stage.grain != "fan_out" and pc.count_distinct(out).as_py() != len(out):
        counts = pc.value_counts(out)
        twice = pc.filter(counts.field("values"), pc.greater(counts.field("counts"), 1))
        raise ContractError(f"{stage.name}: {len(twice)} given rows are named more than once: {_some(twice)}")


def given_keys(stage: Stage, inputs: Inputs) -> pa.ChunkedArray | None:
    """Return the distinct keys the stage must account for, or None if it counts rows or has no given keys."""
    given = stage.given
    if stage.grain == "count" or not (given.input or given.query):
        return None
    if not given.query:
        table = inputs[given.input]
        keys = key_array(table, given.columns)
    else:
        found = run_sql(given.query, {name: inputs[name] for name in given.inputs})
        keys = key_array(found, stage.writes.key[: found.num_columns])
    return pa.chunked_array([pc.unique(keys)], pa.string())


def check_body(data: bytes, row: Mapping[str, Any]) -> None:
    """Check that bytes read from a location are the body the row speaks of.

    Raises:
        InputError: when they are others: a caption must never meet a foreign picture.
    """
    if hashlib.sha256(data).hexdigest() != row["body_sha256"]:
        raise InputError(
            f"{row['body_file']} does not hold the body with sha256 {row['body_sha256']} at {row['body_offset']}:"
            " it was changed. Restore a source file, or run `make verify REPAIR=yes`, then `make stage-download`"
        )


def key_array(table: pa.Table, names: tuple[str, ...]) -> pa.ChunkedArray:
    """Return one string per row that names it; parts of a composite key are joined by the unit separator."""
    parts = [pc.cast(table[name], pa.string()) for name in names]
    joined = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, "\x1f")
    return joined if isinstance(joined, pa.ChunkedArray) else pa.chunked_array([joined], pa.string())


def _is_in(values: pa.Array | pa.ChunkedArray, among: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    flat = among.combine_chunks() if isinstance(among, pa.ChunkedArray) else among
    return pc.is_in(values, value_set=flat)


def _some(values: pa.Array | pa.ChunkedArray) -> str:
    return listed(values.slice(0, SHOWN_KEYS).to_pylist(), len(values))
