"""A stage that breaks a law is caught, for each law, and nothing of its partition is kept."""

from pathlib import Path

import pytest

from flows.run.executor import InlineExecutor
from flows.run.runner import StageFailure
from stages.contract import ContractError
from tests.contract.laws import assert_independent_of_partitioning, assert_pure, run_toy, toy_build

BROKEN = {
    "WRONG_TYPE": r"undeclared \['similarity: float'\], missing \['similarity: double'\]",
    "UNDECLARED_COLUMN": r"undeclared \['url: string'\], missing \[\]",
    "MISSING_COLUMN": r"undeclared \[\], missing \['similarity: double'\]",
    "WRONG_ORDER": "another order",
    "NULL_WHERE_NOT_ALLOWED": "3 nulls in kept rows, column caption",
    "NULL_DETAIL": "3 nulls in reject rows, column detail",
    "REPEATED_KEY": "1 kept rows repeat a key of made: 'toy_0_01'",
    "LOST_ROW": "1 given rows are neither kept nor rejected: 'toy_0_01'",
    "LOST_REJECT": "1 given rows are neither kept nor rejected: 'toy_0_00'",
    "INVENTED_ROW": "1 rows belong to no given row: 'invented_0_0'",
    "OBSERVE_INVENTS": "1 rows belong to no given row: 'invented_0_0'",
    "KEPT_AND_REJECTED": "1 given rows are named more than once: 'toy_0_01'",
    "REJECTED_TWICE": "1 given rows are named more than once: 'toy_0_00'",
    "REDUCE_NAMES_TWICE": "1 given rows are named more than once: 'toy_0_01'",
    "FAN_OUT_MISSES_A_KEY": "1 given rows are neither kept nor rejected: 'toy_0_00'",
    "UNDECLARED_REASON": "reasons it does not declare: 'empty_file'",
    "UNKNOWN_REASON": "reasons it does not declare: 'bad_luck'",
    "LONG_DETAIL": "a detail of 201 characters; at most 200",
    "COUNTS_DO_NOT_ADD_UP": "11 rows given, 10 accounted for",
    "COUNTS_NOT_WRITTEN": "4 rows counted as kept, 3 written",
    "REJECTS_NOT_WRITTEN": r"rejects counted as \{'not_an_image': 4\}, written as \{'not_an_image': 3\}",
    "COUNTS_FOR_AN_UNDECLARED_REASON": "'undeclared'.*expected given, kept and",
    "NO_COUNTS": r"counts for \[\]; expected given, kept and",
    "RAISES_VALUE_ERROR": "make raised:(.|\n)*ValueError: a fault of the code",
}
OTHER_LAWS = {  # caught below, or by the supervisor: tests/contract/test_executor.py
    "IMPURE", "PARTITION_DEPENDENT", "EXITS_HARD", "KILLS_ITSELF", "EATS_MEMORY", "HANGS", "FAILS_TWICE",
    "FAILS_ALWAYS", "DIES_ONCE", "RAISES_INPUT_ERROR",
}  # fmt: skip
SOUND = ("SOUND", "SOUND_FAN_OUT", "SOUND_COUNT", "WITH_OWN_WEIGHTS")


def test_every_broken_stage_is_tested() -> None:
    from tests.contract import broken

    pipelines = {name for name, value in vars(broken).items() if isinstance(value, tuple)}
    assert pipelines == {*BROKEN, *OTHER_LAWS, *SOUND}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_toy_stage_is_not_caught(name: str, tmp_path: Path) -> None:
    build = toy_build(name, tmp_path)
    run_toy(build)
    state = build.ledger().state(build.stages[1])
    assert state.is_complete and len(state.receipts) == 2
    assert sum(receipt.n_kept for receipt in state.receipts) == (24 if name == "SOUND_FAN_OUT" else 6)


@pytest.mark.parametrize("name", BROKEN)
def test_a_stage_that_breaks_its_contract_is_caught_and_commits_nothing(name: str, tmp_path: Path) -> None:
    build = toy_build(name, tmp_path)
    with pytest.raises(ContractError, match=BROKEN[name]) as caught:
        run_toy(build)
    stage = build.stages[1]
    assert stage.name in str(caught.value)
    ledger = build.ledger()
    left = [r.partition for r in ledger.state(stage).receipts]
    assert left == [], "a fault of the code stops the run, since it affects all partitions"
    files = {path.name for path in (build.root / stage.writes.name / "part-00").rglob("*") if path.is_file()}
    assert files == {"failure.txt"}


def test_an_input_error_fails_only_its_partition(tmp_path: Path) -> None:
    build = toy_build("RAISES_INPUT_ERROR", tmp_path)
    with pytest.raises(StageFailure, match=r"1 of 2 partitions failed(.|\n)*expected: found nothing; put one there"):
        run_toy(build)
    assert [r.partition for r in build.ledger().state(build.stages[1]).receipts] == ["part-01"]


def test_an_impure_stage_is_caught_by_building_twice(tmp_path: Path) -> None:
    assert_pure(lambda name: toy_build("SOUND", tmp_path / "sound" / name), run_toy)
    with pytest.raises(AssertionError, match="made differs"):
        assert_pure(lambda name: toy_build("IMPURE", tmp_path / name), run_toy)


@pytest.mark.parametrize("name", ["SOUND", "PARTITION_DEPENDENT"])
def test_a_stage_that_depends_on_its_partition_is_caught_by_another_partitioning(name: str, tmp_path: Path) -> None:
    builds = [toy_build(name, tmp_path / str(n), toy={"n_parts": n}) for n in (2, 3)]
    for build in builds:
        build.run(InlineExecutor(), ["toy"])
    if name == "SOUND":
        assert_independent_of_partitioning(*builds)
    else:
        with pytest.raises(AssertionError, match="made differs"):
            assert_independent_of_partitioning(*builds)
