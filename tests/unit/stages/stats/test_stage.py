from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from schemas.fields import FIELD
from schemas.manifests import load_published
from stages import STAGES
from stages.contract import COUNTS_SCHEMA, Context, ContractError, Tool
from stages.stats.stage import COUNT_FUNNEL, TOTAL
from tests.contract.inputs import HANDMADE, call_stage
from tests.small_build import Build

FIGURES = ("rows", "keyword", "downloaded", "invalid", "duplicate", "outlier", "remain")


def published_as(factor: int) -> Any:
    """Return the published figures multiplied by a factor."""
    published = load_published()
    rows = [row.model_copy(update={name: getattr(row, name) * factor for name in FIGURES}) for row in published.funnel]
    return published.model_copy(update={"funnel": tuple(rows)})


def count(build: Build, published: Any) -> list[dict[str, Any]]:
    ledger = build.ledger()
    inputs = {reads.name: ledger.read(reads) for reads in COUNT_FUNNEL.reads}
    outcome = COUNT_FUNNEL.run(inputs, Context("whole", None, None, {"published": published}, None, Path()))  # type: ignore[arg-type]
    return outcome.kept.to_pylist()


def test_published_figures_only_affect_the_published_columns(finished: Build) -> None:
    one, other = count(finished, load_published()), count(finished, published_as(3))
    assert [row["source"] for row in one] == [row["source"] for row in other] == ["laion2b", "coyo700m", "cc3m", TOTAL]
    for before, after in zip(one, other, strict=True):
        for name in (*FIGURES, "unpublished", "opted_out", "unsafe"):
            assert before[name] == after[name]
        for name in FIGURES:
            assert after[f"published_{name}"] == 3 * before[f"published_{name}"]


def test_changed_published_figures_only_make_the_funnel_stale(finished: Build) -> None:
    @contextmanager
    def opened(params: Any, resources: Any) -> Iterator[Any]:
        yield published_as(2)

    other = replace(COUNT_FUNNEL, tools=(Tool("published", lambda params: {"sha256": "other"}, opened),))
    stages = tuple(other if stage is COUNT_FUNNEL else stage for stage in STAGES)
    ledger = Build(finished.root, finished.sources, finished.sections, stages).ledger()
    assert [s.name for s in stages if ledger.state(s).due] == ["count_funnel"]


def test_every_row_adds_up_and_the_total_is_the_sum(finished: Build) -> None:
    rows = finished.rows("pub11_funnel")
    assert len(rows) == 4
    for row in rows:
        assert row["downloaded"] - row["invalid"] - row["duplicate"] - row["outlier"] == row["remain"]
        assert row["rows"] >= row["keyword"] >= row["downloaded"] >= row["remain"] > 0
    total = next(row for row in rows if row["source"] == TOTAL)
    for name in (*FIGURES, "unpublished", "opted_out", "unsafe"):
        assert total[name] == sum(row[name] for row in rows if row is not total)
    assert [total[name] for name in FIGURES] == [62, 54, 50, 2, 6, 4, 38]


def test_an_unpublished_corpus_has_no_published_figures(tmp_path: Path) -> None:
    _, outcome = call_stage(COUNT_FUNNEL, tmp_path)
    rows = {row["source"]: row for row in outcome.kept.to_pylist()}
    assert rows["laion2b"]["published_rows"] is None and rows["cc3m"]["published_rows"] == 100
    assert {name: rows["cc3m"][name] for name in (*FIGURES, "unpublished")} == {
        "rows": 9,
        "keyword": 2,
        "downloaded": 1,
        "invalid": 0,
        "duplicate": 0,
        "outlier": 0,
        "remain": 1,
        "unpublished": 1,
    }
    assert [rows[name]["unsafe"] for name in ("cc3m", "laion2b", TOTAL)] == [0, 1, 1]


@pytest.mark.parametrize(
    ("reason", "n"), [("robots_disallows", 1), ("opted_out", 1), ("disallowed_by_header", 0), ("http_not_found", 0)]
)
def test_opt_outs_are_counted_separately_and_not_as_downloaded(tmp_path: Path, reason: str, n: int) -> None:
    with HANDMADE["count_funnel"](tmp_path) as handmade:
        rows = dict(handmade.rows)
    before = _counted(rows)
    (lost,) = {row["image_id"] for row in rows["sample"]} - {row["fetch_id"] for row in rows["fetched"]}
    rows["fetched_rejects"] = [{"fetch_id": lost, "reason": reason}]
    after = _counted(rows)
    assert before["cc3m"]["opted_out"] == 0
    assert after["cc3m"] == {**before["cc3m"], "opted_out": n}
    assert after[TOTAL] == {**before[TOTAL], "opted_out": n}


def test_a_placeholder_counts_as_downloaded_and_invalid(tmp_path: Path) -> None:
    with HANDMADE["count_funnel"](tmp_path) as handmade:
        rows = dict(handmade.rows)
    taken = {row["fetch_id"] for row in rows["fetched"]}
    (lost,) = {row["image_id"] for row in rows["sample"] if row["corpus"] == "cc3m"} - taken
    before = _counted(rows)["cc3m"]
    rows["fetched_rejects"] = [{"fetch_id": lost, "reason": "placeholder"}]
    changed = {"downloaded": before["downloaded"] + 1, "invalid": before["invalid"] + 1}
    assert _counted(rows)["cc3m"] == {**before, **changed}
    rows["fetched_rejects"] = [{"fetch_id": lost, "reason": "http_not_found"}]
    assert _counted(rows)["cc3m"] == before


def test_a_lists_own_row_counts_neither_named_nor_labelled_samples(tmp_path: Path) -> None:
    with HANDMADE["count_funnel"](tmp_path) as handmade:
        rows = dict(handmade.rows)
    partition = "rs5m-00000"
    rows["source_listing"] = [{"corpus": "rs5m", "partition": partition}]
    n_named = len(rows["candidate"])
    rows["candidate_rejects"] = [{"corpus": "rs5m"}] * 5  # of labelled images

    def counts(n_given: int) -> list[dict[str, Any]]:
        found = {"given": n_given, "kept": n_named, "labelled_sample": 5, "unknown_corpus": n_given - n_named - 5}
        return [{"partition": partition, "reason": reason, "n": n} for reason, n in found.items()]

    rows["candidate_counts"] = counts(n_named + 5)
    found = _counted(rows)
    assert "rs5m" not in found and found[TOTAL]["rows"] == n_named > 0
    rows["candidate_counts"] = counts(n_named + 7)
    found = _counted(rows)
    assert found["rs5m"]["rows"] == 2 and found[TOTAL]["rows"] == n_named + 2


def _counted(rows: Any) -> dict[str, dict[str, Any]]:
    tables = {reads.name: _table(reads, rows) for reads in COUNT_FUNNEL.reads}
    context = Context("whole", None, None, {"published": load_published()}, None, Path())  # type: ignore[arg-type]
    return {row["source"]: row for row in COUNT_FUNNEL.run(tables, context).kept.to_pylist()}


def _table(reads: Any, rows: Any) -> pa.Table:
    if reads.section == "counts":
        return pa.Table.from_pylist(rows[reads.name], COUNTS_SCHEMA)
    schema = pa.schema([(name, FIELD[name].type) for name in reads.columns])
    return pa.Table.from_pylist(rows.get(reads.name, []), schema)


def test_a_funnel_that_does_not_add_up_stops_the_run(tmp_path: Path) -> None:
    with HANDMADE["count_funnel"](tmp_path) as handmade:
        rows = {**handmade.rows, "relevant": []}

    with pytest.raises(ContractError, match="pub11_funnel does not add up for cc3m: 1 against 0"):
        _counted(rows)
