from collections.abc import Iterator

import duckdb
import pytest

from flows.page.sections_further import contamination, link_rot, tokens, utm_zones


@pytest.fixture
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def test_texts_over_clips_limit_are_counted_by_half(db: duckdb.DuckDBPyConnection) -> None:
    db.execute(
        "CREATE TABLE metafile AS SELECT i::VARCHAR AS sample_id, CASE WHEN i < 4 THEN 'pub11' ELSE 'rs3' END AS half,"
        " repeat('harbour ', CASE WHEN i = 0 THEN 76 WHEN i = 1 THEN 75 ELSE 3 END) AS published_text"
        " FROM range(6) t(i)"
    )
    (figure,) = tokens(db).figures
    assert (
        "25.0 % of 4 of PUB11 are longer; 0.0 % of 2 of RS3 are longer" in figure.caption
    )  # 75 words with begin and end fit


def test_each_zone_has_its_cell(db: duckdb.DuckDBPyConnection) -> None:
    db.execute(
        "CREATE TABLE utm_count AS SELECT * FROM (VALUES ('N', 33, 4, 1), ('N', 1, 2, 0), ('S', 60, 0, 7))"
        " t(utm_hemisphere, utm_zone, n_pub11, n_rs3)"
    )
    north, south = utm_zones(db).figures
    assert (
        "N: 7 published" in north.caption and "31 to 40, +2: 5" in north.drawing and "1 to 10, +0: 2" in north.drawing
    )
    assert "51 to 60, +9: 7" in south.drawing


def test_lost_urls_are_counted_once_by_the_year_in_their_path(db: duckdb.DuckDBPyConnection) -> None:
    db.execute(
        "CREATE TABLE planned AS SELECT * FROM (VALUES ('a', 'http://h/2014/05/x.jpg'), ('a', 'http://h/2014/05/x.jpg'),"
        " ('b', 'http://h/2014-1.jpg'), ('c', 'http://h/20145/x.jpg')) t(fetch_id, normalised_url)"
    )
    db.execute("CREATE TABLE fetched_rejects AS SELECT 'b' AS fetch_id, 'http_not_found' AS reason")
    (figure,) = link_rot(db).figures
    assert "2 of 3 URLs name one" in figure.caption and "2014 (2)" in figure.drawing and "50" in figure.drawing


def test_marks_are_counted_by_set_and_corpus(db: duckdb.DuckDBPyConnection) -> None:
    db.execute("CREATE TABLE sample AS SELECT 'cc3m_1' AS sample_id, 'cc3m' AS corpus")
    db.execute("CREATE TABLE contaminated (sample_id VARCHAR, evaluation_set VARCHAR, evaluation_split VARCHAR)")
    assert not contamination(db).figures[0].drawing
    db.execute("INSERT INTO contaminated VALUES ('cc3m_1', 'RSICD', 'test'), ('cc3m_1', 'RSICD', 'test')")
    assert "RSICD test, cc3m: 1" in contamination(db).figures[0].drawing
