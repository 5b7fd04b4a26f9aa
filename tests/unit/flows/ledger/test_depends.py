from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.ledger.depends import tool_identities, why_off
from flows.ledger.ledger import Ledger
from flows.ledger.store import Store
from flows.run.executor import InlineExecutor
from flows.run.runner import StageFailure
from flows.run.worker import Task
from flows.settings import check_settings
from schemas.tables import Table
from stages.contract import Given, Reads, Stage
from tests.contract.broken import GIVE, MAKE
from tests.contract.laws import run_toy, toy_build
from tests.small_build import Build

THEN = replace(
    MAKE,
    name="then",
    reads=(Reads("made", ("sample_id",)),),
    writes=Table("then", ("sample_id",), ("caption", "similarity"), "A toy row, later."),
    given=Given("made", ("sample_id",)),
    partitions_from=("made",),
)
OFF = replace(MAKE, off=lambda params: f"toy.text = {params.text}" if params.text == "none" else "")


@pytest.fixture
def toy(tmp_path: Path) -> Build:
    build = toy_build("SOUND", tmp_path)
    run_toy(build)
    return build


def ledger(build: Build, stages: tuple[Stage, ...], **toy: object) -> Ledger:
    return Ledger(Store(build.root), stages, check_settings("toy", {**build.sections, "toy": toy}, stages))


def test_a_stage_that_is_switched_off_is_complete_without_partitions_even_after_it_ran(toy: Build) -> None:
    found = ledger(toy, (GIVE, OFF, THEN), text="none")
    assert [found.why_off(stage) for stage in (GIVE, OFF, THEN)] == ["", "toy.text = none", "toy.text = none"]
    for stage in (OFF, THEN):
        state = found.state(stage)
        assert state.is_complete and not state.partitions and not state.blocked
    assert found.read(Reads("made", ("sample_id",), is_whole=True)).num_rows == 0
    on = ledger(toy, (GIVE, OFF, THEN))
    assert on.why_off(OFF) == "" and len(on.state(OFF).partitions) == 2


def test_a_stage_with_another_source_of_partitions_stays_on() -> None:
    both = replace(THEN, partitions_from=("given", "made"))
    stages = (GIVE, OFF, both)
    settings = check_settings("toy", {"toy": {"text": "none"}}, stages)
    assert why_off(both, settings, {stage.writes.name: stage for stage in stages}) == ""


def test_a_fingerprint_includes_own_weights_by_their_last_digest_if_they_are_gone(tmp_path: Path) -> None:
    build = toy_build("WITH_OWN_WEIGHTS", tmp_path)
    weights = tmp_path / "weights"
    weights.write_text("first")
    stages = build.stages
    build = build.with_settings(toy={"text": str(weights)})
    run_toy(build)
    assert build.ledger().state(stages[1]).is_complete
    weights.write_text("second")
    assert len(build.ledger().state(stages[1]).due) == 2
    weights.unlink()
    assert build.ledger().state(stages[1]).is_complete
    empty = Store(tmp_path / "other")
    assert tool_identities(stages[1], build.settings, empty) == {"own": {"name": "own"}}


def test_weights_that_change_during_a_run_are_refused(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.write_text("first")
    build = toy_build("WITH_OWN_WEIGHTS", tmp_path, toy={"text": str(weights)}, run={"retries": 0})

    class Retrained(InlineExecutor):
        def start(self, task: Task, *arguments: Any) -> None:
            if task.stage == "make":
                weights.write_text("second")
            super().start(task, *arguments)

    with pytest.raises(StageFailure, match="digest was first, is second"):
        build.run(Retrained(), ["toy"])
    run_toy(build)
    assert build.ledger().state(build.stages[1]).is_complete
