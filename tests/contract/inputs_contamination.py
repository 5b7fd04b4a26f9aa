"""Handmade inputs of contamination."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.contract.handmade import BODIES, FORMATS, Handmade, samples_of, tables
from tests.evaluation_files import MTIME_NS, write_evaluation_files

_SPINE = samples_of({"cc3m_0_0": "image 0", "cc3m_0_1": "image 1", "laion2b_0_0": "image 2", "ben_7": "image 3"})
_VARIED = 0x9D3A61C75E08B4F2  # hashes of simple layouts match nothing
_HASHES = (1 << 63, 255 << 20, 9 << 40, 9 << 40 | 7)
_IMAGES = [
    {"image_id": f"image {n}", "pixel_sha256": f"pixels {n}", "phash": phash ^ _VARIED, "phash_detail": 1.0 - n / 3}
    for n, phash in enumerate(_HASHES)
]
_SQUARE = bytes(k * k % 253 for k in range(64 * 64))
_EVALUATION = [
    {
        "evaluation_set": name,
        "evaluation_path": f"{n}.png",
        "evaluation_split": split,
        "pixel_sha256": pixels,
        "phash": hashes[0] ^ _VARIED,
        "phash_detail": 1.0,
        "variant_names": ["upright", "mirrored"],
        "variant_hashes": [value ^ _VARIED for value in hashes],
        "variant_details": [1.0, 0.01 if n == 2 else 1.0],
        "grey_square": bytes(n * 7 * k % 251 for k in range(64 * 64)) if n else _SQUARE,
        "colour_square": bytes(n * 11 * k % 241 for k in range(16 * 16 * 3)),
    }
    for n, (name, split, pixels, hashes) in enumerate(
        (
            ("alpha", "train", "pixels 0", [1 << 63, 0xFFFF]),
            ("alpha", "test", "other pixels", [0xFFFF << 24, 255 << 20 | 1]),
            ("beta", "all", "pixels 2", [9 << 40 | 1, 1 << 63]),
        )
    )
]
_MARKS = [
    {"sample_id": "cc3m_0_0", "evaluation_set": "alpha", "evaluation_split": "train", "measure": "pixels"},
    {"sample_id": "cc3m_0_0", "evaluation_set": "alpha", "evaluation_split": "test", "measure": "phash"},
    {"sample_id": "laion2b_0_0", "evaluation_set": "beta", "evaluation_split": "all", "measure": "phash"},
    {"sample_id": "ben_7", "evaluation_set": "alpha", "evaluation_split": "val", "measure": "keypoints"},
]
_AGREED = [
    {"pair_scale": 0.5 * (n + 1), "pair_turn_deg": 90.0 * n, "is_pair_mirrored": n == 1, "n_inliers": n_inliers}
    for n, n_inliers in enumerate((23, 24, 60))
]
_NOT_NEAR: dict[str, Any] = dict.fromkeys(
    ("match_variant", "match_distance", "match_correlation", "match_colour_distance")
)
_NEAR = {"match_variant": "mirrored", "match_distance": 3.0}
_COLOURS = {"match_colour_distance": 9.0}
_MATCHES = [
    {"evaluation_set": "alpha", "evaluation_path": "0.png", "pixel_sha256": f"pixels {n}", **agreed, **_NOT_NEAR}
    for n, agreed in enumerate(_AGREED)
]
_MATCHES += [
    {
        **row,
        "evaluation_path": "1.png",
        "n_inliers": 0,
        **_NEAR,
        "match_correlation": correlation,
        **_COLOURS,
    }
    for row, correlation in zip(_MATCHES, (0.9, 0.1, -0.2), strict=True)
]
_SET_MATCHES = [
    {"evaluation_set": "alpha", "evaluation_path": "0.png", "other_set": name, "other_path": f"{n + 1}.png", **agreed}
    for n, (name, agreed) in enumerate(zip(("alpha", "beta"), _AGREED[1:], strict=True))
]
_OVERLAP = [{**_EVALUATION[0], "other_set": "beta", "other_split": "all", "measure": "phash"}]


def _body(number: int, kind: str) -> bytes:
    # Formats whose bytes do not depend on a codec's version, whatever the file's extension.
    return BODIES[number % 2]


@contextmanager
def _listing(folder: Path) -> Iterator[Handmade]:
    yield Handmade({}, params={"evaluation": str(write_evaluation_files(folder / "evaluation", _body))})


@contextmanager
def _hashing(folder: Path) -> Iterator[Handmade]:
    rows: list[dict[str, Any]] = []
    for n, body in enumerate(BODIES):
        path = folder / f"{n}.png"
        path.write_bytes(body)
        about = {"evaluation_set": "alpha", "evaluation_path": path.name, "evaluation_split": "test"}
        where = {"size_bytes": len(body), "mtime_ns": MTIME_NS, "evaluation_file": str(path)}
        rows.append({**about, **where, "evaluation_licence": None})
    yield Handmade({"evaluation_file": rows}, "evaluation-alpha-test-0000")


@contextmanager
def _describing(folder: Path) -> Iterator[Handmade]:
    rows: list[dict[str, Any]] = []
    for n in (0, 1, 4, 5):
        path = folder / f"{n}.png"
        path.write_bytes(BODIES[n])
        about = {"evaluation_set": "alpha", "evaluation_path": path.name, "evaluation_file": str(path)}
        rows.append({**about, "size_bytes": len(BODIES[n]), "image_format": FORMATS[n] or "PNG", **_SIZE})
    rows.append({**rows[0], "evaluation_path": "missing.png", "evaluation_file": str(folder / "missing.png")})
    tables = {"evaluation_file": rows, "evaluation_image": rows}
    yield Handmade(tables, "evaluation-alpha-test-0000", params={"method": "keypoints"})


@contextmanager
def _locating(folder: Path) -> Iterator[Handmade]:
    rows: list[dict[str, Any]] = []
    shapes = {
        "0_rgb": {"raw_location": "POLYGON ((12.5 -7, 12.51 -7, 12.51 -7.01, 12.5 -7.01))", "bounding_boxes": []},
        "1_rgb": {
            **{"gsd": 0.5, "img_width": 400, "img_height": 300},
            "bounding_boxes": [{"raw_location": "POLYGON ((179.99 60, -179.99 60, -179.99 60.02))"}],
        },
        "2_rgb": None,
    }
    for name, shape in shapes.items():
        path = folder / f"{name}.jpg"
        path.write_bytes(BODIES[0])
        if name != "2_rgb":
            path.with_suffix(".json").write_text(json.dumps(shape))
        where = {"size_bytes": len(BODIES[0]), "mtime_ns": MTIME_NS, "evaluation_file": str(path)}
        rows.append({"evaluation_set": "alpha", "evaluation_path": path.name, **where})
    broken = folder / "3_rgb.jpg"
    broken.with_suffix(".json").write_text("{")
    rows.append({**rows[0], "evaluation_path": broken.name, "evaluation_file": str(broken)})
    yield Handmade({"evaluation_file": rows}, "evaluation-alpha-test-0000")


_PLACES = [
    {
        **{name: row[name] for name in ("evaluation_set", "evaluation_path", "evaluation_split")},
        "latitude_deg": latitude_deg,
        "longitude_deg": longitude_deg,
        "ground_width_m": 640.0,
        "ground_height_m": 640.0,
    }
    for row, latitude_deg, longitude_deg in zip(_EVALUATION, (50.0, None, 50.004), (8.0, None, 8.0), strict=True)
]
_GROUND = {"stated_latitude_deg": 50.0, "stated_longitude_deg": 8.01, "gsd_m": 10.0}
_SIZE = {"width_px": 32, "height_px": 24}
_PICTURES = [
    {
        "pixel_sha256": f"pixels {n}",
        "image_format": FORMATS[n],
        **_SIZE,
        "n_bytes": len(BODIES[n]),
        "body_sha256": hashlib.sha256(BODIES[n]).hexdigest(),
        "body_file": "tar",
        "body_offset": n,
        "partition": "000-00000",
    }
    for n in (0, 1, 2)
]
_NOT_DECODED = {**_PICTURES[0], "pixel_sha256": "pixels not decoded", "image_format": "WEBP"}
_HASH = 0x9E3779B97F4A7C15  # of no simple layout
# Vectors of 256 numbers: three near ones and zeros, which are near nothing.
_SUMMARIES = [[1.0] * 256, [1.0, 0.0] * 128, [0.0] * 256, [1.0, -1.0] * 128]
_INSIDES = [
    {"window_hashes": [_HASH, _HASH ^ 1, ~_HASH & 2**64 - 1], "window_details": [2.0, 2.0, 0.0]},
    {"window_hashes": [3, 5, 9], "window_details": [2.0, 2.0, 2.0]},
    {"window_hashes": [_HASH ^ 2, 7, 11], "window_details": [2.0, 2.0, 2.0]},
    {"window_hashes": [0, 0, 0], "window_details": [0.0, 0.0, 0.0]},
]
_DESCRIBED = [
    {
        **{name: row[name] for name in ("evaluation_set", "evaluation_path", "evaluation_split")},
        "keypoint_summary": summary,
        **inside,
        "packed_keypoints": b"",
        "partition": f"evaluation-{row['evaluation_set']}-{row['evaluation_split']}-0000",
    }
    for row, summary, inside in zip(_EVALUATION, _SUMMARIES[:2] + _SUMMARIES[:1], _INSIDES[:3], strict=True)
]
_PAIRS = [
    {**picture, **near, "evaluation_set": "alpha", "evaluation_path": "0.png"}
    for picture, near in zip((*_PICTURES, _NOT_DECODED), (_NOT_NEAR, _NEAR, _NEAR, _NEAR), strict=True)
]

HANDMADE: dict[str, Callable[[Path], Any]] = {
    "list_evaluation": _listing,
    "list_evaluation_captions": _listing,
    "hash_evaluation": _hashing,
    "describe_evaluation": _describing,
    "plan_gallery": tables(picture=_PICTURES, evaluation_file=_EVALUATION),
    "summarise_gallery": tables(
        gallery_picture=[*_PICTURES, _NOT_DECODED],
        keypoint_summary=[{"pixel_sha256": "pixels 1", "keypoint_summary": _SUMMARIES[1], **_INSIDES[1]}],
    ),
    "find_candidates": tables(
        image=_IMAGES,
        evaluation_image=_EVALUATION,
        evaluation_keypoints=_DESCRIBED,
        evaluation_file=_DESCRIBED,
        gallery_picture=[*_PICTURES, _NOT_DECODED],
        gallery_summary=[
            {"pixel_sha256": row["pixel_sha256"], "keypoint_summary": summary, **inside}
            for row, summary, inside in zip([*_PICTURES, _NOT_DECODED], _SUMMARIES, _INSIDES, strict=True)
        ],
    ),
    "compare_candidates": tables(evaluation_pair=_PAIRS, evaluation_image=_EVALUATION, evaluation_keypoints=_DESCRIBED),
    "find_set_pairs": tables(evaluation_keypoints=_DESCRIBED, evaluation_file=_EVALUATION),
    "compare_sets": tables(
        set_pair=[{**row, "feature_cos": 0.5} for row in _SET_MATCHES], evaluation_keypoints=_DESCRIBED
    ),
    "find_contaminated": tables(sample=_SPINE, image=_IMAGES, evaluation_image=_EVALUATION, evaluation_match=_MATCHES),
    "find_overlap": tables(evaluation_image=_EVALUATION, set_match=_SET_MATCHES),
    "locate_evaluation": _locating,
    "find_same_ground": tables(
        evaluation_place=_PLACES,
        evaluation_file=_PLACES,
        sample=_SPINE,
        image=[{**row, "width_px": 120, "height_px": 120} for row in _IMAGES],
        labelled_image=[{"sample_id": "ben_7", **_GROUND}, {"sample_id": "ben_8", **_GROUND, "gsd_m": None}],
    ),
    "find_ground_overlap": tables(evaluation_place=_PLACES, evaluation_file=_PLACES),
    "find_captions": tables(
        sample=_SPINE,
        image=_IMAGES,
        candidate=[
            {"sample_id": "cc3m_0_0", "caption": "An Aerial  view."},
            {"sample_id": "cc3m_0_1", "caption": "A lake"},
        ],
        evaluation_caption=[
            {"evaluation_set": "alpha", "evaluation_split": split, "evaluation_caption": "an aerial view"}
            for split in ("train", "test")
        ],
    ),
    "count_contamination": tables(
        evaluation_file=_EVALUATION,
        evaluation_image=_EVALUATION,
        sample=_SPINE,
        contaminated=_MARKS,
        evaluation_overlap=_OVERLAP,
        contaminated_caption=[{"sample_id": "cc3m_0_1", "evaluation_set": "beta"}],
        evaluation_caption=[{"evaluation_set": "beta"}],
        evaluation_place=[{**_EVALUATION[0], "latitude_deg": 48.0}],
        same_ground=[{"sample_id": "ben_7", "evaluation_set": "alpha"}],
        ground_overlap=[{**_EVALUATION[0], "other_set": "beta"}],
    ),
}
