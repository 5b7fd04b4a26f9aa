"""The forecast of each stage: rows, CPU and GPU hours, time, bytes fetched and written, and the basis of each figure.

Costs come from the build's own receipts where its stage was run, else from this machine's benchmarks, else from
manifests/rates.toml.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from flows.ledger.ledger import Ledger
from flows.ledger.state import StageState
from flows.preflight.evaluation import OF_EVALUATION, evaluation_volumes
from flows.preflight.fit import Cost, fit_cost, in_characters
from flows.preflight.growth import growth, lengths_factor, pictures_factor, survivors_factor
from flows.preflight.history import Run, read_history
from flows.preflight.machine import bench_rate
from flows.preflight.memory import n_fitting
from flows.preflight.stage_forecast import StageForecast
from flows.preflight.volumes import (
    AFTER_DEDUP,
    BY_CHARACTER,
    BY_DOWNLOAD,
    CAPTIONS_EACH,
    NOT_GROWN,
    OF_PICTURES,
    Halves,
    halves_of,
    is_rs3,
    published_volumes,
)
from flows.run.memory import total_bytes
from schemas.rate_manifests import Rate, load_rates, rate_of
from stages.contract import InputError, Reads, Stage

_OWN_RANGE = (0.8, 1.25)  # of a fit over at least _ENOUGH partitions; `make bench-preflight` measures it
_THIN_RANGE = (0.5, 2.0)
_ENOUGH = 4
_NOT_GROWN = NOT_GROWN | OF_EVALUATION


@dataclass
class Forecaster:
    """Forecasts the stages of a build.

    Attributes:
        ledger: state of the build, which need not exist.
        shares: share of each corpus that is under SOURCES, in (0, 1].
        n_gpus: number of GPUs of this machine.
        bench: folder of this machine's benchmark results.
        own: rows and labelled images of the corpora that RS5M does not have.
    """

    ledger: Ledger
    shares: Mapping[str, float]
    n_gpus: int
    bench: Path
    own: Halves | None = None
    _rates: Mapping[str, Rate] = field(default_factory=load_rates)

    def __post_init__(self) -> None:
        stages = self.ledger.stages
        history = read_history(self.ledger.store.root, stages)
        self._runs = {stage.name: [run for run in history if run.stage == stage.name] for stage in stages}
        listing = next((stage for stage in stages if stage.name == "list_sources"), None)
        self._target = float(getattr(self.ledger.settings.params(listing), "pilot", 1.0)) if listing else 1.0
        self._pilot = history[-1].pilot if history else self._target
        published = published_volumes(self.shares, self._target, stages, self.own)
        self._published = published | evaluation_volumes(self.ledger.settings, published["plan_pictures"])

    @property
    def is_same_slice(self) -> bool:
        """True if the build was made from the share of the corpora that is wanted now."""
        return self._pilot == self._target

    def forecast(self) -> list[StageForecast]:
        """Return the forecast of each stage, in their order."""
        return [self._stage(stage) for stage in self.ledger.stages]

    def _stage(self, stage: Stage) -> StageForecast:
        is_done = self._is_done(stage)
        rows, n_partitions = self._volume(stage)
        left = 0.0 if is_done or not rows.total else max(0.0, 1 - self._rows_done(stage) / rows.total)
        run = self.ledger.settings.run
        rate = rate_of(self._rates, stage.name, self.ledger.plain_params(stage).values())
        n_at_once = n_fitting(stage, self.ledger.settings, total_bytes(run), run.n_workers(stage.uses, self.n_gpus))
        n_processes = min(n_at_once, max(1.0, n_partitions))
        has_gpu = stage.has_model and self.n_gpus > 0
        cpu, cpu_basis, span = self._cost(stage, rate, by_clock=False)
        cpu_s = cpu.total_s(rows.total, n_partitions, n_processes) if rows.total else 0.0
        gpu_s, wall_s, basis = 0.0, cpu_s / min(n_processes, os.cpu_count() or 1), cpu_basis
        has_runs = bool(self._runs[stage.name])
        if stage.has_model and (has_gpu if has_runs else rate.gpu_s_per_row):
            clock, basis, span = self._cost(stage, rate, by_clock=True)
            gpu_s = clock.total_s(rows.total, n_partitions, n_processes) if rows.total else 0.0
            wall_s = gpu_s / max(1, min(self.n_gpus or 1, int(n_processes)))
        elif rate.network_s_per_row:
            wall_s, basis, span = self._network(stage, rate, rows.total, n_partitions, n_processes)
        per_row = self._bytes_per_row(stage)
        return StageForecast(
            stage.name, rows.total, left, cpu_s, gpu_s, wall_s,
            rows.total * (per_row if self._runs[stage.name] else rate.bytes_per_row) if rate.bytes_per_row else 0.0,
            self._disk_rows(stage, rows) * per_row, *span, basis,
        )  # fmt: skip

    def _is_done(self, stage: Stage) -> bool:
        state = self._state(stage) if self.is_same_slice else None
        return state is not None and bool(state.partitions) and state.is_complete

    def _rows_done(self, stage: Stage) -> float:
        """Return the rows whose receipts are current: other settings or sources may have made earlier ones stale."""
        runs = self._latest(stage.name)
        if stage.keeps == "all":  # such as downloads: never redone by themselves
            return sum(run.n_rows for run in runs)
        state = self._state(stage) if self.is_same_slice else None
        current = {receipt.partition for receipt in state.receipts} if state is not None else set()
        return sum(run.n_rows for run in runs if run.partition in current)

    def _state(self, stage: Stage) -> StageState | None:
        """Return a stage's state; None if a tool that fingerprints depend on is missing, which is a gap of its own."""
        try:
            return self.ledger.state(stage)
        except InputError:
            return None

    def _cost(self, stage: Stage, rate: Rate, *, by_clock: bool) -> tuple[Cost, str, tuple[float, float]]:
        runs = self._runs[stage.name]
        if sum(run.n_rows for run in runs):
            has_few = stage.name not in BY_DOWNLOAD
            sized, n_units = in_characters(runs) if stage.name in BY_CHARACTER else (runs, 1.0)
            fitted = fit_cost(sized, by_clock=by_clock, fixed_s=rate.fixed_cpu_s, has_few=has_few)
            if stage.name in BY_CHARACTER and not self.is_same_slice:
                n_units *= lengths_factor(self._latest("filter"))
            fitted = replace(fitted, per_row_s=fitted.per_row_s * n_units)
            basis = f"this build: {len(runs)} partitions, {sum(run.n_rows for run in runs):,} rows"
            return fitted, basis, _OWN_RANGE if len(runs) >= _ENOUGH else _THIN_RANGE
        per_row, basis = (rate.gpu_s_per_row if by_clock else rate.cpu_s_per_row), f"shipped: {rate.source}"
        measured = bench_rate(self.bench, rate.bench) if rate.bench else None
        if measured is not None:
            per_row, basis = measured, f"this machine: make bench-{rate.bench.partition(':')[0]}"
        return Cost(per_row, 0.0, rate.fixed_cpu_s), basis, (rate.low, rate.high)

    def _network(
        self, stage: Stage, rate: Rate, n_rows: float, n_partitions: float, n_processes: float
    ) -> tuple[float, str, tuple[float, float]]:
        runs = self._runs[stage.name]
        if not sum(run.n_rows for run in runs):
            return n_rows * rate.network_s_per_row, f"shipped: {rate.source}", (rate.low, rate.high)
        cost, basis, span = self._cost(stage, rate, by_clock=True)
        return cost.total_s(n_rows, n_partitions, n_processes) / n_processes, basis, span

    def _latest(self, stage: str) -> list[Run]:
        """Return the last run of each partition under the last listing."""
        return list({run.partition: run for run in self._runs[stage] if run.pilot == self._pilot}.values())

    def _volume(self, stage: Stage) -> tuple[Halves, float]:
        """Return the rows of the whole stage and its number of partitions."""
        rows, runs = self._rows(stage), self._latest(stage.name)
        if runs and self.is_same_slice:
            return rows, len(runs) * self._completion(stage, runs)
        return rows, self._n_partitions(stage, len(runs) or self.ledger.settings.run.workers)

    def _rows(self, stage: Stage) -> Halves:
        if self.ledger.why_off(stage):
            return Halves()
        runs = self._latest(stage.name)
        if not runs:
            published = self._published[stage.name]
            return published if stage.name in _NOT_GROWN else published.times(self._scale())
        rows = halves_of(runs, self._share_rs3())
        if self.is_same_slice:
            share = self._completion(stage, runs)
            return rows.times(Halves(share, share))
        if stage.name in _NOT_GROWN:
            return rows
        by = self._growth()
        if stage.name in AFTER_DEDUP:
            by = Halves(by.pub11 * survivors_factor(self._latest("drop_duplicates"), by.pub11), by.rs3)
        if stage.name in OF_PICTURES:
            n_images, n_pictures = (sum(r.n_kept for r in self._latest(name)) for name in ("screen", "plan_pictures"))
            by = Halves(by.pub11 * pictures_factor(n_images, n_pictures, by.pub11), by.rs3)
        return rows.times(by)

    def _completion(self, stage: Stage, runs: Sequence[Run]) -> float:
        """Return the ratio of all partitions to those that were run, since the rest is assumed to cost the same."""
        state = self._state(stage)
        return max(1.0, len(state.partitions) / len(runs)) if state is not None else 1.0

    def _growth(self) -> Halves:
        rejects = Reads("source_listing", ("corpus", "reason", "detail"), is_whole=True, section="rejects")
        sentences = [r for r in self.ledger.read(rejects).to_pylist() if r["reason"] == "scenes_outside_pilot"]
        listed = self.ledger.read(Reads("source_listing", ("corpus",), is_whole=True))["corpus"].to_pylist()
        outside = [(listed.count(row["corpus"]), row["detail"]) for row in sentences]
        return growth(self._latest("filter"), outside, self._pilot, self._target)

    def _scale(self) -> Halves:
        """Return the ratio of the rows found to the published ones, by which later stages are scaled."""
        found = {}
        for half, name in (("pub11", "filter"), ("rs3", "read_labelled")):
            runs = self._latest(name)
            stage = next(stage for stage in self.ledger.stages if stage.name == name)
            expected = getattr(self._published["plan" if half == "pub11" else "read_labelled"], half)
            is_known = bool(runs) and self.is_same_slice and expected
            n_kept = sum(run.n_kept for run in runs) * self._completion(stage, runs) if is_known else expected
            found[half] = n_kept / expected if expected else 1.0
        return Halves(**found)

    def _share_rs3(self) -> float:
        web = sum(run.n_kept for run in self._latest("plan"))
        labelled = sum(run.n_kept for run in self._latest("read_labelled"))
        return labelled / (web + labelled) if web + labelled else 0.0

    def _n_partitions(self, stage: Stage, n_now: int) -> float:
        """Return the number of partitions of the whole stage: as many as now, but for download."""
        if stage.is_whole or stage.name not in BY_DOWNLOAD:
            return 1 if stage.is_whole else n_now
        planned = self._volume_rows("download").pub11 / self._urls_per_partition(stage)
        n_labelled = sum(is_rs3(run.partition) for run in self._latest(stage.name))
        return max(n_now, planned + n_labelled)

    def _volume_rows(self, name: str) -> Halves:
        return self._rows(next(stage for stage in self.ledger.stages if stage.name == name))

    def _urls_per_partition(self, stage: Stage) -> float:
        """Return the URLs in a partition: as the pilot's, which are rarely full, or at most, by the settings."""
        n_asked = len([run for run in self._latest(stage.name) if not is_rs3(run.partition)])
        if n_asked >= _ENOUGH:
            return sum(run.n_rows for run in self._latest("download")) / n_asked
        settings = self.ledger.settings
        stages = [stage for stage in self.ledger.stages if stage.module == "download"]
        found = [one for stage in stages for one in (settings.params(stage), settings.resources(stage))]
        return float(next(one.urls_per_partition for one in found if hasattr(one, "urls_per_partition")))

    def _disk_rows(self, stage: Stage, rows: Halves) -> float:
        """Return the rows that the stage's bytes_per_row counts: candidates of the filter, images of the captioner."""
        if stage.name.startswith("count_"):
            return 0.0  # a table of counts has a few rows
        if self._runs[stage.name] or stage.name not in ("filter", "draw_captions"):
            return rows.total
        return self._published["plan"].total if stage.name == "filter" else rows.total / CAPTIONS_EACH

    def _bytes_per_row(self, stage: Stage) -> float:
        runs = self._runs[stage.name]
        n_rows = sum(run.n_rows for run in runs)
        return (
            sum(run.n_bytes for run in runs) / n_rows if n_rows else stage.row_bytes(self.ledger.settings.params(stage))
        )
