import pyarrow as pa
import pytest

from schemas.fields import FIELD
from schemas.manifests import load_published
from stages.stats.rates import COUNT_RATES
from tests.small_build import Build

FIGURES = ("keyword", "downloaded", "invalid", "duplicate", "outlier")


def test_the_published_rates_are_those_of_the_step_before() -> None:
    published = [row.model_dump() for row in load_published().funnel]
    rows = [
        {"source": row["source"], **dict.fromkeys(FIGURES, 0), **{f"published_{name}": row[name] for name in FIGURES}}
        for row in published
    ]
    schema = pa.schema([(name, FIELD[name].type) for name in rows[0]])
    outcome = COUNT_RATES.run({"pub11_funnel": pa.Table.from_pylist(rows, schema)}, None)  # type: ignore[arg-type]
    total = next(row for row in outcome.kept.to_pylist() if row["source"] == "Total")
    assert total["published_downloaded_share"] == pytest.approx(0.857, abs=5e-4)
    assert total["published_duplicate_share"] == pytest.approx(0.234, abs=5e-4)
    assert total["published_outlier_share"] == pytest.approx(0.252, abs=5e-4)
    assert total["downloaded_share"] is None  # nothing has a keyword


def test_rates_are_shares_of_what_the_step_before_left(finished: Build) -> None:
    funnel = {row["source"]: row for row in finished.rows("pub11_funnel")}
    rates = finished.rows("pub11_rate")
    assert {row["source"] for row in rates} == set(funnel)
    for row in rates:
        of = funnel[row["source"]]
        assert row["downloaded_share"] == pytest.approx(of["downloaded"] / of["keyword"], abs=1e-4)
        left = of["remain"] + of["outlier"]
        assert row["outlier_share"] == (pytest.approx(of["outlier"] / left, abs=1e-4) if left else None)
