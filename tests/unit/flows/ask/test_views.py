from flows.ask.views import open_views
from tests.small_build import Build


def test_long_queries_draw_no_progress_into_logs(finished: Build) -> None:
    ledger = finished.ledger()
    with open_views(ledger, [ledger.writer["metafile"]]) as db:
        assert db.execute("SELECT current_setting('enable_progress_bar')").fetchall() == [(False,)]
        assert db.execute("SELECT count(*) FROM metafile").fetchall() == [(len(finished.rows("metafile")),)]
