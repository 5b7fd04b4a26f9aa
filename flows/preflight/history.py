"""Costs recorded in a build's own receipts: every partition that was ever run, with its rows and seconds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.ledger.receipt import read_receipt
from stages.contract import Stage


@dataclass(frozen=True)
class Run:
    """One partition that was run.

    Attributes:
        stage, partition: their names.
        n_rows: rows that it accounted for: given rows for the filter, else kept and rejected rows.
        n_kept: rows kept.
        reasons: rejected rows by reason, or the counts of the filter.
        cpu_s, wall_s: CPU and elapsed seconds, without opening tools.
        tools_cpu_s, tools_s: CPU and elapsed seconds of opening its tools.
        n_bytes: bytes of the files that it wrote.
        started, finished: seconds since 1970.
        process: id of the worker process, to find the first partition of each.
        pilot: inventory.pilot of that run, in (0, 1].
        measured: what the stage measured for forecasts: characters of captions, of the filter and of place names.
    """

    stage: str
    partition: str
    n_rows: int
    n_kept: int
    reasons: dict[str, int]
    cpu_s: float
    wall_s: float
    tools_cpu_s: float
    tools_s: float
    n_bytes: int
    started: float
    finished: float
    process: str
    pilot: float = 1.0
    measured: Mapping[str, int] = field(default_factory=dict)


def read_history(build: Path, stages: Sequence[Stage]) -> list[Run]:
    """Return every run that a build's receipts record with CPU seconds, by time; empty if there is no build."""
    found: list[Run] = []
    pilots: list[tuple[float, float]] = []
    for stage in stages:
        for body in _bodies(build / stage.writes.name):
            run = body.get("run", {})
            if "cpu_s" not in run or body.get("stage") != stage.name:
                continue
            if "pilot" in body.get("params", {}):
                pilots.append((float(run["started"]), float(body["params"]["pilot"])))
            found.append(_run(body))
    pilots.sort()
    return [_with_pilot(run, pilots) for run in sorted(found, key=lambda run: run.started)]


def _with_pilot(run: Run, pilots: Sequence[tuple[float, float]]) -> Run:
    # A run belongs to the listing that was the last one when it began.
    share = next((share for started, share in reversed(pilots) if started <= run.started), 1.0)
    return Run(**{**run.__dict__, "pilot": share})


def _run(body: dict[str, Any]) -> Run:
    run, counts = body["run"], dict(body["counts"] or {})
    n_kept, rejects = int(body["kept"]["n_rows"]), body["rejects"]
    tables = [one for one in (body["kept"], rejects) if one["file"]]
    return Run(
        stage=body["stage"],
        partition=body["partition"],
        n_rows=int(counts.get("given", n_kept + int(rejects["n_rows"]))),
        n_kept=n_kept,
        reasons=counts or dict(rejects["reasons"]),
        cpu_s=max(0.0, run["cpu_s"] - run["tools_cpu_s"]),
        wall_s=max(0.0, run["finished"] - run["started"] - run["tools_s"]),
        tools_cpu_s=run["tools_cpu_s"],
        tools_s=run["tools_s"],
        n_bytes=sum(int(one["size_bytes"]) for one in [*tables, *body["files"]]),
        started=run["started"],
        finished=run["finished"],
        process=f"{run['host']}/{run['pid']}",
        measured=run.get("measured", {}),
    )


def _bodies(table: Path) -> Iterator[dict[str, Any]]:
    """Yield the readable receipts of a table; `make verify` names the others."""
    for partition in _folders(table):
        for attempt in _folders(partition):
            body = read_receipt(attempt / "receipt.json")
            if isinstance(body, dict):
                yield body


def _folders(path: Path) -> list[Path]:
    try:
        with os.scandir(path) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []
