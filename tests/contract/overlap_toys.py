"""A toy pipeline of two halves that share stages, like PUB11 and RS3; workers import it as `overlap_toys:NAME`.

`list` writes spans of both halves; `fetch` uses the network and has PUB11's partitions; `join` has both halves'; `look`
uses a model and has RS3's; `tally` is global.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa

from schemas.tables import Table
from stages.contract import WHOLE, Context, Given, Inputs, Outcome, Reads, Stage, no_rejects

LISTED = Table("listed", ("sample_id",), ("source_row", "partition"), "A toy row.")
FETCHED = Table("toy_fetched", ("sample_id",), ("caption",), "A toy row of PUB11.")
JOINED = Table("joined", ("sample_id",), ("caption",), "A toy row of either half.")
LOOKED = Table("looked", ("sample_id",), ("caption",), "A toy row of RS3.")
TALLIED = Table("tallied", ("corpus",), ("n_rows",), "A count of toy rows.")
WEB, LABELLED = ("cc3m-0", "cc3m-1"), ("fmow-0", "fmow-1")
ROWS_PER_PART = 3


def list_rows(inputs: Inputs, context: Context) -> Outcome:
    parts = [part for part in (*WEB, *LABELLED) for _ in range(ROWS_PER_PART)]
    kept = {
        "sample_id": [f"toy_0_{row:02d}" for row in range(len(parts))],
        "source_row": list(range(len(parts))),
        "partition": parts,
    }
    return Outcome(pa.table(kept).cast(LISTED.schema), no_rejects(LISTED))


def _copy(table: Table) -> Callable[[Inputs, Context], Outcome]:
    def run(inputs: Inputs, context: Context) -> Outcome:
        ids = sorted({name for rows in inputs.values() for name in rows["sample_id"].to_pylist()})
        kept = {"sample_id": ids, "caption": [f"{table.name} {name}" for name in ids]}
        return Outcome(pa.table(kept, schema=table.schema), no_rejects(table))

    return run


def tally(inputs: Inputs, context: Context) -> Outcome:
    rows = {"corpus": ["joined", "looked"], "n_rows": [inputs[name].num_rows for name in ("joined", "looked")]}
    return Outcome(pa.table(rows, schema=TALLIED.schema), no_rejects(TALLIED))


LIST = Stage(
    name="list", module="give", version=1, does="Lists.", reads=(), writes=LISTED, grain="observe", given=Given(),
    run=list_rows, split_by="partition",
)  # fmt: skip
FETCH = Stage(
    name="fetch", module="toy", version=1, does="Fetches.", reads=(Reads("listed", ("sample_id",)),), writes=FETCHED,
    grain="map", given=Given("listed", ("sample_id",)), run=_copy(FETCHED), partitions_from=("listed",), half="pub11",
    has_network=True,
)  # fmt: skip
JOIN = Stage(
    name="join", module="toy", version=1, does="Joins.",
    reads=(Reads("listed", ("sample_id",)), Reads("toy_fetched", ("sample_id",))), writes=JOINED, grain="map",
    given=Given("listed", ("sample_id",)), run=_copy(JOINED), partitions_from=("listed",),
)  # fmt: skip
LOOK = Stage(
    name="look", module="toy", version=1, does="Looks.", reads=(Reads("joined", ("sample_id",)),), writes=LOOKED,
    grain="map", given=Given("joined", ("sample_id",)), run=_copy(LOOKED), partitions_from=("joined",), half="rs3",
    has_model=True,
)  # fmt: skip
TALLY = Stage(
    name="tally", module="toy", version=1, does="Tallies.",
    reads=(Reads("joined", ("sample_id",), is_whole=True), Reads("looked", ("sample_id",), is_whole=True)),
    writes=TALLIED, grain="observe", given=Given(), run=tally,
)  # fmt: skip
SOUND = (LIST, FETCH, JOIN, LOOK, TALLY)


def _with(stage: Stage, act: Callable[[Context], None]) -> tuple[Stage, ...]:
    def run(inputs: Inputs, context: Context) -> Outcome:
        act(context)
        return stage.run(inputs, context)

    return tuple(replace(one, run=run) if one is stage else one for one in SOUND)


def _wait(context: Context) -> None:
    """Wait until the test writes the file `go`, at most 300 s."""
    (context.sources / f"waits-{context.partition}").touch()
    end = time.monotonic() + 300
    while not (context.sources / "go").exists() and time.monotonic() < end:
        time.sleep(0.02)


def _stop_once(context: Context) -> None:
    """Stop this process with SIGSTOP, only the first time; it does not resume by itself."""
    mark = context.sources / f"stopped-{context.partition}"
    if context.partition == WEB[0] and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGSTOP)


def _eat(context: Context) -> None:
    """Hold 600 MB until the test writes the file `go`."""
    eaten = b"x" * 600_000_000
    _wait(context)
    assert len(eaten) and context.partition != WHOLE


def _fail_first(context: Context) -> None:
    if context.partition == WEB[0]:
        raise ValueError if (context.sources / "wrong-code").exists() else _input_error()


def _input_error() -> Exception:
    from stages.contract import InputError

    return InputError("the file is not as expected: found nothing; put one there")


def _waiting() -> tuple[Stage, ...]:
    by_name = {stage.name: stage for stage in _with(FETCH, _wait)} | {"look": _with(LOOK, _wait)[3]}
    return tuple(by_name[stage.name] for stage in SOUND)


WAITS = _waiting()
STOPS_ONCE = _with(FETCH, _stop_once)
EATS = _with(FETCH, _eat)
FAILS = _with(FETCH, _fail_first)
