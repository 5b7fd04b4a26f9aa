"""A pilot takes a slice of the rows by hash of URL; the full build after it only fetches the other URLs."""

from pathlib import Path

from flows.run.executor import InlineExecutor
from stages.slices import belongs
from tests.small_build import Build, Web

MODULES = ("inventory", "filter", "plan", "download")


def test_a_full_build_after_a_pilot_reuses_its_downloads(small_sources: Path, small_web: Web, tmp_path: Path) -> None:
    build = Build(tmp_path / "build", small_sources)
    pilot = build.with_settings(inventory={"pilot": 0.4})
    pilot.run(InlineExecutor(), MODULES)
    few = pilot.rows("candidate", ("sample_id", "url"))
    reached = {row["fetch_id"] for row in pilot.rows("fetched", ("fetch_id",))}
    before = small_web.requests.copy()
    build.run(InlineExecutor(), MODULES)
    rows = build.rows("candidate", ("sample_id", "url"))
    assert 0 < len(few) < len(rows)
    assert few == [row for row in rows if belongs(row["url"], 0.4)]
    assert 0 < len(reached) < len(build.rows("fetched", ("fetch_id",)))
    attempts = build.rows("fetch_attempt", ("fetch_id", "is_fetched"))
    n_fetched = [sum(row["fetch_id"] == one and row["is_fetched"] for row in attempts) for one in reached]
    assert n_fetched == [1] * len(reached)
    assert (small_web.requests - before).total() < small_web.requests.total()
