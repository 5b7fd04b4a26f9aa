"""Main memory that does not hold one partition, or not all workers, is a gap."""

from dataclasses import replace
from pathlib import Path

import pytest

from flows.preflight.memory import memory_gaps, n_at_once, n_fitting
from flows.settings import PROFILES, Settings, load_settings
from stages import STAGES

BY_NAME = {stage.name: stage for stage in STAGES}
CHOSEN = [BY_NAME[name] for name in ("screen", "embed", "cluster")]


def settings(profile: str) -> Settings:
    found = load_settings(profile, (), STAGES)
    return replace(found, run=found.run.model_copy(update={"memory_gb": 24.0}))


def test_a_large_machine_has_no_gap() -> None:
    assert not list(memory_gaps(CHOSEN, settings("paper"), 500e9, lambda stage: 8))


def test_fewer_partitions_at_once_are_named_and_stop_nothing() -> None:
    found = list(memory_gaps(CHOSEN, settings("demo"), 3e9, lambda stage: 4))
    assert [(gap.kind, gap.is_fatal) for gap in found] == [("memory", False)]
    assert "screen 3 of 4 (0.8 GB each), embed 2 of 4 (1.2 GB each)" in found[0].problem
    assert "cluster" not in found[0].problem


def test_a_model_that_does_not_fit_stops_a_build() -> None:
    found = list(memory_gaps(CHOSEN, settings("paper"), 3.2e9, lambda stage: 1))
    assert [(gap.name, gap.is_fatal) for gap in found] == [("embed", True)]
    assert "needs at least 3.6 GB, all workers may hold 3.2 GB" in found[0].problem
    assert "PROFILE=workstation" in found[0].remedy
    (small,) = memory_gaps(CHOSEN[1:2], settings("workstation"), 1e9, lambda stage: 1)
    assert "PROFILE=workstation" not in small.remedy and "PROFILE=light" in small.remedy


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_profiles_let_each_worker_hold_what_it_needs(path: Path) -> None:
    found = load_settings(path.stem, (), STAGES)
    is_captioned = found.params(STAGES[0]).halves == "both"  # type: ignore[attr-defined]
    stages = [stage for stage in STAGES if is_captioned or stage.module != "caption"]
    assert not list(memory_gaps(stages, found, 1e15, lambda stage: 1))


def test_a_worker_that_would_be_stopped_for_its_memory_is_named_with_a_value_that_suffices() -> None:
    found = load_settings("paper", ("run.memory_gb=4",), STAGES)
    (gap,) = memory_gaps(STAGES, found, 1e15, lambda stage: 1)
    assert (gap.name, gap.is_fatal) == ("run.memory_gb", True)
    assert "above 4 GB, and needs at least: draw_captions 16.8 GB, rank_captions 4.5 GB" in gap.problem
    assert gap.remedy == "SET='run.memory_gb=33' is enough"
    enough = load_settings("paper", ("run.memory_gb=33",), STAGES)
    assert not list(memory_gaps(STAGES, enough, 1e15, lambda stage: 1))
    (gap,) = memory_gaps(STAGES, load_settings("demo", ("run.memory_gb=0.45",), STAGES), 1e15, lambda stage: 1)
    assert "embed 1.2 GB" in gap.problem and " more" in gap.problem and "run.memory_gb=2'" in gap.remedy


def test_one_partition_always_begins() -> None:
    assert [n_at_once(gb, 4e9) for gb in (0.5, 1.5, 4.0, 9.0)] == [8, 2, 1, 1]


def test_the_forecast_counts_with_what_fits() -> None:
    assert n_fitting(BY_NAME["screen"], settings("demo"), 3e9, 8) == 3
    assert n_fitting(BY_NAME["screen"], settings("demo"), 3e9, 2) == 2
    found = load_settings("demo", ("embed.model=unknown-model",), STAGES)
    assert n_fitting(BY_NAME["embed"], found, 3e9, 8) == 8
    assert not list(memory_gaps([BY_NAME["embed"]], found, 1e9, lambda stage: 8))
