from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from schemas.tables import CLUSTER_MEMBER, FETCH_PASS
from stages.checks import check_conserved, check_outcome, check_unique, given_keys, key_array
from stages.contract import Context, ContractError, Given, Outcome, no_rejects, rejects_table
from stages.rows import run_sql
from tests.contract.broken import GIVE, MADE, MAKE, SOUND_FAN_OUT, ToyParams, ToyResources

INPUTS = {"given": GIVE.run({}, Context("whole", GIVE.params(), GIVE.resources(), {}, None, Path())).kept}  # type: ignore[arg-type]
CONTEXT = Context("part-00", ToyParams(), ToyResources(), {}, None, Path())  # type: ignore[arg-type]
SOUND = MAKE.run(INPUTS, CONTEXT)


def test_a_correct_outcome_passes() -> None:
    check_outcome(MAKE, INPUTS, SOUND)
    assert (SOUND.kept.num_rows, SOUND.rejects.num_rows) == (6, 6)


def test_an_outcome_without_given_rows_passes() -> None:
    empty = {"given": INPUTS["given"].slice(0, 0)}
    check_outcome(MAKE, empty, MAKE.run(empty, CONTEXT))


def test_a_message_names_the_first_rows_and_that_there_are_more() -> None:
    with pytest.raises(ContractError, match=r"6 given rows .*: 'toy_0_01', 'toy_0_03', 'toy_0_05', …$"):
        check_outcome(MAKE, INPUTS, replace(SOUND, kept=SOUND.kept.slice(0, 0)))


def test_chunks_and_order_of_rows_do_not_matter() -> None:
    halves = pa.concat_tables([SOUND.kept.slice(3), SOUND.kept.slice(0, 3)])
    check_outcome(MAKE, INPUTS, replace(SOUND, kept=halves))


def test_keys_of_several_columns_are_compared_column_by_column() -> None:
    table = pa.table({"a": ["x", "x1"], "b": [11, 1]})
    assert len(set(key_array(table, ("a", "b")).to_pylist())) == 2
    stage = replace(MAKE, writes=FETCH_PASS)
    rows = {
        "fetch_id": ["x", "x"],
        "pass": [0, 1],
        "normalised_url": ["u"] * 2,
        "host": ["h"] * 2,
        "is_withdrawn": [False] * 2,
        "partition": ["p"] * 2,
    }
    check_unique(stage, pa.table(rows).cast(FETCH_PASS.schema))
    with pytest.raises(ContractError, match="1 kept rows repeat a key of fetch_pass: 'x 1'"):
        check_unique(stage, pa.table({**rows, "pass": [1, 1]}).cast(FETCH_PASS.schema))


def test_given_keys_by_query_are_distinct() -> None:
    query = "SELECT sample_id FROM given WHERE source_row < 3 UNION ALL SELECT 'toy_0_00'"
    keys = given_keys(replace(MAKE, given=Given(query=query, inputs=("given",))), INPUTS)
    assert keys is not None and sorted(keys.to_pylist()) == ["toy_0_00", "toy_0_01", "toy_0_02"]
    assert given_keys(replace(MAKE, given=Given()), INPUTS) is None


def test_a_query_for_given_keys_only_sees_its_declared_inputs() -> None:
    undeclared = Given(query="SELECT sample_id FROM given")
    with pytest.raises(duckdb.CatalogException, match="given"):
        given_keys(replace(MAKE, given=undeclared), INPUTS)


def test_a_reduce_must_name_exactly_the_given_keys() -> None:
    stage = replace(MAKE, grain="reduce")
    repeated = {"given": pa.concat_tables([INPUTS["given"], INPUTS["given"]])}
    check_conserved(stage, given_keys(stage, repeated), SOUND)
    with pytest.raises(ContractError, match="neither kept nor rejected"):
        check_conserved(stage, given_keys(stage, INPUTS), replace(SOUND, rejects=no_rejects(MADE)))


def test_an_observation_may_leave_keys_to_a_later_stage() -> None:
    stage = replace(MAKE, grain="observe")
    check_conserved(stage, given_keys(stage, INPUTS), replace(SOUND, rejects=no_rejects(MADE)))


def test_a_fan_out_may_reject_a_key_instead_of_giving_it_rows() -> None:
    stage = SOUND_FAN_OUT[1]
    sound = stage.run(INPUTS, CONTEXT)
    check_outcome(stage, INPUTS, sound)
    rejects = rejects_table(stage.writes, {"sample_id": ["toy_0_00"], "pass": [0]}, ["not_an_image"], ["none"])
    check_outcome(stage, INPUTS, Outcome(sound.kept.slice(2), rejects))


def test_details_are_truncated_to_200_characters_not_bytes() -> None:
    rejects = rejects_table(MADE, {"sample_id": ["toy_0_00"]}, ["not_an_image"], ["ä" * 300])
    assert rejects["detail"].to_pylist() == ["ä" * 200]


def test_a_query_sees_only_the_tables_it_is_given_and_takes_parameters() -> None:
    table = pa.table({"n": [1, 2, 3]})
    assert run_sql("SELECT n FROM t WHERE n > $low", {"t": table}, low=1)["n"].to_pylist() == [2, 3]
    with pytest.raises(Exception, match="does not exist"):
        run_sql("SELECT * FROM nowhere", {"t": table})


def test_every_table_has_an_empty_reject_table_of_its_key() -> None:
    assert no_rejects(CLUSTER_MEMBER).schema.names == ["sample_id", "reason", "detail"]
    assert no_rejects(FETCH_PASS).schema.names == ["fetch_id", "pass", "reason", "detail"]
