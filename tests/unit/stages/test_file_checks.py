from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from stages.checks import check_outcome
from stages.contract import ContractError, Given, Outcome, Stage, no_rejects, rejects_table
from tests.contract.broken import GIVE, MADE, MAKE, SOUND_FAN_OUT
from tests.unit.stages.test_checks import CONTEXT, INPUTS, SOUND
from tests.unit.stages.test_rows import in_files

GIVEN = INPUTS["given"]
Change = Callable[[Outcome], Outcome]


def checked(stage: Stage, outcome: Outcome, folder: Path, given: pa.Table = GIVEN) -> str:
    """Return the fault of an outcome, which must be equal in memory and in files; "" if there is none."""
    faults = []
    rows = Outcome(
        in_files(folder / "kept", outcome.kept, 2 if outcome.kept.num_rows > 2 else 0),
        in_files(folder / "rejects", outcome.rejects),
        outcome.counts,
    )
    for tried, table in ((outcome, given), (rows, in_files(folder / "given", given, 3))):
        try:
            check_outcome(stage, {"given": table}, tried)
            faults.append("")
        except ContractError as error:
            faults.append(str(error))
    assert faults[0] == faults[1]
    return faults[0]


def repeated(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table.slice(0, 1)])


def with_column(table: pa.Table, name: str, values: list[Any], kind: pa.DataType | None = None) -> pa.Table:
    place = table.schema.names.index(name)
    return table.set_column(place, name, pa.array(values, kind or table.schema.field(name).type))


def no_value(outcome: Outcome) -> Outcome:
    name = next(f.name for f in MADE.schema if not f.nullable and f.name not in MADE.key)
    return replace(outcome, kept=with_column(outcome.kept, name, [None] * outcome.kept.num_rows))


BROKEN: dict[str, tuple[Change, str]] = {
    "neither kept nor rejected": (lambda o: replace(o, kept=o.kept.slice(2)), "2 given rows are neither"),
    "many lost": (lambda o: replace(o, kept=o.kept.slice(0, 0)), "6 given rows .*, …$"),
    "kept twice": (lambda o: replace(o, kept=repeated(o.kept)), "repeat a key|named more than once"),
    "rejected twice": (lambda o: replace(o, rejects=repeated(o.rejects)), "1 given rows are named more than once"),
    "belong to no given row": (
        lambda o: replace(o, rejects=with_column(o.rejects, "sample_id", ["odd"] * o.rejects.num_rows)),
        "neither kept nor rejected",
    ),
    "undeclared reason": (
        lambda o: replace(o, rejects=with_column(o.rejects, "reason", ["no_score"] * o.rejects.num_rows)),
        "reasons it does not declare: 'no_score'",
    ),
    "long detail": (
        lambda o: replace(o, rejects=with_column(o.rejects, "detail", ["ä" * 201] * o.rejects.num_rows)),
        "a detail of 201 characters",
    ),
    "null": (no_value, "6 nulls in kept rows, column"),
    "columns": (lambda o: replace(o, kept=o.kept.drop_columns(MADE.schema.names[-1])),
                "do not have the declared columns"),
}  # fmt: skip


def test_a_correct_outcome_passes(tmp_path: Path) -> None:
    assert checked(MAKE, SOUND, tmp_path) == ""


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_outcome_is_found_in_files_as_in_memory(tmp_path: Path, name: str) -> None:
    change, words = BROKEN[name]
    fault = ""
    try:
        fault = checked(MAKE, change(SOUND), tmp_path)
    except AssertionError:
        if (
            name != "kept twice"
        ):  # in files one aggregate first finds the key named twice; in memory the key itself is checked
            raise
        with pytest.raises(ContractError, match=words):
            rows = change(SOUND)
            kept = in_files(tmp_path / "again", rows.kept)
            check_outcome(MAKE, {"given": GIVEN}, replace(rows, kept=kept))
        return
    import re

    assert re.search(words, fault), fault


def test_given_keys_come_from_a_query_over_the_declared_inputs(tmp_path: Path) -> None:
    stage = replace(MAKE, given=Given(query="SELECT sample_id FROM given WHERE source_row >= 0", inputs=("given",)))
    assert checked(stage, SOUND, tmp_path) == ""
    other = replace(MAKE, given=Given(query="SELECT 'toy_0_00' AS sample_id"))
    with pytest.raises(ContractError, match="rows belong to no given row"):
        check_outcome(other, {}, replace(SOUND, kept=in_files(tmp_path / "kept", SOUND.kept)))


def test_a_key_given_many_times_is_named_once(tmp_path: Path) -> None:
    assert checked(replace(MAKE, grain="reduce"), SOUND, tmp_path, repeated(GIVEN)) == ""


def test_an_observation_may_leave_keys_to_a_later_stage(tmp_path: Path) -> None:
    stage = replace(MAKE, grain="observe")
    assert checked(stage, replace(SOUND, rejects=no_rejects(MADE)), tmp_path) == ""


def test_a_fan_out_may_repeat_a_given_key_but_not_its_own_key(tmp_path: Path) -> None:
    stage = SOUND_FAN_OUT[1]
    sound = stage.run(INPUTS, CONTEXT)
    assert checked(stage, sound, tmp_path / "sound") == ""
    twice = replace(sound, kept=repeated(sound.kept))
    assert "1 kept rows repeat a key" in checked(stage, twice, tmp_path / "twice")
    rejects = rejects_table(stage.writes, {"sample_id": ["toy_0_00"], "pass": [0]}, ["not_an_image"], ["none"])
    assert checked(stage, Outcome(sound.kept.slice(2), rejects), tmp_path / "rejected") == ""


def test_the_toy_stages_have_the_expected_inputs() -> None:
    assert GIVE.writes.schema.names == GIVEN.schema.names and GIVEN.num_rows == 12
