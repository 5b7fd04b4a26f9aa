from flows.ask.report import Report
from flows.ask.statistics import published_below, statistics_for_people
from tests.small_build import Build


def test_published_figures_stand_below_those_of_the_build_where_there_are_any() -> None:
    columns = ("source", "n", "remain", "published_n")
    rows = ({"source": "a", "n": 1, "remain": 1, "published_n": 5}, {"source": "b", "n": 2, "remain": 0})
    found = published_below(Report("funnel", columns, rows))
    assert (found.title, found.columns) == ("funnel", ("source", "build", "n", "remain"))
    assert found.rows == (
        {"source": "a", "build": "this one", "n": 1, "remain": 1},
        {"source": "", "build": "published", "n": 5},
        {"source": "b", "build": "this one", "n": 2, "remain": 0},
    )


def test_people_get_the_largest_rows_of_long_statistics_first(finished: Build) -> None:
    found = {report.title.partition(" (the ")[0]: report for report in statistics_for_people(finished.ledger())}
    of_both = [report for report in found.values() if "n_pub11" in report.columns and "n_rs3" in report.columns]
    counts = [[int(str(row["n_pub11"])) + int(str(row["n_rs3"])) for row in report.rows] for report in of_both]
    assert counts and all(0 < len(one) <= 12 and one == sorted(one, reverse=True) for one in counts)
    assert {row["build"] for row in found["PUB11 funnel"].rows} == {"this one", "published"}
