"""A photo's position and time are read if they are possible, and null otherwise."""

import pytest

from stages.readers.yfcc.photo_facts import positions, times_taken


@pytest.mark.parametrize(
    ("latitude", "longitude", "expected"),
    [
        ("47.5", "-122.25", (47.5, -122.25)), ("-90", "180", (-90, 180)), ("", "1", (None, None)),
        ("1", "", (None, None)), ("90.1", "1", (None, None)), ("1", "-180.5", (None, None)),
        ("nan", "1", (None, None)), ("1,5", "1", (None, None)), ("1.5e-03", "0", (1.5e-03, 0)),
        ("0", "0", (None, None)), ("-0.0", "0.000000", (None, None)), ("1e-05", "-2E-6", (None, None)),
        ("0", "7.5", (0, 7.5)), ("-122.2", "47.6", (None, None)), ("inf", "0", (None, None)),
    ],
)  # fmt: skip
def test_a_position_is_complete_and_within_the_ranges_or_null(
    latitude: str, longitude: str, expected: tuple[float | None, float | None]
) -> None:
    assert positions([latitude], [longitude]) == ([expected[0]], [expected[1]])


@pytest.mark.parametrize(
    ("taken", "upload_s", "expected"),
    [
        ("2005-03-01 12:39:28.0", 1111467388, "2005-03-01T12:39:28"),
        ("2005-03-01 12:39:28", -1, "2005-03-01T12:39:28"),
        ("4501-01-01 00:00:00.0", -1, "4501-01-01T00:00:00"),
        ("4501-01-01 00:00:00.0", 1111467388, None),
        ("0001-01-01 00:00:00.0", 1, "0001-01-01T00:00:00"),
        ("1970-01-02 13:59:59.0", 86_400, "1970-01-02T13:59:59"),
        ("1970-01-02 14:00:01.0", 86_400, None),
        ("2005-02-30 00:00:00.0", -1, None), ("2005-13-01 00:00:00.0", -1, None), ("0000-00-00 00:00:00.0", -1, None),
        ("2005-01-01 24:00:00.0", -1, None), ("null", -1, None), ("", -1, None),
    ],
)  # fmt: skip
def test_a_time_is_a_valid_date_before_the_upload_or_null(taken: str, upload_s: int, expected: str | None) -> None:
    assert times_taken([taken], [upload_s]) == [expected]
