import numpy as np

from stages.geometa.seasons import find_seasons

MONTHS = np.arange(1, 13, dtype=np.int32)


def seasons_at(latitude_deg: float) -> list[str]:
    return [str(season) for season in find_seasons(MONTHS, np.full(12, latitude_deg), 23.44)]


def test_northern_seasons_have_three_full_months_and_winter_begins_in_december() -> None:
    expected = ["winter"] * 2 + ["spring"] * 3 + ["summer"] * 3 + ["autumn"] * 3 + ["winter"]
    assert seasons_at(47.4) == expected == seasons_at(90)


def test_southern_seasons_are_half_a_year_off() -> None:
    north, south = seasons_at(40), seasons_at(-40)
    assert south == north[6:] + north[:6]
    assert south[0] == "summer" and south[6] == "winter"


def test_there_is_no_season_between_the_tropics_or_on_them() -> None:
    for latitude_deg in (0.0, 23.44, -23.44, -1.3):
        assert set(seasons_at(latitude_deg)) == {""}
    assert seasons_at(23.45)[6] == "summer" and seasons_at(-23.45)[6] == "winter"


def test_an_unknown_month_or_latitude_has_no_season() -> None:
    assert set(seasons_at(np.nan)) == {""}
    assert list(find_seasons(np.array([0, 7], np.int32), np.array([50.0, 50.0]), 23.44)) == ["", "summer"]
