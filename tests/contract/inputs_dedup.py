"""Handmade inputs of the stages of dedup that compare pairs of pictures."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.contract.handmade import BODIES, FORMATS, Handmade, samples_of, tables

# The bodies are too coarse for many keypoints: how the last digits of summaries round depends on the machine, and none
# of these pictures has as many keypoints as a summary needs.
_PICTURES = [
    {
        "pixel_sha256": f"pixels {body}",
        "image_id": f"image {body}",
        "image_format": FORMATS[body],
        "width_px": 32,
        "height_px": 24,
        "n_bytes": len(BODIES[body]),
        "body_sha256": hashlib.sha256(BODIES[body]).hexdigest(),
        "body_file": "tar",
        "body_offset": body,
        "partition": "000-00000",
    }
    for body in (0, 1, 2, 7)
]
_NOT_DECODED = {**_PICTURES[0], "pixel_sha256": "pixels not decoded", "image_format": "WEBP"}
_IMAGES = [
    {
        **row,
        "phash": 0xFFFF << 12 * n,
        "phash_orientations": [0xFFFF << 12 * n, *(0x0135_79BD << 3 * (n + k) for k in range(7))],
        "phash_detail": 1.0,
        "exif_latitude_deg": 7.0 if n == 1 else None,
        "exif_datetime": "2014:07:21 10:32:05" if n == 1 else None,
    }
    for n, row in enumerate(_PICTURES)
]
_IDS = ("cc3m_0_0", "cc3m_0_1", "fmow_port_1_0_rgb", "millionaid_P0000001")
_SAMPLES = samples_of({name: row["image_id"] for name, row in zip(_IDS, _PICTURES, strict=True)})
_STATED = {"stated_latitude_deg": None, "stated_datetime": None}
_FEATURES = [
    {"pixel_sha256": row["pixel_sha256"], "image_feature": feature}
    for row, feature in zip(
        _PICTURES, ([0.6, 0.8, 0.0], [0.5, 0.86, 0.0], [0.0, 0.5, 0.86], [0.0, 0.6, 0.8]), strict=True
    )
]
_PAIRS = ((0, 3), (0, 1), (1, 2))  # the first one is a picture in two formats
_SIDES = [
    {
        **_PICTURES[pair[side]],
        "pair_id": f"pair {n}",
        "side": side,
        "pair_source": "windows" if n == 1 else "embedding",
        "feature_cos": 0.95,
        "phash_distance": 9 + n,
    }
    for n, pair in enumerate(_PAIRS)
    for side in (0, 1)
]


@contextmanager
def _find_pairs(folder: Path) -> Iterator[Handmade]:
    rows = {"sample": _SAMPLES, "image": _IMAGES, "picture": _PICTURES, "embedding": _FEATURES}
    yield Handmade(rows, params={"method": "keypoints"})


HANDMADE: dict[str, Callable[[Path], Any]] = {
    "summarise_keypoints": tables(picture=[*_PICTURES, _NOT_DECODED]),
    "find_pairs": _find_pairs,
    "compare_pairs": tables(pair_side=[*_SIDES, *({**row, **_NOT_DECODED, "pair_id": "pair 4"} for row in _SIDES[:2])]),
    "judge_pairs": tables(
        pair_side=_SIDES,
        picture_pair=[
            {
                "pair_id": f"pair {n}",
                "n_inliers": n_inliers,
                "pair_correlation": 0.98,
                "pair_colour_distance": 3.0,
                "window_correlation": 0.75,
                "window_colour_distance": 3.0,
            }
            for n, n_inliers in enumerate((40, 3, 16))
        ],
        sample=_SAMPLES,
        image=_IMAGES,
        candidate=[{"sample_id": name, **_STATED} for name in _IDS[:2]],
        labelled_image=[
            {"sample_id": _IDS[2], "scene_id": "port_1", **_STATED, "stated_datetime": "2015-07-21T10:32:05Z"},
            {"sample_id": _IDS[3], "scene_id": _IDS[3], **_STATED},
        ],
    ),
}
