"""A partition needs what its stage declares and its models' weights, at most what a worker may hold."""

from dataclasses import replace

import pytest

from flows.run.memory import WORKER_GB, needed_gb, total_bytes, weights_gb
from flows.settings import RunSettings, Settings, load_settings
from stages import STAGES
from stages.models.opening import MODEL_MEMORY_GB

BY_NAME = {stage.name: stage for stage in STAGES}


def settings(profile: str, memory_gb: float) -> Settings:
    found = load_settings(profile, (), STAGES)
    return replace(found, run=found.run.model_copy(update={"memory_gb": memory_gb}))


def test_a_model_needs_its_weights_too() -> None:
    embed, rank = BY_NAME["embed"], BY_NAME["rank_captions"]
    assert needed_gb(embed, settings("demo", 4.0)) == MODEL_MEMORY_GB
    paper = settings("paper", 100.0)
    assert weights_gb(embed, paper) == pytest.approx(4.8) and weights_gb(rank, paper) == pytest.approx(3.9 + 2.5)
    assert needed_gb(embed, paper) == pytest.approx(MODEL_MEMORY_GB + 4.8)
    assert needed_gb(BY_NAME["draw_captions"], settings("paper", 24.0)) == 24.0


def test_other_stages_need_what_they_declare_and_global_ones_what_a_worker_may_hold() -> None:
    found = {name: needed_gb(BY_NAME[name], settings("paper", 4.0)) for name in ("screen", "download", "cluster")}
    assert found == {"screen": 0.8, "download": WORKER_GB, "cluster": 4.0}
    assert needed_gb(BY_NAME["screen"], settings("paper", 0.5)) == 0.5


def test_every_stage_with_a_model_declares_its_memory() -> None:
    with_model = [stage for stage in STAGES if stage.has_model]
    assert len(with_model) >= 6 and all(stage.memory_gb == MODEL_MEMORY_GB for stage in with_model)


def test_all_workers_hold_nine_tenths_of_the_machine_unless_set() -> None:
    assert total_bytes(RunSettings(total_memory_gb=3.0)) == 3e9
    assert 1e8 < total_bytes(RunSettings()) < 1e14
