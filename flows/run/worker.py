"""Run one partition of one stage, in this process or in a supervised child: read, call, check, commit.

Not for choosing partitions or retrying them: that is the executor's and the runner's business.
"""

from __future__ import annotations

import importlib
import os
import platform
import resource
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from flows.ledger.attempt import Attempt
from flows.ledger.cpu import cpu_seconds
from flows.ledger.disk import ADVICE, free_gb, is_disk_full
from flows.ledger.pieces import Piece, open_input
from flows.ledger.receipt import Receipt
from flows.ledger.store import Store
from flows.run.toolbox import Toolbox
from stages.checks import check_outcome
from stages.contract import Context, ContractError, InputError, Stage, TransientError
from stages.rows import Space

Kind = Literal["input", "transient", "contract", "disk"]


@dataclass(frozen=True)
class Task:
    """One partition to run, with all a worker needs and nothing to look up."""

    stage: str
    catalogue: str
    partition: str
    fingerprint: str
    params: Mapping[str, Any]
    resources: Mapping[str, Any]
    inputs: Mapping[str, list[Piece]]
    input_digests: Mapping[str, str]
    tool_identities: Mapping[str, Any]
    n_given: int
    build: Path
    sources: Path
    memory_gb: float = 4.0


@dataclass(frozen=True)
class Committed:
    """A partition that has its receipt.

    Attributes:
        n_given: number of rows that the stage read: source rows for the filter.
        reasons: rejected rows by reason, including those that the filter only counts.
        is_new: False where another process was first.
    """

    partition: str
    n_kept: int
    n_given: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    is_new: bool = True


@dataclass(frozen=True)
class Failed:
    """A partition without a receipt, and the fault."""

    partition: str
    kind: Kind
    message: str


@dataclass(frozen=True)
class SignOfLife:
    """Sent now and then while a partition runs."""


def find_stages(catalogue: str) -> tuple[Stage, ...]:
    """Return the stages that `module:NAME` names; a spawned child finds them by that name."""
    module, _, name = catalogue.partition(":")
    return tuple(getattr(importlib.import_module(module), name))


def run_partition(task: Task, toolbox: Toolbox, advance: Callable[[int], None]) -> Receipt | None:
    """Run a partition and return its receipt, or None if an observation found nothing new.

    Raises:
        InputError, TransientError, ContractError: as the stage or the checks raise them.
    """
    stages = find_stages(task.catalogue)
    stage = next(s for s in stages if s.name == task.stage)
    writers = {s.writes.name: s for s in stages}
    store = Store(task.build)
    params, resources = stage.params(**task.params), stage.resources(**task.resources)
    started, started_cpu_s = time.time(), cpu_seconds()
    with Attempt(store, stage.writes, task.partition, task.fingerprint, task.sources) as attempt:
        space = Space(attempt.work(), query_memory_bytes(task.memory_gb)) if stage.is_queried else None
        inputs = {r.name: open_input(store, r, writers[r.table], task.inputs[r.name], space) for r in stage.reads}
        _refuse_other_weights(stage, task, params, resources)
        tools = toolbox.tools(stage, params, resources)
        context = Context(task.partition, params, resources, tools, attempt, task.sources, advance)
        outcome = stage.run(inputs, context)
        check_outcome(stage, inputs, outcome)
        # A first pass without a URL is recorded too: later stages must see that there was nothing to fetch.
        is_first_pass = stage.keeps == "all" and int(task.partition) == 0
        if stage.keeps != "current" and not outcome.kept.num_rows and not is_first_pass:
            return None
        opening = {"tools_s": tools.wall_s, "tools_cpu_s": tools.cpu_s}
        measured = {"started": started, "started_cpu_s": started_cpu_s, **opening}
        return attempt.commit(outcome, stage.split_by, describe(task, stage, measured))


def _refuse_other_weights(stage: Stage, task: Task, params: Any, resources: Any) -> None:
    """Refuse weights that differ from the recorded digest: a detector that was trained again while the build ran."""
    for tool in stage.tools:
        known = task.tool_identities.get(tool.name, {})
        for name, value in (tool.found(params, resources) or {}).items():
            if known.get(name, value) != value:
                raise InputError(
                    f"{tool.name} of {stage.name} has changed since the run began ({name} was {known[name]}, is"
                    f" {value}): run the same command again"
                )


def query_memory_bytes(memory_gb: float) -> int:
    """Return the bytes of a worker's memory that its queries may take: half of the memory that is still free in it.

    The other half is for the tables that Python makes of results, and for memory that DuckDB does not count.
    """
    n_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return int(max(0.0, memory_gb * 1e9 - n_pages * os.sysconf("SC_PAGE_SIZE")) / 2)


def describe(task: Task, stage: Stage, measured: Mapping[str, float]) -> dict[str, Any]:
    """Return the part of a receipt that is known before its files are written.

    Args:
        task: the partition that was run.
        stage: its stage.
        measured: when it began, by the clock and in CPU seconds of this process, and the costs of opening its tools.
    """
    return {
        "stage": stage.name,
        "version": stage.version,
        "table": stage.writes.name,
        "partition": task.partition,
        "fingerprint": task.fingerprint,
        "params": dict(task.params),
        "tools": dict(task.tool_identities),
        "inputs": dict(task.input_digests),
        "run": {
            **measured,
            "n_given": task.n_given,
            "host": platform.node(),
            "pid": os.getpid(),
            "max_resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        },
    }


def try_partition(task: Task, toolbox: Toolbox, advance: Callable[[int], None]) -> Committed | Failed:
    """Run a partition; every failure is returned as a value of its kind."""
    try:
        receipt = run_partition(task, toolbox, advance)
        if receipt is None:
            return Committed(task.partition, 0, 0, is_new=False)
        return Committed(task.partition, receipt.n_kept, receipt.counts.get("given", task.n_given), receipt.rejected)
    except InputError as error:
        return Failed(task.partition, "input", str(error))
    except TransientError as error:
        return Failed(task.partition, "transient", str(error))
    except ContractError as error:
        return Failed(task.partition, "contract", str(error))
    except (OSError, pa.ArrowException) as error:
        if is_disk_full(error):
            return Failed(task.partition, "disk", disk_full(task))
        return Failed(task.partition, "transient", f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
    except Exception as error:
        kind, message = judge_query(task, error)
        return Failed(task.partition, kind, message or f"{task.stage} raised:\n{traceback.format_exc()}")


def judge_query(task: Task, error: Exception) -> tuple[Kind, str]:
    """Return the kind of DuckDB's error and a message; other errors are faults of the code, without one."""
    name = type(error).__name__ if type(error).__module__.endswith("duckdb") else ""
    if is_disk_full(error):
        return "disk", disk_full(task)
    if name == "OutOfMemoryException":
        return "input", (
            f"{task.stage} needs more memory than run.memory_gb = {task.memory_gb:g} leaves its queries"
            f" ({query_memory_bytes(task.memory_gb) / 1e9:.1f} GB): raise run.memory_gb. DuckDB says: {error}"
        )
    return ("transient", f"{task.stage}: {error}") if name == "IOException" else ("contract", "")


def disk_full(task: Task) -> str:
    """Return the message for a full disk."""
    where = f"{task.stage} could not write {task.partition} under {task.build}"
    return f"the disk is full: {where} ({free_gb(task.build)}). {ADVICE}"


def prepare_libraries(n_threads: int) -> None:
    """Set the threads of libraries and the memory they keep; those not imported yet read them from the environment."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ[name] = str(n_threads)
    pa.set_cpu_count(n_threads)
    # Polars' allocator: memory that goes back to the system between two slices of a file costs a page fault per 4 kB
    # to get again, a third of the time that reading captions takes.
    os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:-1,muzzy_decay_ms:-1")
