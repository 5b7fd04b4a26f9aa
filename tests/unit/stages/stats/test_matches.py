import math

import pytest

from stages.stats.matches import BINS_A_UNIT, TOP_PERCENTS
from stages.stats.stage import TOTAL
from tests.small_build import Build


def _cosines(build: Build) -> dict[str, list[tuple[float, float]]]:
    corpora = {row["sample_id"]: row["corpus"] for row in build.rows("sample")}
    found: dict[str, list[tuple[float, float]]] = {TOTAL: []}
    for row in build.rows("caption_rank"):
        if row["caption_cos"] is not None:
            for source in (TOTAL, corpora[row["sample_id"]]):
                found.setdefault(source, []).append((row["caption_cos"], row["caption_top_share"]))
    return found


def test_every_scored_sample_is_in_one_bin_of_its_corpus_and_of_the_total(finished: Build) -> None:
    rows = finished.rows("caption_cos_bin")
    assert len(_cosines(finished)[TOTAL]) > 20
    for source, own in _cosines(finished).items():
        expected: dict[int, int] = {}
        for cosine, _ in own:
            least = math.floor(cosine * BINS_A_UNIT)
            expected[least] = expected.get(least, 0) + 1
        found = {round(row["least_cos"] * BINS_A_UNIT): row["n_matched"] for row in rows if row["source"] == source}
        assert found == expected and sum(found.values()) == len(own)


def test_tiers_nest_and_the_last_has_all(finished: Build) -> None:
    rows = {(row["source"], row["top_percent"]): row for row in finished.rows("caption_tier")}
    cosines = _cosines(finished)
    assert set(rows) == {(source, top) for source in cosines for top in TOP_PERCENTS}
    for (source, top), row in rows.items():
        own = [cosine for cosine, share in cosines[source] if share <= top / 100]
        assert row["n_matched"] == len(own)
        assert (row["least_caption_cos"] is None) == (not own)
        if own:
            assert row["least_caption_cos"] == pytest.approx(min(own), abs=1e-4)
            assert row["mean_caption_cos"] == pytest.approx(sum(own) / len(own), abs=1e-4)
    assert rows[TOTAL, 100]["n_matched"] == len(cosines[TOTAL]) > rows[TOTAL, 50]["n_matched"] > 0
