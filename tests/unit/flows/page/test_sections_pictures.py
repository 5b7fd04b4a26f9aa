"""The largest clusters as pictures: the caption says whether the kept picture is among them."""

import re
from pathlib import Path

from flows.ask.picture import PICTURE_TABLES, bar_pictures
from flows.ask.views import open_views
from flows.page.album import Album
from flows.page.sections_pictures import near_duplicates
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
