"""Toy pipelines `GIVE → MAKE` whose `MAKE` breaks one law each; spawned workers import them as `broken:NAME`.

`GIVE` writes a few rows in spans; `MAKE` keeps the odd ones and rejects the others.
"""

import os
import signal
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from schemas.tables import Table
from stages.contract import (
    Context,
    Given,
    InputError,
    Inputs,
    Outcome,
    Params,
    Reads,
    Resources,
    Stage,
    Tool,
    TransientError,
    no_rejects,
    rejects_table,
)

GIVEN = Table("given", ("sample_id",), ("source_row", "url", "partition"), "A toy row.")
MADE = Table("made", ("sample_id",), ("caption", "similarity"), "What became of a toy row.")
PAIRED = Table("paired", ("sample_id", "pass"), ("caption",), "A toy row, several times.")
N_PARTS, ROWS_PER_PART = 2, 6


class GiveParams(Params):
    n_parts: int = Field(N_PARTS, ge=1, description="number of spans of the rows")


class ToyParams(Params):
    text: str = Field("caption", description="text of the captions")


class ToyResources(Resources):
    n_threads: int = Field(1, description="unused")


def give(inputs: Inputs, context: Context) -> Outcome:
    n = N_PARTS * ROWS_PER_PART
    rows = range(n)
    parts = context.params.n_parts
    kept = {
        "sample_id": pa.array([f"toy_0_{row:02d}" for row in rows]),
        "source_row": pa.array(rows, pa.int64()),
        "url": pa.array([f"http://toy/{row}" for row in rows]),
        "partition": pa.array([f"part-{row * parts // n:02d}" for row in rows]),
    }
    return Outcome(pa.table(kept).cast(GIVEN.schema), no_rejects(GIVEN))


def make(inputs: Inputs, context: Context) -> Outcome:
    """Keep rows with an odd source_row."""
    given = inputs["given"]
    is_odd = pc.equal(pc.bit_wise_and(given["source_row"], 1), 1)
    odd, even = given.filter(is_odd), given.filter(pc.invert(is_odd))
    kept = _made(odd["sample_id"], context)
    n = even.num_rows
    rejects = rejects_table(MADE, {"sample_id": even["sample_id"]}, ["not_an_image"] * n, ["even"] * n)
    return Outcome(kept, rejects)


def _made(ids: pa.ChunkedArray, context: Context) -> pa.Table:
    captions = [f"{context.params.text} {name}" for name in ids.to_pylist()]
    columns = {
        "sample_id": ids,
        "caption": pa.array(captions, pa.string()),
        "similarity": pa.nulls(len(ids), pa.float64()),
    }
    return pa.table(columns).cast(MADE.schema)


GIVE = Stage(
    name="give", module="toy", version=1, does="Gives toy rows.", reads=(), writes=GIVEN, grain="observe",
    given=Given(), run=give, params=GiveParams, split_by="partition",
)  # fmt: skip
MAKE = Stage(
    name="make", module="toy", version=1, does="Makes toy rows.",
    reads=(Reads("given", ("sample_id", "source_row")),), writes=MADE, grain="map",
    given=Given("given", ("sample_id",)), run=make, params=ToyParams, resources=ToyResources,
    reasons=("not_an_image",), partitions_from=("given",),
)  # fmt: skip
SOUND = (GIVE, MAKE)


def _found(params: ToyParams, resources: ToyResources) -> dict[str, str] | None:
    path = Path(params.text)
    return {"digest": path.read_text()} if path.is_file() else None


_OWN = Tool("own", lambda params: {"name": "own"}, lambda params, resources: nullcontext(), _found)
WITH_OWN_WEIGHTS = (GIVE, replace(MAKE, tools=(_OWN,)))

Spoil = Callable[[Inputs, Context, Outcome], Outcome]


def spoiled(spoil: Spoil, **changes: object) -> tuple[Stage, ...]:
    """Return the toy pipeline with a `MAKE` whose correct outcome is passed through `spoil`."""

    def run(inputs: Inputs, context: Context) -> Outcome:
        return spoil(inputs, context, make(inputs, context))

    return (GIVE, replace(MAKE, run=run, **changes))


def _kept(outcome: Outcome, kept: pa.Table) -> Outcome:
    return replace(outcome, kept=kept)


# Typed.
WRONG_TYPE = spoiled(lambda i, c, o: _kept(o, o.kept.set_column(2, "similarity", pa.nulls(len(o.kept), pa.float32()))))
UNDECLARED_COLUMN = spoiled(lambda i, c, o: _kept(o, o.kept.append_column("url", o.kept["caption"])))
MISSING_COLUMN = spoiled(lambda i, c, o: _kept(o, o.kept.drop_columns(["similarity"])))
WRONG_ORDER = spoiled(lambda i, c, o: _kept(o, o.kept.select(["sample_id", "similarity", "caption"])))
NULL_WHERE_NOT_ALLOWED = spoiled(
    lambda i, c, o: _kept(o, o.kept.set_column(1, "caption", pa.nulls(len(o.kept), pa.string())))
)
NULL_DETAIL = spoiled(
    lambda i, c, o: replace(o, rejects=o.rejects.set_column(2, "detail", pa.nulls(len(o.rejects), pa.string())))
)
# Unique.
REPEATED_KEY = spoiled(lambda i, c, o: _kept(o, pa.concat_tables([o.kept, o.kept.slice(0, 1)])))
# Conserving.
LOST_ROW = spoiled(lambda i, c, o: _kept(o, o.kept.slice(1)))
LOST_REJECT = spoiled(lambda i, c, o: replace(o, rejects=o.rejects.slice(1)))
INVENTED_ROW = spoiled(
    lambda i, c, o: _kept(o, pa.concat_tables([o.kept, _made(pa.chunked_array([["invented_0_0"]]), c)]))
)
KEPT_AND_REJECTED = spoiled(
    lambda i, c, o: replace(o, rejects=pa.concat_tables([o.rejects, _refuse(o.kept["sample_id"].slice(0, 1))]))
)
REJECTED_TWICE = spoiled(lambda i, c, o: replace(o, rejects=pa.concat_tables([o.rejects, o.rejects.slice(0, 1)])))
REDUCE_NAMES_TWICE = spoiled(
    lambda i, c, o: replace(o, rejects=pa.concat_tables([o.rejects, _refuse(o.kept["sample_id"].slice(0, 1))])),
    grain="reduce",
)
OBSERVE_INVENTS = spoiled(
    lambda i, c, o: _kept(o, pa.concat_tables([o.kept, _made(pa.chunked_array([["invented_0_0"]]), c)])),
    grain="observe",
)
# Closed reasons.
UNDECLARED_REASON = spoiled(lambda i, c, o: replace(o, rejects=_refuse(o.rejects["sample_id"], "empty_file")))
UNKNOWN_REASON = spoiled(lambda i, c, o: replace(o, rejects=_refuse(o.rejects["sample_id"], "bad_luck")))
LONG_DETAIL = spoiled(
    lambda i, c, o: replace(
        o, rejects=o.rejects.set_column(2, o.rejects.schema.field(2), pa.array(["x" * 201] * len(o.rejects)))
    )
)


def _refuse(ids: pa.ChunkedArray, reason: str = "not_an_image") -> pa.Table:
    return rejects_table(MADE, {"sample_id": ids}, [reason] * len(ids), ["spoiled"] * len(ids))


def pair(inputs: Inputs, context: Context) -> Outcome:
    """Return two rows per given row."""
    ids = [name for name in inputs["given"]["sample_id"].to_pylist() for _ in range(2)]
    columns = {"sample_id": ids, "pass": [0, 1] * (len(ids) // 2), "caption": ["c"] * len(ids)}
    return Outcome(pa.table(columns).cast(PAIRED.schema), no_rejects(PAIRED))


PAIR = replace(MAKE, name="pair", writes=PAIRED, grain="fan_out", run=pair)
SOUND_FAN_OUT = (GIVE, PAIR)


def _pair_all_but_one(inputs: Inputs, context: Context) -> Outcome:
    outcome = pair(inputs, context)
    return _kept(outcome, outcome.kept.slice(2))


FAN_OUT_MISSES_A_KEY = (GIVE, replace(PAIR, run=_pair_all_but_one))


def _count(inputs: Inputs, context: Context) -> Outcome:
    outcome = make(inputs, context)
    n_kept, n_rejected = outcome.kept.num_rows, outcome.rejects.num_rows
    counts = {"given": n_kept + n_rejected + 4, "kept": n_kept, "not_an_image": n_rejected, "no_caption": 4}
    return replace(outcome, counts=counts)


def counting(**wrong: int) -> tuple[Stage, ...]:
    """Return the toy pipeline with a counting `MAKE` that adds these numbers to its counts."""

    def run(inputs: Inputs, context: Context) -> Outcome:
        outcome = _count(inputs, context)
        counts = dict(outcome.counts or {})
        return replace(outcome, counts={**counts, **{name: counts.get(name, 0) + n for name, n in wrong.items()}})

    return (
        GIVE,
        replace(MAKE, run=run, grain="count", given=Given(), reasons=("not_an_image", "no_caption")),
    )


SOUND_COUNT = counting()
COUNTS_DO_NOT_ADD_UP = counting(given=1)
COUNTS_NOT_WRITTEN = counting(kept=1, given=1)
REJECTS_NOT_WRITTEN = counting(not_an_image=1, given=1)
COUNTS_FOR_AN_UNDECLARED_REASON = counting(undeclared=0)
NO_COUNTS = (GIVE, replace(SOUND_COUNT[1], run=make))

# Broken laws that no single outcome shows.
IMPURE = spoiled(lambda i, c, o: _kept(o, o.kept.set_column(1, o.kept.schema.field(1), _times(len(o.kept)))))
PARTITION_DEPENDENT = spoiled(
    lambda i, c, o: _kept(
        o, o.kept.set_column(1, o.kept.schema.field(1), pa.array([str(n) for n in range(len(o.kept))]))
    )
)


def _times(n: int) -> pa.Array:
    return pa.array([str(time.perf_counter_ns())] * n)


# Failing inputs and workers; only partition part-00 fails.
def _only_first(fail: Callable[[Context], None]) -> tuple[Stage, ...]:
    def run(inputs: Inputs, context: Context) -> Outcome:
        if context.partition == "part-00":
            fail(context)
        return make(inputs, context)

    return (GIVE, replace(MAKE, run=run))


def _exit(context: Context) -> None:
    os._exit(7)


def _kill(context: Context) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _eat(context: Context) -> None:
    eaten = b"x" * 1_500_000_000
    signal.pause()
    print(len(eaten))


def _hang(context: Context) -> None:
    signal.pause()


def attempts_under(sources: Path) -> Path:
    """Return the file in which toy stages count their attempts, one byte each."""
    return sources / "attempts"


def _count_attempt(context: Context) -> int:
    with attempts_under(context.sources).open("ab") as file:
        file.write(b"x")
    return attempts_under(context.sources).stat().st_size


def _fail_twice(context: Context) -> None:
    if _count_attempt(context) <= 2:
        raise TransientError("the network was away")


def _fail_always(context: Context) -> None:
    _count_attempt(context)
    raise TransientError("the network stays away")


def _die_once(context: Context) -> None:
    if _count_attempt(context) == 1:
        os._exit(7)


def _refuse_input(context: Context) -> None:
    _count_attempt(context)
    raise InputError("the file is not as expected: found nothing; put one there")


def _raise_value_error(context: Context) -> None:
    _count_attempt(context)
    raise ValueError("a fault of the code")


EXITS_HARD = _only_first(_exit)
KILLS_ITSELF = _only_first(_kill)
EATS_MEMORY = _only_first(_eat)
HANGS = _only_first(_hang)
FAILS_TWICE = _only_first(_fail_twice)
FAILS_ALWAYS = _only_first(_fail_always)
DIES_ONCE = _only_first(_die_once)
RAISES_INPUT_ERROR = _only_first(_refuse_input)
RAISES_VALUE_ERROR = _only_first(_raise_value_error)
