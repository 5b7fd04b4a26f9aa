"""A stage that only queries its inputs gives the same output for files as for tables in memory."""

from pathlib import Path

import pyarrow as pa
import pytest

from flows.ledger.spans import write_spans
from stages import STAGES
from stages.checks import check_outcome
from stages.contract import Inputs, Outcome, Stage
from stages.rows import FileRows, Rows
from tests.contract.inputs import call_stage
from tests.unit.stages.test_rows import in_files

QUERIED = [stage for stage in STAGES if stage.is_queried]


def test_stages_over_whole_tables_query_files() -> None:
    # Small tables that are not queried: lists of source files, of patches, prompts, withdrawn entries, listed hashes.
    small = {"source_listing", "source_file", "prompt", "withdrawal", "listed_hash", "barred_sample"}
    whole = {
        s.name for s in STAGES if any(r.is_whole and r.table not in small and r.section != "counts" for r in s.reads)
    }
    assert whole <= {stage.name for stage in QUERIED} and len(QUERIED) >= 20


@pytest.mark.parametrize("stage", QUERIED, ids=[stage.name for stage in QUERIED])
def test_rows_and_spans_are_the_same_from_files(stage: Stage, tmp_path: Path) -> None:
    def into_files(inputs: Inputs) -> Inputs:
        whole = {reads.name for reads in stage.reads if reads.is_whole and reads.section != "counts"}
        return {n: in_files(tmp_path / n, t, t.num_rows // 2) if n in whole else t for n, t in inputs.items()}

    _, expected = call_stage(stage, tmp_path / "memory")
    files, found = call_stage(stage, tmp_path / "files", into_files)
    check_outcome(stage, files, found)
    assert found.counts == expected.counts
    assert _table(found.kept).equals(_table(expected.kept))
    assert _table(found.rejects).equals(_table(expected.rejects))
    assert _spans(stage, found, tmp_path / "a.parquet") == _spans(stage, expected, tmp_path / "b.parquet")


def _table(rows: Rows) -> pa.Table:
    table = pa.concat_tables([rows.schema.empty_table(), *rows.batches()]) if isinstance(rows, FileRows) else rows
    return table.cast(pa.schema([(field.name, field.type) for field in table.schema])).combine_chunks()


def _spans(stage: Stage, outcome: Outcome, path: Path) -> object:
    return write_spans(path, stage.writes, outcome.kept, stage.split_by, "whole")
