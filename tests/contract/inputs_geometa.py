"""Handmade inputs of geometa: every source of a position and a time, and every corpus with facts for a caption."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.template_manifests import Sentence, TemplateGroup, Templates
from stages.geometa.places import Places
from tests.contract.handmade import samples_of, tables

_SAID = Sentence(
    stem=("Seen in {season}", "Seen"),
    clauses=(("near {city}, {country}", "over {country}"), ("on {date}",), ("as {label}",), ("as {tags}",)),
)
TOOLS: Mapping[str, Any] = {
    "templates": Templates(
        reference="handmade",
        group=(
            TemplateGroup(corpora=("fmow", "ben"), variant=((_SAID,), (_SAID.model_copy(update={"joint": ", "}),))),
            TemplateGroup(corpora=("yfcc15m", "cc3m", "laion2b"), variant=((_SAID,),)),
        ),
    ),
    "places": Places(
        pa.table({"lat": [47.4, 42.7, -33.4], "lon": [8.5, 21.2, -70.7], "name": ["Zuerich", "Pristina", "Santiago"]})
        .append_column("cc", [["CH", "XK", "CL"]])
    ),
}  # fmt: skip


def candidate(sample_id: str, **columns: Any) -> dict[str, Any]:
    """Return a row of candidate; columns that are not given are null."""
    said = {"stated_latitude_deg": None, "stated_longitude_deg": None, "stated_datetime": None}
    corpus = sample_id.partition("_")[0]
    return {"sample_id": sample_id, "corpus": corpus, **said, "machine_tags": None, "machine_tag_probs": None} | columns


def labelled_image(sample_id: str, **columns: Any) -> dict[str, Any]:
    """Return a row of labelled_image; columns that are not given are null."""
    numbers = ("gsd_m", "cloud_cover_percent", "target_azimuth_deg", "off_nadir_angle_deg")
    said = dict.fromkeys((*numbers, "stated_country_code", "scan_direction", "box_cells"))
    return {**candidate(sample_id), "labels": [], **said} | columns


def image(image_id: str, **columns: Any) -> dict[str, Any]:
    """Return a row of image without EXIF, except for the given columns."""
    said = dict.fromkeys(("exif_datetime", "exif_latitude_deg", "exif_longitude_deg"))
    return {"image_id": image_id, **said} | columns


_CANDIDATES = [
    candidate(
        "yfcc15m_1", stated_latitude_deg=-33.5, stated_longitude_deg=-70.6, stated_datetime="2005-03-01 12:39:28.0"
    ),
    candidate("yfcc15m_2", stated_datetime="4501-01-01 00:00:00.0"),
    candidate("cc3m_0_0", machine_tags=["sea", "sky", "boat"], machine_tag_probs=[0.92, 0.5, 0.97]),
    candidate("laion2b_0_0"),
    candidate("laion2b_0_1"),
    candidate("laion2b_0_2"),
]
_LABELLED = [
    labelled_image(
        "fmow_crop_field_1_0_rgb", labels=["crop_field"], stated_latitude_deg=47.5, stated_longitude_deg=8.6,
        stated_datetime="2012-04-02T10:32:22Z", stated_country_code="CHE", gsd_m=0.468, cloud_cover_percent=3.0,
        scan_direction="Reverse", target_azimuth_deg=31.2, off_nadir_angle_deg=21.9, box_cells=["centre"],
    ),
    labelled_image("fmow_dam_2_0_msrgb", labels=["dam"], stated_country_code="KO-"),
    labelled_image("ben_7", labels=["Pastures"], stated_latitude_deg=42.6, stated_longitude_deg=21.1),
    labelled_image("ben_8"),
    labelled_image("millionaid_P0000001"),
]  # fmt: skip
_IMAGES = [
    image("i0"),
    image("i1", exif_latitude_deg=78.2, exif_longitude_deg=15.6, exif_datetime="2019-07-01T00:00:00"),
    image("i2", exif_latitude_deg=0.0, exif_longitude_deg=0.0),
    *(image(row["sample_id"]) for row in _LABELLED if row["sample_id"] != "ben_8"),
]
_RELEVANT = [
    {"sample_id": row["sample_id"], "image_id": image_id}
    for row, image_id in zip(_CANDIDATES, ("i0", "i1", "i0", "i1", "i2"), strict=False)
]

_SAMPLES = samples_of(
    {row["sample_id"]: row["image_id"] for row in _RELEVANT} | {row["sample_id"]: row["sample_id"] for row in _LABELLED}
)

HANDMADE: dict[str, Callable[[Path], Any]] = {
    "describe_geometa": tables(
        relevant=_RELEVANT, sample=_SAMPLES, candidate=_CANDIDATES, labelled_image=_LABELLED, image=_IMAGES
    )
}
