"""In a real browser the counts on the page of outliers equal those of the tables at any sliders."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from flows.ask.views import open_views
from flows.page import outliers as module
from flows.page.album import Album
from flows.page.outliers import write_outliers
from flows.page.section import Picture
from stages.outliers.stage import quantile_threshold
from tests.small_build import Build
from tests.unit.flows.rate.browser import CHROMIUM, opened

WORST = (
    "</script><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>{{ 7*7 }}"
    "\u202e\x00\ud800"
)
JUDGED = """
    SELECT s.corpus, v.vlm_score_cos, d.detector_prob FROM survivor JOIN sample s USING (sample_id)
    JOIN image i ON i.image_id = s.image_id LEFT JOIN vlm_score v USING (pixel_sha256)
    LEFT JOIN detector_score d USING (pixel_sha256) WHERE s.half = 'pub11'
"""
ROWS = (
    "JSON.stringify(Object.fromEntries([...document.querySelectorAll('#counts tbody tr')]"
    ".map((row) => [row.dataset.corpus, {...row.dataset}])))"
)
TEXT = "document.getElementById('{}').textContent"
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt install chromium")


def counted(build: Build, vlm: float, detector: float) -> dict[str, dict[str, int]]:
    """Return the counts by corpus from SQL over the tables."""
    with open_views(build.ledger()) as db:
        rows = db.execute(
            f"""SELECT coalesce(corpus, 'Total'), count(*), count_if(vlm_score_cos >= $v AND detector_prob >= $d),
                       count_if(vlm_score_cos < $v AND detector_prob >= $d),
                       count_if(vlm_score_cos >= $v AND detector_prob < $d),
                       count_if(vlm_score_cos < $v AND detector_prob < $d)
                FROM ({JUDGED}) GROUP BY ROLLUP (corpus)""",
            {"v": vlm, "d": detector},
        ).fetchall()
    names = ("judged", "kept", "only_vlm", "only_detector", "both")
    return {corpus: dict(zip(names, figures, strict=True)) for corpus, *figures in rows}


@needs_browser
def test_counts_at_the_sliders_equal_the_tables_and_the_setting_is_printed(finished: Build, tmp_path: Path) -> None:
    path = tmp_path / "outliers.html"
    assert write_outliers(finished.ledger(), finished.sources, path) == []
    with open_views(finished.ledger()) as db:
        scores = db.execute(f"SELECT vlm_score_cos, detector_prob FROM ({JUDGED})").fetchnumpy()
    with opened(tmp_path / "profile") as page:
        seen = set()
        for number, wanted in enumerate(((-1.0, 0.0), (0.1, 0.5), (0.3, 0.9))):
            page.open(f"{path.as_uri()}?{number}#vlm={wanted[0]}&det={wanted[1]}")
            page.wait(f"location.search === '?{number}' && {TEXT.format('total')} !== ''")
            said = page.value(TEXT.format("set"))
            vlm, detector = (
                float(re.search(f"{name}=([-.e0-9]+)", said)[1]) for name in ("min_vlm_score_cos", "min_detector_prob")
            )  # type: ignore[index]
            rows = json.loads(page.value(ROWS))
            expected = counted(finished, vlm, detector)
            found = {corpus: {k: int(row[k]) for k in expected["Total"]} for corpus, row in rows.items()}
            assert found == expected
            seen.add(expected["Total"]["kept"])
            shares = page.value(TEXT.format("quantile"))
            if shares.startswith("SET"):
                for least, name, column in (
                    (vlm, "top_share_vlm", "vlm_score_cos"), (detector, "top_share_detector", "detector_prob")
                ):  # fmt: skip
                    values = np.asarray(scores[column], float)
                    share = float(re.search(f"{name}=([-.e0-9]+)", shares)[1])  # type: ignore[index]
                    assert (values >= quantile_threshold(values, share)).sum() == (values >= least).sum()
            n_shown = {
                side: page.value(f"document.querySelectorAll('#{side} li img').length") for side in ("kept", "removed")
            }
            assert (n_shown["kept"] > 0) == (expected["Total"]["kept"] > 0)
            assert (n_shown["removed"] > 0) == (expected["Total"]["kept"] < expected["Total"]["judged"])
        assert len(seen) > 1
        page.value("document.getElementById('slide-vlm').focus()")
        before = page.value("location.hash")
        page.value("document.getElementById('slide-vlm').stepUp(3)")
        page.value("document.getElementById('slide-vlm').dispatchEvent(new Event('input'))")
        assert page.value("location.hash") != before
        page.value("document.querySelector('[data-at]:nth-of-type(1)').click()")  # both sliders at 100 %
        assert page.value(TEXT.format("share-vlm")) == page.value(TEXT.format("share-detector")) == "keeps 100.0 %"


@needs_browser
def test_hostile_captions_are_text(finished: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Album, "picture", lambda self, row, lines: Picture("", [WORST]))
    monkeypatch.setattr(module, "_cut", lambda text: WORST)
    path = tmp_path / "outliers.html"
    write_outliers(finished.ledger(), finished.sources, path)
    text = path.read_text(encoding="utf-8")
    assert text.count("</script>") == 2 and "<img" not in text and "\u202e" not in text
    with opened(tmp_path / "profile") as page:
        page.open(path.as_uri())
        page.wait(f"{TEXT.format('total')} !== ''")
        assert page.value("document.title").startswith("Outliers of an RS5M rebuild")
        shown = page.value("document.querySelector('#kept li').innerText")
        assert "<img src=x onerror=" in shown and "{{ 7*7 }}\\u202e\\u0000\\ud800" in shown


def test_an_unfinished_build_says_what_is_missing_and_shows_one_slider_for_one_score(
    finished: Build, tmp_path: Path
) -> None:
    path = tmp_path / "outliers.html"
    other = finished.with_settings(outliers={"detector_batch_size": 3})  # the detector's scores do not exist yet
    (note,) = write_outliers(other.ledger(), other.sources, path)
    assert "detector_score is not complete yet (make stage-outliers)" in note
    text = path.read_text(encoding="utf-8")
    assert note in text and 'id="slide-vlm"' in text and 'id="slide-detector"' not in text
    alone = finished.with_settings(outliers={"detector": "none"})
    (note,) = write_outliers(alone.ledger(), alone.sources, path)
    assert "no model gives it (outliers.detector = none); it refuses nothing" in note
    none = finished.with_settings(dedup={"max_distance": 1})
    notes = write_outliers(none.ledger(), none.sources, path)
    text = path.read_text(encoding="utf-8")
    assert "Not made yet: survivor (make stage-dedup)." in notes and "<script" not in text


def test_number_and_size_of_pictures_are_bounded(
    finished: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_BYTES", 5_000)
    path = tmp_path / "outliers.html"
    write_outliers(finished.ledger(), finished.sources, path)
    n = path.read_text(encoding="utf-8").count("data:image/jpeg;base64,")
    assert 1 <= n < 10
