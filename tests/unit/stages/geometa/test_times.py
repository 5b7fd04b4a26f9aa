from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.geometa.times import month_of, parse_time

YEARS = (1858, 2030)


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("2012-04-02T10:32:22Z", "2012-04-02T10:32:22Z"),  # FMoW
        ("2012-04-02T10:32:22.123456Z", "2012-04-02T10:32:22Z"),
        ("2017-06-17 11:33:21", "2017-06-17T11:33:21"),  # BigEarthNet
        ("2005-03-01 12:39:28.0", "2005-03-01T12:39:28"),  # YFCC
        ("2005:03:01 12:39:28", "2005-03-01T12:39:28"),  # EXIF
        (" 2005-03-01T12:39 ", "2005-03-01T12:39:00"),
        ("2005-03-01", "2005-03-01"),
        ("2012-01-01T00:30:00+01:00", "2011-12-31T23:30:00Z"),
        ("2012-12-31T23:30:00-0530", "2013-01-01T05:00:00Z"),
        ("2016-02-29 00:00:00", "2016-02-29T00:00:00"),
    ],
)
def test_each_time_format_is_read(stated: str, expected: str) -> None:
    assert parse_time(stated, *YEARS) == expected


@pytest.mark.parametrize(
    "stated",
    [
        "4501-01-01 00:00:00.0", "0000:00:00 00:00:00", "1857-12-31", "2031-01-01", "2015-02-29", "2015-13-01",
        "2015-00-10", "2015-06-31 10:00:00", "2015-06-30 24:00:00", "2015-06-30 10:61:00", "2015:06-30", "20150630",
        "2015", "yesterday", "", " ", "    :  :     :  :  ", "２０１５-06-30",
        "2015-06-30 10:00:00 +99:00", "2030-12-31T23:00:00-02:00",
    ],
)  # fmt: skip
def test_an_impossible_time_is_null(stated: str) -> None:
    assert parse_time(stated, *YEARS) is None


def test_a_missing_time_is_null() -> None:
    assert parse_time(None, *YEARS) is None
    assert month_of(None) == 0


@given(st.datetimes(datetime(1858, 1, 1), datetime(2030, 12, 31)))
def test_written_times_are_parsed_unchanged(moment: datetime) -> None:
    text = moment.replace(microsecond=0).isoformat()
    assert parse_time(text, *YEARS) == text
    zoned = moment.replace(microsecond=0, tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert parse_time(zoned, *YEARS) == zoned
    assert month_of(zoned) == moment.month


@given(st.text("0123456789-: TZ.+", max_size=30))
def test_any_text_gives_a_valid_time_or_null(text: str) -> None:
    found = parse_time(text, *YEARS)
    assert found is None or found[:4].isdigit()
