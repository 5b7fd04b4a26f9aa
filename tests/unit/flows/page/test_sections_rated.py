from flows.page.sections_rated import NOBODY, judged

RESULTS = {
    "audit_outliers.csv": "stratum,decision,judged\nkept,kept,20\n<b>,removed,0\n",
    "audit_outliers.md": "| stratum |\n",
    "audit_outliers_rates.csv": "rate,value,low,high\nprecision,0.9,0.7,0.97\nrecall,,,\n",
    "rating.csv": "question,subset,mean\nfluency,Total,4.5\n",
}


def test_every_table_of_ratings_and_audits_is_shown_with_its_rows() -> None:
    figures = judged(RESULTS).figures
    assert [figure.caption for figure in figures] == [
        "Audit of outliers: judged samples, by stratum; 2 rows.",
        "Audit of outliers: precision and recall with 95 % limits, weighted by stratum; 2 rows.",
        "Rating of captions, 1 to 5 (5 is best), beside the published one; 1 row.",
    ]
    assert figures[1].columns == ["rate", "value", "low", "high"]
    assert figures[1].rows == [["precision", 0.9, 0.7, 0.97], ["recall", None, None, None]]
    assert figures[1].numeric == [False, True, True, True]


def test_columns_are_named_in_words() -> None:
    (figure,) = judged({"audit_gpe.csv": "stratum,yes_percent_low\none,9.5\n"}).figures
    assert figure.columns == ["stratum", "yes percent low"] and figure.rows == [["one", 9.5]]


def test_a_build_that_nobody_judged_says_so() -> None:
    section = judged({})
    assert section.missing == NOBODY and not section.figures
