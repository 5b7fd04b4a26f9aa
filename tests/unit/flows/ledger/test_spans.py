from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.ledger import digests, spans
from flows.ledger.digests import digest_columns
from flows.ledger.spans import count_reasons, write_rejects, write_spans
from schemas.tables import PLACE_TEXT
from stages.contract import rejects_table
from tests.unit.stages.test_rows import in_files


def rows(names: str) -> pa.Table:
    """Return one row per letter, each in the span of that name."""
    ids = [f"{n:04d}" for n in range(len(names))]
    table = {"caption_id": ids, "caption": [f"text {i}" for i in ids], "partition": list(names)}
    return pa.table(table).cast(PLACE_TEXT.schema)


@pytest.mark.parametrize("names", ["", "a", "bab", "aaaabbbbcccc", "c" * 9 + "ab" * 5, "abc" * 7])
@pytest.mark.parametrize("split_by", ["", "partition"])
def test_spans_are_the_same_for_tables_and_for_any_split_into_files(
    tmp_path: Path, names: str, split_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "BLOCK_ROWS", 4)
    monkeypatch.setattr(spans, "BLOCK_ROWS", 4)
    monkeypatch.setattr(spans, "_ROW_GROUP_ROWS", 2)
    table = rows(names)
    made = write_spans(tmp_path / "memory.parquet", PLACE_TEXT, table, split_by, "whole")
    again = write_spans(
        tmp_path / "files.parquet", PLACE_TEXT, in_files(tmp_path, table, len(names) // 3), split_by, "whole"
    )
    assert made == again and list(made) == (sorted(set(names)) if split_by else ["whole"])
    stored = pq.ParquetFile(tmp_path / "files.parquet")
    assert stored.read().equals(pq.read_table(tmp_path / "memory.parquet"))
    for name, span in made.items():
        groups = list(range(span["first_group"], span["first_group"] + span["n_groups"]))
        found = stored.read_row_groups(groups)
        own = table.filter(pa.array([not split_by or n == name for n in names], pa.bool_()))
        assert found.equals(own) and span["digests"] == digest_columns(own) and span["n_rows"] == own.num_rows


def test_rejects_in_files_are_written_and_counted_like_those_in_tables(tmp_path: Path) -> None:
    table = rejects_table(PLACE_TEXT, {"caption_id": list("abc")}, ["timeout", "no_score", "timeout"], ["x", "y", "z"])
    for name, rejects in (("memory", table), ("files", in_files(tmp_path, table, 1))):
        assert write_rejects(tmp_path / f"{name}.parquet", rejects) == digest_columns(table)
        assert count_reasons(rejects) == {"no_score": 1, "timeout": 2}
        assert pq.read_table(tmp_path / f"{name}.parquet").equals(table)
