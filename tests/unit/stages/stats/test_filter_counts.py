"""Counts of the filter add up by source file and keyword, and the crosswalk has the corpora's own names."""

from collections import Counter

import pyarrow.compute as pc
import pytest

from flows.ask.explain import explain
from stages.contract import Context, ContractError
from stages.stats.filter_counts import COUNT_SOURCES, count_sources
from stages.stats.stage import TOTAL
from tests.small_build import Build


def test_every_source_file_adds_up(finished: Build) -> None:
    rows = finished.rows("source_count")
    assert [row["partition_name"] for row in rows] == [
        "cc3m-00000", "coyo700m-00000", "laion2b-00000", "laion2b-00001",
    ]  # fmt: skip
    kept = Counter(row["sample_id"].split("_")[0] for row in finished.rows("candidate", ("sample_id",)))
    for code, n_kept in kept.items():
        assert sum(row["n_rows_kept"] for row in rows if row["corpus"] == code) == n_kept
    assert all(row["n_rows_given"] > row["n_rows_kept"] > 0 for row in rows)


def test_wrong_counts_are_a_fault_of_the_code(finished: Build) -> None:
    ledger = finished.ledger()
    inputs = {reads.name: ledger.read(reads) for reads in COUNT_SOURCES.reads}
    counts = inputs["candidate_counts"]
    inputs["candidate_counts"] = counts.filter(pc.not_equal(counts["reason"], "kept"))
    with pytest.raises(ContractError, match="source_count does not add up"):
        count_sources(inputs, Context("whole", None, None, {}, None, finished.sources))  # type: ignore[arg-type]


def test_keywords_are_counted_by_corpus_and_in_total(finished: Build) -> None:
    rows = finished.rows("keyword_count")
    total = {row["pattern"]: row["n_captions"] for row in rows if row["source"] == TOTAL}
    parts: Counter[str] = Counter()
    for row in rows:
        assert 0 <= row["n_strict"] <= row["n_captions"]
        if row["source"] != TOTAL:
            parts[row["pattern"]] += row["n_captions"]
    assert total == parts
    candidates = finished.rows("candidate", ("keywords",))
    assert total == Counter(keyword for row in candidates for keyword in row["keywords"])


def test_every_sample_is_in_the_crosswalk_with_its_corpuss_own_name(finished: Build) -> None:
    rows = {row["sample_id"]: row for row in finished.rows("crosswalk")}
    candidates, labelled = finished.rows("candidate"), finished.rows("labelled_image", ("sample_id", "path"))
    assert set(rows) == {row["sample_id"] for row in (*candidates, *labelled)}
    for row in candidates:
        found = rows[row["sample_id"]]
        assert (found["original_name"], found["source_row"]) == (row["native_id"], row["source_row"])
        assert found["url"] == row["url"]
    for row in labelled:
        name = rows[row["sample_id"]]["original_name"]
        assert name in row["path"] and "/" not in name and not name.endswith(".jpg")


def test_a_crosswalk_row_is_shown_by_explain(finished: Build) -> None:
    lines = explain(finished.ledger(), "laion2b_0_1", None)
    assert any(line.startswith("write_crosswalk: kept") for line in lines) or any("REJECTED" in line for line in lines)
