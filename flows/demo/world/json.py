"""Writers of the generated world's JSON corpora: RedCaps, SBU and Visual Genome."""

import io
import json
import random
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.demo.world.corpora import REDCAPS, VG
from flows.demo.world.rows import Row

# Indexed by part number; sorted.
ANNOTATION_NAMES = ("abandoned_2017.json", "castles_2019.json", "hiking_2018.json", "hiking_2020.json")
SBU_NAME = "sbu-captions-all.json"
IMAGE_NAME, REGION_NAME = "image_data.json", "region_descriptions.json"
_FIRST_S = 1_483_228_800


def write_posts(folder: Path, parts: Mapping[int, Sequence[Row]], seed: str) -> None:
    """Write RedCaps: one annotation file per part."""
    (folder / "annotations").mkdir()
    for part, rows in parts.items():
        rng = random.Random(f"columns {seed} {part}")
        subreddit, year = ANNOTATION_NAMES[part].removesuffix(".json").split("_")
        info = {
            "start_date": f"{year}-01-01", "end_date": f"{year}-12-31", "url": "https://redcaps.xyz", "version": "1.0",
            "date_created": f"2021-{rng.randrange(1, 13):02d}-{rng.randrange(1, 28):02d}",
        }  # fmt: skip
        annotations = [_annotation(row, subreddit, rng) for row in rows]
        _write(folder / "annotations" / ANNOTATION_NAMES[part], {"info": info, "annotations": annotations})


def _annotation(row: Row, subreddit: str, rng: random.Random) -> object:
    if "record" in row.texts:
        return row.texts["record"]
    image_id = row.sample_id.removeprefix(f"{REDCAPS}_")
    annotation: dict[str, Any] = {
        "image_id": image_id,
        "author": rng.choice(("None", "someone", "someone_else")),
        "url": row.url or "",
        "raw_caption": row.texts.get("raw_caption", ""),
        "caption": row.caption or "",
        "subreddit": subreddit,
        "score": rng.randrange(1, 9999),
        "created_utc": _FIRST_S + rng.randrange(10**8),
        "permalink": f"/r/{subreddit.title()}/comments/{image_id}/a_title/",
        "crosspost_parents": None,
    }
    if rng.random() < 0.2:
        annotation |= {"score": None, "crosspost_parents": [f"{rng.getrandbits(30):x}"]}
    elif rng.random() < 0.5:
        del annotation["crosspost_parents"], annotation["score"]
    if row.reason == "bad_record":
        del annotation["image_id"]
    return annotation


def write_captioned_photos(folder: Path, parts: Mapping[int, Sequence[Row]], seed: str) -> None:
    """Write SBU: one object with three lists of equal length."""
    rng, rows = random.Random(f"columns {seed}"), parts[0]
    lists = {
        "image_urls": [row.url for row in rows],
        "user_ids": [f"{rng.randrange(10**7, 10**8)}@N0{rng.randrange(10)}" for _ in rows],
        "captions": [row.caption for row in rows],
    }
    _write(folder / SBU_NAME, lists)


def write_described_images(folder: Path, parts: Mapping[int, Sequence[Row]], seed: str) -> None:
    """Write Visual Genome: the zipped list of images, and the list of regions in another order, with gaps."""
    rng = random.Random(f"columns {seed}")
    images = [_image(row, rng) for row in parts[0]]
    described = [
        row for row in parts[0] if row.reason != "listed_again" and row.texts.get("phrases") is not None
    ]  # fmt: skip
    rng.shuffle(described)
    _write(folder / REGION_NAME, [_regions(row, rng) for row in described])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(IMAGE_NAME), json.dumps(images), zipfile.ZIP_DEFLATED)
    (folder / f"{IMAGE_NAME}.zip").write_bytes(packed.getvalue())


def _image(row: Row, rng: random.Random) -> dict[str, object]:
    width, height = (row.image.width_px, row.image.height_px) if row.image else (800, rng.randrange(200, 800))
    coco, flickr = (rng.randrange(10**6), rng.randrange(10**10)) if rng.random() < 0.5 else (None, None)
    sizes = {"width": width, "url": row.url or "", "height": height}
    return {**sizes, "image_id": _image_id(row), "coco_id": coco, "flickr_id": flickr}


def _regions(row: Row, rng: random.Random) -> dict[str, object]:
    regions = [
        {
            "region_id": rng.randrange(10**7), "width": rng.randrange(9, 99), "height": rng.randrange(9, 99),
            "image_id": _image_id(row), "phrase": phrase, "y": rng.randrange(99), "x": rng.randrange(99),
        }
        for phrase in row.texts["phrases"]
    ]  # fmt: skip
    return {"regions": regions, "id": _image_id(row)}


def _image_id(row: Row) -> int:
    return int(row.sample_id.removeprefix(f"{VG}_"))


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
