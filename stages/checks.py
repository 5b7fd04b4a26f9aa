"""The laws every outcome must obey, checked on each partition at run time and again by `verify`.

Not for deciding anything about rows: a fault here is a fault of the code.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.reasons import REASON
from stages.contract import ContractError, InputError, Inputs, Outcome, Stage
from stages.rows import run_sql, space_of

DETAIL_MAX_CHARACTERS = 200  # design: a reject's detail is a line for people, not a log
SHOWN_KEYS = 3


def check_outcome(stage: Stage, inputs: Inputs, outcome: Outcome) -> None:
    """Check that an outcome is typed, unique, closed in its reasons and conserving.

    Raises:
        ContractError: naming the stage, the law and the first rows that break it.
    """
    if space_of({**inputs, "kept": outcome.kept, "rejects": outcome.rejects}):
        from stages.file_checks import check_in_files

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


def check_columns(stage: Stage, schema_found: pa.Schema, schema: pa.Schema, what: str) -> None:
    """Check names and types of columns against their declaration."""
    found = [(f.name, f.type) for f in schema_found]
    declared = [(f.name, f.type) for f in schema]
    if found != declared:
        odd = [f"{n}: {t}" for n, t in found if (n, t) not in declared]
        missing = [f"{n}: {t}" for n, t in declared if (n, t) not in found]
        raise ContractError(
            f"{stage.name}: {what} of {stage.writes.name} have not the declared columns:"
            f" undeclared {odd}, missing {missing}, or another order"
        )


def refuse_nulls(stage: Stage, n_nulls: int, column: str, what: str) -> None:
    """Raise where a column declared without nulls has some."""
    if n_nulls:
        raise ContractError(
            f"{stage.name}: {n_nulls} nulls in {what}, column {column},"
            f" which {stage.writes.name} declares without nulls"
        )


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


def refuse_reasons(stage: Stage, found: list[str], longest: int) -> None:
    """Raise where a reason is not declared, or the longest detail is too long."""
    allowed = [code for code in stage.reasons if not REASON[code].is_counted_only]
    unknown = [code for code in found if code not in allowed]
    if unknown:
        raise ContractError(
            f"{stage.name}: reasons it does not declare: {listed(unknown, len(unknown))}; declared: {allowed}"
        )
    if longest > DETAIL_MAX_CHARACTERS:
        raise ContractError(f"{stage.name}: a detail of {longest} characters; at most {DETAIL_MAX_CHARACTERS}")


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
        raise ContractError(f"{stage.name}: {len(foreign)} rows were made of nothing given: {_some(foreign)}")
    if stage.grain != "fan_out" and pc.count_distinct(out).as_py() != len(out):
        counts = pc.value_counts(out)
        twice = pc.filter(counts.field("values"), pc.greater(counts.field("counts"), 1))
        raise ContractError(f"{stage.name}: {len(twice)} given rows are named more than once: {_some(twice)}")


def check_counts(stage: Stage, outcome: Outcome) -> None:
    """Check that given = kept + the count of each reason, and that what was written was counted."""
    counts = dict(outcome.counts or {})
    if set(counts) != {"given", "kept", *stage.reasons}:
        raise ContractError(f"{stage.name}: counts for {sorted(counts)}; expected given, kept and {stage.reasons}")
    total = counts["kept"] + sum(counts[code] for code in stage.reasons)
    if counts["given"] != total:
        raise ContractError(f"{stage.name}: {counts['given']} rows given, {total} accounted for: {counts}")
    if counts["kept"] != outcome.kept.num_rows:
        raise ContractError(f"{stage.name}: {counts['kept']} rows counted as kept, {outcome.kept.num_rows} written")
    written = {row["values"]: row["counts"] for row in pc.value_counts(outcome.rejects["reason"]).to_pylist()}
    expected = {c: counts[c] for c in stage.reasons if counts[c] and not REASON[c].is_counted_only}
    for code in (code for code in expected if REASON[code].is_stretch):
        expected[code] = max(1, min(expected[code], written.get(code, 0)))  # a row may speak for many
    if written != expected:
        raise ContractError(f"{stage.name}: rejects counted as {expected}, written as {written}")


def given_keys(stage: Stage, inputs: Inputs) -> pa.ChunkedArray | None:
    """Return the distinct keys the stage must account for, or None if it counts rows or is given none."""
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


def given_width(stage: Stage) -> int:
    """Return how many columns of the written table's key name a given key."""
    return len(stage.given.columns) or len(stage.writes.key)


def _is_in(values: pa.Array | pa.ChunkedArray, among: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    flat = among.combine_chunks() if isinstance(among, pa.ChunkedArray) else among
    return pc.is_in(values, value_set=flat)


def _some(values: pa.Array | pa.ChunkedArray) -> str:
    return listed(values.slice(0, SHOWN_KEYS).to_pylist(), len(values))


def listed(first: list[str], n: int) -> str:
    """Return the first of n keys as text; there are more where n is larger than SHOWN_KEYS."""
    shown = ", ".join(repr(v).replace("\\x1f", " ") for v in first[:SHOWN_KEYS])
    return shown + (", …" if n > SHOWN_KEYS else "")
