import re
from pathlib import Path

import pytest

from flows.page import page as module
from flows.page.page import write_page
from flows.page.section import Figure, Section
from tests.small_build import Build
from tests.unit.flows.rate.browser import CHROMIUM, opened

WORST = "<img src=x onerror=alert(1)>{{ 7*7 }}</td><script>alert(2)</script>\u202e\x00\ud800"


@pytest.fixture(scope="module")
def page(finished: Build, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    assert write_page(finished.ledger(), finished.sources, path) == []
    return path.read_text(encoding="utf-8")


def test_the_page_of_a_finished_build_has_every_section_and_no_external_reference(page: str) -> None:
    assert page.count("<section") == len(module._SECTIONS) + 2 and "Not made yet" not in page
    assert "<script" not in page and 'src="http' not in page and 'href="http' not in page
    assert page.count("data:image/jpeg;base64,") >= 8 and "cannot be read" not in page
    assert re.search("<p>Build [0-9a-f]{64}.</p>", page)
    assert page.count("<figcaption>") == page.count("<small>Table")  # each names its tables


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt install chromium")
def test_the_page_is_not_wider_than_a_telephone(page: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    with opened(tmp_path / "profile") as browser:
        browser.open(path.as_uri(), (320, 700))
        browser.wait("document.querySelectorAll('figure').length > 20")
        assert browser.value("document.documentElement.scrollWidth") == 320


def test_hostile_texts_are_shown_as_text(finished: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = Section("worst", WORST, (Figure(WORST, WORST, columns=(WORST,), rows=[(WORST,)]),))
    monkeypatch.setattr(module, "_SECTIONS", ((WORST, (), lambda db, album: hostile),))
    path = tmp_path / "report.html"
    write_page(finished.ledger(), finished.sources, path)
    text = path.read_text(encoding="utf-8")
    assert "<script" not in text and "<img" not in text and "{{ 7*7 }}" in text
    assert "\u202e" not in text and "\x00" not in text and "\\u202e\\u0000\\ud800" in text


def test_an_empty_figure_and_an_empty_section_say_so(
    finished: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = Section("a", "A", (Figure("Months of 0 images.", "month_count"),)), Section("b", "B")
    monkeypatch.setattr(module, "_SECTIONS", tuple((s.title, (), lambda db, album, s=s: s) for s in sections))
    path = tmp_path / "report.html"
    write_page(finished.ledger(), finished.sources, path)
    assert path.read_text(encoding="utf-8").count("<p>Nothing to show.</p>") == 2


def test_an_unfinished_build_says_what_is_missing_and_gives_no_totals(finished: Build, tmp_path: Path) -> None:
    build = finished.with_settings(outliers={"rule": "absolute", "min_vlm_score_cos": -1.0})
    path = tmp_path / "report.html"
    missing = write_page(build.ledger(), build.sources, path)
    text = path.read_text(encoding="utf-8")
    assert {"From rows to the dataset", "Published pictures", "Outlier scores"} <= set(missing)
    assert "Download" not in missing and "Duplicates" not in missing
    assert "make stage-outliers" in text and "Not made yet: " in text
    assert re.search(r"<p>This build is not finished: \d+ of \d+ stages are, next set_thresholds\.</p>", text)


def test_a_picture_whose_file_is_gone_is_named(finished: Build, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_page(finished.ledger(), tmp_path / "nowhere", path)  # a SOURCES folder without the labelled files
    assert "cannot be read" in path.read_text(encoding="utf-8")
