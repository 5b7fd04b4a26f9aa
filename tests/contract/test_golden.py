from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pytest

from stages import STAGES
from stages.contract import Context, Inputs, Outcome, Stage
from tests.contract.golden import golden_digest, judge, load
from tests.contract.inputs import HANDMADE, call_stage

each_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)


@each_stage
def test_a_stage_version_always_gives_the_same_output_for_the_same_input(stage: Stage, tmp_path: Path) -> None:
    fault = judge(stage, golden_digest(stage, tmp_path / "once"), load())
    assert not fault, fault


@each_stage
def test_a_golden_digest_has_rows_and_does_not_depend_on_the_folder(stage: Stage, tmp_path: Path) -> None:
    assert stage.name in HANDMADE, f"{stage.name} needs handmade inputs in tests/contract/inputs.py"
    _, outcome = call_stage(stage, tmp_path / "one")
    assert outcome.kept.num_rows
    assert outcome.rejects.num_rows or not stage.reasons or stage.name == "write_shards"
    assert golden_digest(stage, tmp_path / "a" / "longer" / "path") == golden_digest(stage, tmp_path / "b")


def test_golden_digests_exist_for_exactly_the_stages() -> None:
    assert list(load()) == [stage.name for stage in STAGES]


def test_changed_output_under_an_old_version_is_caught(tmp_path: Path) -> None:
    plan = next(stage for stage in STAGES if stage.name == "plan")

    def shout(inputs: Inputs, context: Context) -> Outcome:
        outcome = plan.run(inputs, context)
        kept = outcome.kept
        return replace(outcome, kept=kept.set_column(3, kept.schema.field(3), pc.utf8_upper(kept["host"])))

    changed = replace(plan, run=shout)
    digest = golden_digest(changed, tmp_path)
    assert judge(changed, digest, load()) == (
        "output of plan changed: raise its version and run `python -m tests.contract.golden`"
    )
    raised = replace(changed, version=changed.version + 1)
    assert judge(raised, digest, load()) == "plan has a new version: run `python -m tests.contract.golden`"
    assert "has no golden digest" in judge(replace(plan, name="new"), digest, load())
