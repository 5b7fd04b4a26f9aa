"""Checks on an outcome, with the same error messages for rows in memory and for rows in files."""

import pyarrow as pa
import pyarrow.compute as pc

from schemas.reasons import DETAIL_MAX_CHARACTERS, REASON
from stages.contract import ContractError, Outcome, Stage

SHOWN_KEYS = 3


def check_columns(stage: Stage, schema_found: pa.Schema, schema: pa.Schema, what: str) -> None:
    """Check names and types of columns against their declaration."""
    found = [(f.name, f.type) for f in schema_found]
    declared = [(f.name, f.type) for f in schema]
    if found != declared:
        odd = [f"{n}: {t}" for n, t in found if (n, t) not in declared]
        missing = [f"{n}: {t}" for n, t in declared if (n, t) not in found]
        raise ContractError(
            f"{stage.name}: {what} of {stage.writes.name} do not have the declared columns:"
            f" undeclared {odd}, missing {missing}, or another order"
        )


def refuse_nulls(stage: Stage, n_nulls: int, column: str, what: str) -> None:
    """Raise where a column declared without nulls has some."""
    if n_nulls:
        raise ContractError(
            f"{stage.name}: {n_nulls} nulls in {what}, column {column},"
            f" which {stage.writes.name} declares without nulls"
        )


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


def check_counts(stage: Stage, outcome: Outcome) -> None:
    """Check that given = kept + the count of each reason, and that the counts match the written rows."""
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


def given_width(stage: Stage) -> int:
    """Return how many columns of the written table's key name a given key."""
    return len(stage.given.columns) or len(stage.writes.key)


def listed(first: list[str], n: int) -> str:
    """Return the first of n keys as text; there are more where n is larger than SHOWN_KEYS."""
    shown = ", ".join(repr(v).replace("\\x1f", " ") for v in first[:SHOWN_KEYS])
    return shown + (", …" if n > SHOWN_KEYS else "")
