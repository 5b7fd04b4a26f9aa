import pytest

from stages.stats.stage import TOTAL
from tests.small_build import Build


def test_every_published_image_is_in_one_bin_of_each_side(finished: Build) -> None:
    rows = finished.rows("image_size")
    (total,) = [row for row in finished.rows("text_count") if row["source"] == TOTAL]
    for side in ("width", "height"):
        own = [row for row in rows if row["dimension"] == side]
        assert [row["least_px"] for row in own] == [0, 128, 256, 512, 1024]
        assert sum(row["n_pub11"] + row["n_rs3"] for row in own) == total["samples"]
        assert sum(row["size_share"] for row in own) == pytest.approx(1, abs=1e-3)
        assert sum(row["published_size_share"] for row in own) == pytest.approx(1, abs=1e-3)


def test_words_are_counted_between_white_space(finished: Build) -> None:
    rows = {row["source"]: row for row in finished.rows("caption_length")}
    texts = [row["published_text"] for row in finished.rows("metafile", ("sample_id", "published_text"))]
    lengths = [len(text.split()) for text in texts]
    assert rows[TOTAL]["samples"] == len(texts) and rows[TOTAL]["max_words"] == max(lengths)
    assert rows[TOTAL]["mean_words"] == pytest.approx(sum(lengths) / len(lengths), abs=0.01)
    assert (rows[TOTAL]["published_mean_words"], rows[TOTAL]["published_max_words"]) == (49, 3248)
    assert all(row["published_max_words"] is None for source, row in rows.items() if source != TOTAL)
