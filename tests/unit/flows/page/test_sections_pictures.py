"""The largest clusters as pictures: the caption says whether the kept picture is among them."""

import re
from pathlib import Path

from flows.ask.picture import PICTURE_TABLES, bar_pictures
from flows.ask.views import open_views
from flows.page.album import Album
from flows.page.sections_pictures import near_duplicates, outliers
from tests.small_build import Build


def test_a_kept_picture_that_must_not_be_shown_is_not_said_to_be_first(finished: Build) -> None:
    ledger = finished.ledger()
    stages = [ledger.writer[name] for name in (*PICTURE_TABLES, "survivor", "cluster_member")]
    with open_views(ledger, stages) as db:
        bar_pictures(ledger, db)
        album = Album(ledger.store, finished.sources)
        before = near_duplicates(db, album).figures[1:]
        assert before and all("the kept picture first" in figure.caption for figure in before)
        assert all(figure.pictures[0].lines[1] == "kept" for figure in before)
        kept = before[0].pictures[0].lines[0]
        db.execute("INSERT INTO barred VALUES (?)", [kept])
        after = near_duplicates(db, album).figures[1]
    assert "the kept one is not shown" in after.caption
    assert re.search(r"; 1 unsafe, withdrawn or without a valid image, so not shown", after.caption)
    assert kept not in [picture.lines[0] for picture in after.pictures]
    assert len(after.pictures) == len(before[0].pictures) - 1


def test_a_build_without_a_sources_folder_still_shows_pictures_of_the_web(finished: Build, tmp_path: Path) -> None:
    ledger = finished.ledger()
    stages = [ledger.writer[name] for name in (*PICTURE_TABLES, "survivor", "cluster_member")]
    with open_views(ledger, stages) as db:
        bar_pictures(ledger, db)
        figures = near_duplicates(db, Album(ledger.store, tmp_path)).figures
    assert any(picture.url for figure in figures for picture in figure.pictures)


def test_scores_are_rounded_and_a_sheet_without_pictures_says_why(finished: Build) -> None:
    ledger = finished.ledger()
    with open_views(ledger) as db:
        bar_pictures(ledger, db)
        album = Album(ledger.store, finished.sources)
        detail = "vlm 8.69e-07 of at least 0.120000, detector 0.439612 of at least 0.440000"
        db.execute("CREATE TEMP TABLE few AS FROM relevant_rejects")
        db.execute(f"CREATE OR REPLACE TEMP VIEW relevant_rejects AS SELECT * REPLACE ('{detail}' AS detail) FROM few")
        sheets = outliers(db, album).figures
        assert sheets and sheets[0].pictures
        for picture in (picture for sheet in sheets for picture in sheet.pictures):
            assert picture.lines[1] == "vlm 0 of at least 0.12, detector 0.4396 of at least 0.44"
        db.execute("INSERT INTO barred SELECT sample_id FROM sample")
        hidden = [figure.caption for figure in outliers(db, album).figures]
    assert len(hidden) == len(sheets)
    assert all("none shown, since unsafe, withdrawn or without a valid image" in caption for caption in hidden)
