"""Geometa: position and time of each remaining sample, from its corpus or EXIF, and a sentence made from them.

Place names in captions are found by gpe.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.fields import FIELD
from schemas.tables import GEOMETA
from schemas.template_manifests import Templates, load_templates
from stages.contract import Context, Given, Inputs, Outcome, Reads, Resources, Stage, Tool, no_rejects
from stages.geometa.countries import country_code, names_by_code
from stages.geometa.facts import word_facts
from stages.geometa.places import Places, name_places, open_places, places_identity
from stages.geometa.positions import choose_position
from stages.geometa.seasons import find_seasons
from stages.geometa.sentences import Composer
from stages.geometa.settings import GeometaParams
from stages.geometa.times import month_of, parse_time
from stages.geometa.utm import find_zones
from stages.identity import digest_json
from stages.rows import map_rows, query_rows
from stages.stated import PLACE_AND_TIME, STATED, StatedResources, with_columns

ROWS_AT_ONCE = 100_000  # bounds the memory of numpy and Python objects besides the tables

# By our name, the name in the release metadata of a dataset that is made again.
_STATED = {
    "stated_latitude_deg": "latitude_deg", "stated_longitude_deg": "longitude_deg", "stated_datetime": "taken_at",
}  # fmt: skip
_POSITION = ("stated_latitude_deg", "stated_longitude_deg")
_TAGS = ("machine_tags", "machine_tag_probs")
_LABELLED = (
    "labels", "stated_country_code", "gsd_m", "cloud_cover_percent", "scan_direction", "target_azimuth_deg",
    "off_nadir_angle_deg", "box_cells",
)  # fmt: skip
_EXIF = ("exif_datetime", "exif_latitude_deg", "exif_longitude_deg")
_BY_PLACE = ("utm_zone", "utm_hemisphere", "city")
# A sample with none of these facts gets no meta caption.
_FACT_COLUMNS = ("latitude_deg", "taken_at", "country_name", *_TAGS[:1], *_LABELLED[2:], "labels")
# Columns of which a sentence is composed.
_WORDED = ("sample_id", "corpus", *_LABELLED, *_TAGS, "city", "country_name", "season", "taken_at", *_BY_PLACE[:2])


def describe_geometa(inputs: Inputs, context: Context) -> Outcome:
    """Return position and time of each sample, where known, and its meta caption.

    A dataset that is made again has those that its release metadata states.
    """
    params: GeometaParams = context.params
    composer = Composer(context.tools["templates"], params.template_seed)
    n_done = 0

    def describe(rows: pa.Table) -> pa.Table:
        nonlocal n_done
        n_done += rows.num_rows
        context.advance(n_done)
        return _describe(rows, params, context.tools["places"], composer)

    stated = context.tools.get("stated")
    has_said = stated is not None and set(PLACE_AND_TIME) <= set(stated.column_names)
    said = with_columns(stated if has_said else None, ("sample_id", *PLACE_AND_TIME))
    kept = map_rows(query_rows(_SAMPLES, {**inputs, "said": said}), describe, GEOMETA.schema, ROWS_AT_ONCE)
    return Outcome(kept, no_rejects(GEOMETA))


_LEFT = "SELECT * FROM sample WHERE half = 'rs3' OR sample_id IN (SELECT sample_id FROM relevant)"
_SAMPLES = f"""
    SELECT sample_id, s.corpus, {
    ", ".join(f"coalesce(c.{name}, l.{name}, said.{known}) AS {name}" for name, known in _STATED.items())
}, coalesce(stated_country_code, said.country_code) AS stated_country_code,
           {", ".join((*_TAGS, *_LABELLED[:1], *_LABELLED[2:], *_EXIF))},
           said.sample_id IS NOT NULL AS is_said, said.meta_caption AS said_meta_caption
    FROM ({_LEFT}) s JOIN image USING (image_id)
    LEFT JOIN candidate c USING (sample_id) LEFT JOIN labelled_image l USING (sample_id)
    LEFT JOIN said USING (sample_id) ORDER BY sample_id
"""


def _describe(rows: pa.Table, params: GeometaParams, places: Places, composer: Composer) -> pa.Table:
    position = choose_position(*(_numbers(rows[name]) for name in (*_POSITION, *_EXIF[1:])))
    time = _choose_time(rows, params)
    latitude_deg, longitude_deg = position["latitude_deg"], position["longitude_deg"]
    zones = find_zones(latitude_deg, longitude_deg)
    seasons = find_seasons(time["month"], latitude_deg, params.tropic_latitude_deg)
    columns: dict[str, Any] = {
        "sample_id": rows["sample_id"],
        "latitude_deg": _known(latitude_deg, "latitude_deg", ~np.isnan(latitude_deg)),
        "longitude_deg": _known(longitude_deg, "longitude_deg", ~np.isnan(longitude_deg)),
        "position_source": _known(position["source"], "position_source", position["source"] != ""),
        "utm_zone": _known(zones.zone, "utm_zone", zones.zone > 0),
        "utm_band": _known(zones.band, "utm_band", zones.zone > 0),
        "utm_hemisphere": _known(zones.hemisphere, "utm_hemisphere", zones.zone > 0),
        "utm_epsg": _known(zones.epsg, "utm_epsg", zones.zone > 0),
        **_name_places(rows, latitude_deg, longitude_deg, places, params),
        "taken_at": pa.array(time["taken_at"], FIELD["taken_at"].type),
        "time_source": pa.array(time["source"], FIELD["time_source"].type),
        "month": _known(time["month"], "month", time["month"] > 0),
        "season": _known(seasons, "season", seasons != ""),
    }
    composed = _compose(rows, columns, params, composer)
    columns["meta_caption"] = pc.if_else(rows["is_said"], rows["said_meta_caption"], composed)
    return pa.table({name: columns[name] for name in GEOMETA.schema.names}).cast(GEOMETA.schema)


def _choose_time(rows: pa.Table, params: GeometaParams) -> dict[str, Any]:
    years = (params.earliest_year, params.latest_year)
    stated, exif = (
        [parse_time(text, *years) if text else None for text in rows[name].to_pylist()]
        for name in ("stated_datetime", "exif_datetime")
    )
    taken_at = [first or second for first, second in zip(stated, exif, strict=True)]
    source = ["corpus" if first else "exif" if second else None for first, second in zip(stated, exif, strict=True)]
    return {"taken_at": taken_at, "source": source, "month": np.array([month_of(text) for text in taken_at], np.int32)}


def _name_places(
    rows: pa.Table,
    latitude_deg: NDArray[np.float64],
    longitude_deg: NDArray[np.float64],
    places: Places,
    params: GeometaParams,
) -> dict[str, Any]:
    stated = rows["stated_country_code"].to_pylist()
    limits_km = (params.max_city_km, params.max_country_km)
    country, city = name_places(stated, latitude_deg, longitude_deg, places, *limits_km)
    names = names_by_code()
    return {
        "country_code": pa.array(country, FIELD["country_code"].type),
        "country_name": pa.array([names.get(code) for code in country], FIELD["country_name"].type),
        "city": pa.array(city, FIELD["city"].type),
    }


def _compose(rows: pa.Table, columns: Mapping[str, Any], params: GeometaParams, composer: Composer) -> pa.Array:
    known = {**{name: rows[name] for name in ("corpus", *_LABELLED, *_TAGS)}, **columns}
    if not params.exif_meta_caption:
        known |= _without_exif(rows, columns)
    has_template = pc.is_in(rows["corpus"], pa.array(sorted(composer.corpora), pa.string()))
    has_facts = np.any([known[name].is_valid().to_numpy(zero_copy_only=False) for name in _FACT_COLUMNS], axis=0)
    at = np.flatnonzero(has_template.to_numpy(zero_copy_only=False) & has_facts)
    captions = np.full(rows.num_rows, None, dtype=object)
    taken = [known[name].take(pa.array(at)).to_pylist() for name in _WORDED]
    for index, *values in zip(at, *taken, strict=True):
        row = dict(zip(_WORDED, values, strict=True))
        facts = word_facts(row, params.min_tag_prob, params.max_tags)
        captions[index] = composer.compose(row["sample_id"], row["corpus"], facts)
    return pa.array(captions, FIELD["meta_caption"].type)


def _without_exif(rows: pa.Table, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns with values known only from EXIF set to null."""
    has_place = pc.equal(columns["position_source"], "corpus")
    has_time = pc.equal(columns["time_source"], "corpus")
    codes = rows["stated_country_code"].to_pylist()
    known_codes = {code for code in set(codes) if country_code(code) is not None}
    is_stated = pa.array([code in known_codes for code in codes])
    said = dict.fromkeys((*_BY_PLACE, "latitude_deg"), has_place) | {"taken_at": has_time}
    said |= {"country_name": pc.or_kleene(has_place, is_stated), "season": pc.and_(has_place, has_time)}
    return {
        name: pc.if_else(pc.fill_null(mask, False), columns[name], pa.scalar(None, columns[name].type))
        for name, mask in said.items()
    }


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    found: NDArray[np.float64] = pc.fill_null(column, np.nan).to_numpy()
    return found


def _known(values: NDArray[Any], name: str, is_known: NDArray[np.bool_]) -> pa.Array:
    return pa.array(values, FIELD[name].type, mask=~is_known)


def _places_identity(params: GeometaParams) -> Mapping[str, str]:
    return places_identity()


def _open_places(params: GeometaParams, resources: Resources) -> AbstractContextManager[Places]:
    return open_places()


def _templates_identity(params: GeometaParams) -> Mapping[str, str]:
    return {"sha256": digest_json(load_templates().model_dump(mode="json", exclude={"reference"}))}


@contextmanager
def _open_templates(params: GeometaParams, resources: Resources) -> Iterator[Templates]:
    yield load_templates()


PLACES = Tool("places", _places_identity, _open_places)
TEMPLATES = Tool("templates", _templates_identity, _open_templates)

DESCRIBE_GEOMETA = Stage(
    name="describe_geometa",
    module="geometa",
    version=2,
    does="Finds position, time, UTM zone, place and season of each remaining sample, and writes a sentence from them.",
    reads=(
        Reads("relevant", ("sample_id",), is_whole=True),
        Reads("sample", ("sample_id", "corpus", "half", "image_id"), is_whole=True),
        Reads("candidate", ("sample_id", *_STATED, *_TAGS), is_whole=True),
        Reads("labelled_image", ("sample_id", *_STATED, *_LABELLED), is_whole=True),
        Reads("image", ("image_id", *_EXIF), is_whole=True),
    ),
    writes=GEOMETA,
    grain="map",
    given=Given(
        query=f"SELECT sample_id FROM ({_LEFT}) SEMI JOIN image USING (image_id)",
        inputs=("relevant", "sample", "image"),
    ),
    run=describe_geometa,
    is_queried=True,
    params=GeometaParams,
    resources=StatedResources,
    tools=(PLACES, TEMPLATES, STATED),
    bytes_per_row=250,
)
