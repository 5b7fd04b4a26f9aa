from typing import Any

import pytest

from flows.intervals import wilson
from flows.rate.labels import Judgement
from flows.rate.questions import AUDITS, RATING, Task
from flows.rate.sample import Drawn, Item, Stratum
from flows.rate.tables import reports, unresolved_items


def make_drawn(*strata: Stratum) -> Drawn:
    items = [Item(f"{s.name} {n}", s.name, s.decision, "x", None) for s in strata for n in range(s.n_drawn)]
    return Drawn(strata, tuple(items))


def labels_of(question: str, *said: tuple[str, str, str]) -> dict[tuple[str, str], Judgement]:
    return {(rater, item): Judgement(item, rater, {question: answer}, "x") for rater, item, answer in said}


def audit(task: Task, drawn: Drawn, n_yes: dict[str, int]) -> dict[str, list[Any]]:
    said = []
    for item in drawn.items:
        answer = "yes" if int(item.item.rsplit(" ", 1)[1]) < n_yes[item.stratum] else "no"
        said += [(rater, item.item, answer) for rater in ("Ann", "Bea")]
    return {name: list(report.rows) for name, report in reports(task, drawn, labels_of("is_right", *said)).items()}


OUTLIERS = make_drawn(
    Stratum("kept", "kept", 900, 50), Stratum("kept, near a threshold", "kept", 100, 50),
    Stratum("low by both", "rejected", 250, 100),
)  # fmt: skip


def test_rates_are_weighted_by_stratum() -> None:
    found = audit(AUDITS["outliers"], OUTLIERS, {"kept": 45, "kept, near a threshold": 10, "low by both": 4})
    precision, recall = found["audit_outliers_rates"]
    assert (precision["rate"], precision["percent"], precision["n_judged"]) == ("precision", 83.0, 100)
    assert (recall["rate"], recall["percent"]) == ("recall", 98.8)  # 830 / (830 + 250 x 4 %)
    assert precision["alpha"] == 1.0 and precision["n_by_two_raters"] == 200 and precision["n_raters"] == 2
    near = found["audit_outliers"][1]
    limits = wilson(10, 50)
    assert (near["yes_percent"], near["yes_percent_low"], near["yes_percent_high"]) == (
        20.0, round(100 * limits.low, 1), round(100 * limits.high, 1),
    )  # fmt: skip
    assert precision["n_for_1_points"] > precision["n_for_5_points"] > 0


def test_outliers_are_printed_in_the_published_form() -> None:
    found = audit(AUDITS["outliers"], OUTLIERS, {"kept": 45, "kept, near a threshold": 10, "low by both": 4})
    kept, removed = found["audit_outliers_table_xv"]
    assert (kept["n"], kept["n_wrong"], kept["wrong_percent"], kept["published_wrong_percent"]) == (100, 45, 17.0, 0.8)
    assert (removed["n"], removed["n_wrong"], removed["wrong_percent"], removed["published_n_wrong"]) == (
        100, 4, 4.0, 169,
    )  # fmt: skip


def test_precision_of_dedup_is_measured_on_removed_samples() -> None:
    drawn = make_drawn(Stratum("kept", "kept", 1_000, 20), Stratum("near_duplicate", "rejected", 100, 20))
    precision, recall = audit(AUDITS["dedup"], drawn, {"kept": 1, "near_duplicate": 18})["audit_dedup_rates"]
    assert (precision["percent"], recall["percent"]) == (90.0, round(100 * 90 / (90 + 50), 1))


def test_the_filter_has_no_recall() -> None:
    drawn = make_drawn(Stratum("cc3m", "kept", 1_000, 20))
    assert [r["rate"] for r in audit(AUDITS["filter"], drawn, {"cc3m": 19})["audit_filter_rates"]] == ["precision"]
    assert "recall cannot be stated" in AUDITS["filter"].note


def test_disagreements_are_counted_separately_and_a_rate_needs_answers_in_every_stratum() -> None:
    drawn = make_drawn(Stratum("kept", "kept", 10, 2), Stratum("low", "rejected", 10, 1))
    labels = labels_of(
        "is_right", ("Ann", "kept 0", "yes"), ("Bea", "kept 0", "no"), ("Ann", "kept 1", "yes"),
        ("Bea", "kept 1", "unsure"), ("Ann", "of another sample", "no"),
    )  # fmt: skip
    found = reports(AUDITS["gpe"], drawn, labels)
    kept, low = found["audit_gpe"].rows
    assert (kept["judged"], kept["unresolved"], kept["yes"]) == (1, 1, 1)
    assert (low["judged"], low["yes_percent"]) == (0, None)
    precision, recall = found["audit_gpe_rates"].rows
    assert (precision["percent"], recall["percent"], recall["n_for_5_points"]) == (100.0, None, None)
    assert unresolved_items(AUDITS["gpe"], drawn, labels) == ["kept 0"]


def test_ratings_are_printed_per_subset_beside_the_published_ones() -> None:
    drawn = make_drawn(Stratum("ben", "kept", 344_385, 2), Stratum("fmow", "kept", 727_144, 2))
    labels = labels_of(
        "relevance", ("Ann", "ben 0", "5"), ("Bea", "ben 0", "4"), ("Ann", "ben 1", "unsure"), ("Ann", "fmow 0", "2"),
        ("Bea", "fmow 0", "2"),
    )  # fmt: skip
    rows = {(row["question"], row["subset"]): row for row in reports(RATING, drawn, labels)["rating"].rows}
    ben, total = rows["relevance", "ben"], rows["relevance", "Total"]
    assert (ben["mean"], ben["deviation"], ben["n_captions"], ben["n_ratings"], ben["n_unsure"]) == (4.5, 0.71, 1, 2, 1)
    assert (ben["published_mean"], ben["published_n"], ben["published_deviation"]) == (4.41, 310, None)
    assert (total["mean"], total["published_mean"], total["published_deviation"]) == (3.25, 4.53, 0.69)
    assert (total["n_by_two_raters"], total["n_raters"], total["n_level_2"], total["n_level_5"]) == (2, 2, 2, 1)
    # By hand: values 2, 2, 4, 5; one pair (4, 5) at distance 1; expected 2 x 2.25 + 2 x 6.25 + 1 = 18 of 3.
    assert total["alpha"] == pytest.approx(1 - 3 / 18, abs=5e-4)
    assert rows["fluency", "Total"]["mean"] is None and rows["fluency", "Total"]["published_mean"] == 4.94
