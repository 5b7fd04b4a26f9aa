from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from schemas.fields import FIELD
from schemas.tables import GEOMETA
from schemas.template_manifests import load_templates
from stages.checks import check_outcome
from stages.contract import Context
from stages.geometa import stage as geometa
from stages.geometa.places import Places, open_places
from stages.geometa.positions import choose_position
from stages.geometa.settings import GeometaParams
from stages.geometa.stage import DESCRIBE_GEOMETA, PLACES, TEMPLATES
from tests.contract.handmade import HandmadeFiles, samples_of
from tests.contract.inputs_geometa import HANDMADE, TOOLS, candidate, image, labelled_image

Rows = Sequence[Mapping[str, Any]]
FMOW = "fmow_crop_field_1_0_rgb"
POSITION = {"stated_latitude_deg": 45.93, "stated_longitude_deg": 12.2}  # Refrontolo
EXIF = {"exif_latitude_deg": -33.45, "exif_longitude_deg": -70.66, "exif_datetime": "2019-07-01T09:30:00"}  # Santiago


@pytest.fixture(scope="module")
def places() -> Iterator[Places]:
    with open_places() as opened:
        yield opened


def describe(
    places: Places,
    candidates: Rows = (),
    labelled: Rows = (),
    images: Rows = (),
    tools: Mapping[str, Any] | None = None,
    **params: Any,
) -> dict[str, dict[str, Any]]:
    """Return the described samples by id; each candidate is relevant, and its image is `i` followed by its id."""
    rows: dict[str, Rows] = {
        "relevant": [{"sample_id": row["sample_id"], "image_id": f"i{row['sample_id']}"} for row in candidates],
        "candidate": candidates,
        "sample": samples_of(
            {row["sample_id"]: f"i{row['sample_id']}" for row in candidates}
            | {row["sample_id"]: row["sample_id"] for row in labelled}
        ),
        "labelled_image": labelled,
        "image": images,
    }
    inputs = {
        reads.name: pa.Table.from_pylist(
            [{name: row[name] for name in reads.columns} for row in rows[reads.table]],
            pa.schema([(name, FIELD[name].type) for name in reads.columns]),
        )
        for reads in DESCRIBE_GEOMETA.reads
    }
    opened = tools or {"places": places, "templates": load_templates()}
    context = Context("whole", GeometaParams(**params), None, opened, HandmadeFiles(Path()), Path())
    outcome = DESCRIBE_GEOMETA.run(inputs, context)
    check_outcome(DESCRIBE_GEOMETA, inputs, outcome)
    ids = outcome.kept["sample_id"].to_pylist()
    assert ids == sorted(ids) and outcome.rejects.num_rows == 0
    return {row["sample_id"]: row for row in outcome.kept.to_pylist()}


def web(places: Places, stated: Mapping[str, Any], exif: Mapping[str, Any], **params: Any) -> dict[str, Any]:
    sample_id = "yfcc15m_1"
    return describe(places, [candidate(sample_id, **stated)], images=[image(f"i{sample_id}", **exif)], **params)[
        sample_id
    ]


def labelled(places: Places, sample_id: str = FMOW, **columns: Any) -> dict[str, Any]:
    return describe(places, labelled=[labelled_image(sample_id, **columns)], images=[image(sample_id)])[sample_id]


def test_a_labelled_image_is_described_in_full(places: Places) -> None:
    row = labelled(
        places, **POSITION, labels=["crop_field"], stated_datetime="2014-10-03T10:32:22Z", stated_country_code="ITA",
        gsd_m=0.468, cloud_cover_percent=15.0, scan_direction="Reverse", target_azimuth_deg=337.85,
        off_nadir_angle_deg=21.0, box_cells=["centre", "top left"],
    )  # fmt: skip
    caption = row.pop("meta_caption")
    assert row == {
        "sample_id": FMOW, "latitude_deg": 45.93, "longitude_deg": 12.2, "position_source": "corpus", "utm_zone": 33,
        "utm_band": "T", "utm_hemisphere": "N", "utm_epsg": 32633, "country_code": "ITA", "country_name": "Italy",
        "city": "Refrontolo", "taken_at": "2014-10-03T10:32:22Z", "time_source": "corpus", "month": 10,
        "season": "autumn",
    }  # fmt: skip
    reported = (
        "Refrontolo", "Italy", "crop field", "autumn", "centre and top left", "0.47 m", "UTM zone 33 north",
        "3 October 2014", "10:32 UTC", "15%", "everse", "337.9°", "21°",
    )  # fmt: skip
    assert [words for words in reported if words not in caption] == []


def test_a_sample_without_known_facts_is_kept_with_nulls(places: Places) -> None:
    row = labelled(places, "millionaid_P0000001")
    assert {name for name, value in row.items() if value is not None} == {"sample_id"}
    assert labelled(places)["meta_caption"] is None


def test_seasons_depend_on_the_hemisphere_and_are_null_in_the_tropics(places: Places) -> None:
    for latitude_deg, season in ((45.9, "summer"), (-33.4, "winter"), (1.3, None)):
        row = web(places, {**POSITION, "stated_latitude_deg": latitude_deg, "stated_datetime": "2015-07-01"}, {})
        assert row["season"] == season and row["month"] == 7
        assert (season or "1 July 2015") in row["meta_caption"]


def test_the_corpus_takes_precedence_over_exif_separately_for_place_and_time(places: Places) -> None:
    both = web(places, {**POSITION, "stated_datetime": "2005-03-01 12:39:28.0"}, EXIF)
    assert (both["position_source"], both["time_source"]) == ("corpus", "corpus")
    assert (both["latitude_deg"], both["taken_at"]) == (45.93, "2005-03-01T12:39:28")
    place_alone = web(places, POSITION, EXIF)
    assert (place_alone["position_source"], place_alone["time_source"]) == ("corpus", "exif")
    impossible = web(
        places, {**POSITION, "stated_longitude_deg": None, "stated_datetime": "4501-01-01 00:00:00.0"}, EXIF
    )
    assert (impossible["position_source"], impossible["time_source"]) == ("exif", "exif")
    assert (impossible["city"], impossible["country_code"], impossible["utm_epsg"]) == ("Santiago", "CHL", 32719)


def test_facts_from_exif_are_only_in_captions_if_the_setting_says_so(places: Places) -> None:
    quiet = web(places, {}, EXIF)
    assert quiet["meta_caption"] is None and quiet["country_name"] == "Chile" and quiet["season"] == "winter"
    reported = web(places, {}, EXIF, exif_meta_caption=True)["meta_caption"]
    assert "Santiago" in reported and "winter" in reported and "1 July 2019" in reported
    mixed = web(places, POSITION, EXIF)
    assert mixed["season"] == "summer" and "Refrontolo" in mixed["meta_caption"]
    assert "2019" not in mixed["meta_caption"] and "summer" not in mixed["meta_caption"]


@pytest.mark.parametrize(("latitude_deg", "longitude_deg"), [(91.0, 0.0), (0.0, 180.1), (np.nan, 5.0), (None, 5.0)])
def test_a_position_outside_the_ranges_is_null(
    places: Places, latitude_deg: float | None, longitude_deg: float
) -> None:
    row = web(places, {"stated_latitude_deg": latitude_deg, "stated_longitude_deg": longitude_deg}, {})
    assert row["latitude_deg"] is row["longitude_deg"] is row["position_source"] is row["utm_epsg"] is None


def test_zero_zero_is_no_position_for_any_source_but_zero_latitude_is_valid() -> None:
    nothing = np.full(3, np.nan)
    pair = np.array([0.0, -0.0, 5.0]), np.array([-0.0, 7.0, 0.0])
    assert choose_position(nothing, nothing, *pair)["source"].tolist() == ["", "exif", "exif"]
    assert choose_position(*pair, nothing, nothing)["source"].tolist() == ["", "corpus", "corpus"]
    both = choose_position(np.zeros(1), np.zeros(1), np.array([47.6]), np.array([-122.2]))
    assert both["source"].tolist() == ["exif"]


def test_the_poles_have_a_position_and_no_zone(places: Places) -> None:
    row = web(places, {"stated_latitude_deg": -90.0, "stated_longitude_deg": 0.0, "stated_datetime": "2015-01-01"}, {})
    assert row["latitude_deg"] == -90 and row["utm_zone"] is row["utm_band"] is row["country_code"] is None
    assert row["season"] == "summer"


def test_at_sea_there_is_no_city_and_far_from_land_no_country(places: Places) -> None:
    row = web(places, {"stated_latitude_deg": -48.9, "stated_longitude_deg": -123.4}, {})
    assert row["city"] is row["country_code"] is row["meta_caption"] is None and row["utm_epsg"] == 32710


def test_an_invalid_country_code_is_replaced_by_the_nearest_place(places: Places) -> None:
    for code, expected in (("ZZZ", "ITA"), ("CA-", "ITA"), ("AUT", "AUT")):
        row = labelled(places, **POSITION, stated_country_code=code)
        assert row["country_code"] == expected
        assert row["city"] == ("Refrontolo" if expected == "ITA" else None)


def test_a_country_without_a_position_is_in_the_caption(places: Places) -> None:
    row = labelled(places, labels=["dam"], stated_country_code="KO-")
    assert (row["country_code"], row["country_name"], row["latitude_deg"]) == ("XKX", "Kosovo", None)
    assert "Kosovo" in row["meta_caption"]


def test_captions_of_cc3m_have_the_probable_tags(places: Places) -> None:
    rows = [
        candidate("cc3m_0_0", machine_tags=["sea", "sky", "boat"], machine_tag_probs=[0.92, 0.5, 0.97]),
        candidate("cc3m_0_1", machine_tags=["sea", "sky"], machine_tag_probs=[0.3, 0.5]),
        candidate("cc3m_0_2", machine_tags=[], machine_tag_probs=[]),
        candidate("cc3m_0_3", machine_tags=["sea"], machine_tag_probs=[0.1, 0.2]),
    ]
    found = describe(places, rows, images=[image(f"i{row['sample_id']}") for row in rows])
    captions = [found[row["sample_id"]]["meta_caption"] for row in rows]
    assert "boat, sea" in captions[0] and "sky" not in captions[0]
    assert "sky" in captions[1] and captions[2:] == [None, None]


def test_a_labelled_image_that_screen_rejected_is_not_described(places: Places) -> None:
    both = [labelled_image(FMOW, **POSITION), labelled_image("ben_8", **POSITION)]
    assert list(describe(places, labelled=both, images=[image(FMOW)])) == [FMOW]


def test_no_samples_give_an_empty_table(places: Places) -> None:
    assert describe(places) == {}


def test_rows_do_not_depend_on_the_batch_size(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    rows = [
        labelled_image(
            f"ben_{n}", labels=["Pastures"], stated_latitude_deg=rng.uniform(-90, 90),
            stated_longitude_deg=rng.uniform(-180, 180) if n % 3 else None, stated_datetime="2017-06-17T11:33:21Z",
        )
        for n in range(50)
    ]  # fmt: skip
    images = [image(str(row["sample_id"])) for row in rows]
    whole = describe(places, labelled=rows, images=images)
    monkeypatch.setattr(geometa, "ROWS_AT_ONCE", 7)
    assert describe(places, labelled=rows[::-1], images=images) == whole
    assert len({row["utm_epsg"] for row in whole.values()}) > 20


def test_the_handmade_rows_have_their_intended_places_and_times(places: Places, tmp_path: Path) -> None:
    with HANDMADE["describe_geometa"](tmp_path) as handmade:
        rows = handmade.rows
    inputs = {
        reads.name: pa.Table.from_pylist(rows[reads.table], pa.schema([(n, FIELD[n].type) for n in reads.columns]))
        for reads in DESCRIBE_GEOMETA.reads
    }
    context = Context("whole", GeometaParams(), None, TOOLS, HandmadeFiles(tmp_path), Path())
    outcome = DESCRIBE_GEOMETA.run(inputs, context)
    check_outcome(DESCRIBE_GEOMETA, inputs, outcome)
    found = {row["sample_id"]: row for row in outcome.kept.to_pylist()}
    assert len(found) == 9 and outcome.kept.schema.names == GEOMETA.schema.names
    assert found["yfcc15m_1"]["city"] == "Santiago" and found["yfcc15m_2"]["time_source"] == "exif"
    assert found["laion2b_0_0"]["utm_epsg"] == 32633 and found["laion2b_0_1"]["latitude_deg"] is None
    assert found["ben_7"]["country_code"] == "XKX" and found["millionaid_P0000001"]["meta_caption"] is None


def test_tools_open_as_declared_and_have_an_identity() -> None:
    params = GeometaParams()
    assert {tool.name for tool in DESCRIBE_GEOMETA.tools} == {"places", "templates", "stated"}
    assert set(PLACES.identity(params)) == {"places", "countries"}
    assert len(TEMPLATES.identity(params)["sha256"]) == 64
    with TEMPLATES.open(params, None) as templates:
        assert templates == load_templates()


def test_years_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValidationError, match="is after"):
        GeometaParams(earliest_year=2020, latest_year=2010)
