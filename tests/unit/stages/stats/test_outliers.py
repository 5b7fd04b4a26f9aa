from stages.stats.stage import TOTAL
from tests.small_build import Build


def test_the_overlap_adds_up_to_what_outlier_filtering_decided(finished: Build) -> None:
    rows = {row["source"]: row for row in finished.rows("outlier_overlap")}
    funnel = {row["source"]: row for row in finished.rows("pub11_funnel")}
    for source, row in rows.items():
        removed = row["n_low_vlm_alone"] + row["n_low_detector_alone"] + row["n_low_both"] + row["n_unscored"]
        assert removed == funnel[source]["outlier"]
        assert row["n_judged"] - removed == funnel[source]["remain"]
    total = rows[TOTAL]
    assert total["n_judged"] == sum(row["n_judged"] for row in rows.values()) - total["n_judged"] > 0


def test_the_cells_have_all_pairs_and_the_published_ones(finished: Build) -> None:
    cells = {(row["top_vlm"], row["top_detector"]): row for row in finished.rows("outlier_cell")}
    assert len(cells) == 81
    # The small build keeps the top 95 % of both.
    (total,) = [row for row in finished.rows("pub11_funnel") if row["source"] == TOTAL]
    assert cells[95, 95]["n_left"] == total["remain"]
    assert cells[100, 100]["left_share"] == 1
    published = {pair: row["published_n_left"] for pair, row in cells.items() if row["published_n_left"] is not None}
    assert published[90, 80] == 3_007_809 and published[100, 100] == 4_019_225 and len(published) == 7
    assert cells[90, 80]["published_left_share"] == 0.7484
