"""Handmade inputs of the caption stages, with fake models whose numbers are exact on every machine."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stages.models.protocols import DrawSettings, Floats, ModelNotFinite
from tests.contract.handmade import BODIES, FORMATS, Handmade, tables

WORDS = ("", "a field", "a river", "roofs and a road", "a field", "bare earth", "an island at sea", "trees")
BLINDING_RGB = (193, 88, 107)  # the first pixel of body 1, for which the scorers return NaN
MUTING_RGB = (248, 194, 190)  # the first pixel of body 2, for which the captioner fails


class SeededCaptioner:
    """Derives captions from the digits of the seed; fails for one image."""

    def prepare(self, image: Image.Image) -> Image.Image:
        return image

    def draw(self, images: Sequence[Image.Image], seeds: Sequence[int], settings: DrawSettings) -> list[list[str]]:
        for image in images:
            if image.getpixel((0, 0)) == MUTING_RGB:
                raise ModelNotFinite("logits")
        return [[WORDS[(seed >> 3 * n) % 8] for n in range(settings.n_candidates)] for seed in seeds]


class QuarterScorer:
    """Uses the redness of an image's four quarters, in sixteenths, as feature: sums of products are exact."""

    dim = 4

    def prepare(self, image: Image.Image) -> Image.Image:
        return image

    def image_features(self, images: Sequence[Image.Image]) -> Floats:
        return np.stack([self._feature(image) for image in images])

    def text_features(self, texts: Sequence[str], *, is_normalised: bool = True) -> Floats:
        return np.array([[len(t) % 4 / 16, t.count("a") / 16, t.count("e") / 16, 0.0625] for t in texts], np.float32)

    def _feature(self, image: Image.Image) -> Floats:
        if image.getpixel((0, 0)) == BLINDING_RGB:
            return np.full(4, np.nan, np.float32)
        reds = np.asarray(image)[:, :, 0].astype(int)
        half_y, half_x = reds.shape[0] // 2, reds.shape[1] // 2
        quarters = [reds[y:, x:][: max(half_y, 1), : max(half_x, 1)] for y in (0, half_y) for x in (0, half_x)]
        return np.array([int(q.sum()) // q.size // 16 / 16 for q in quarters], np.float32)


TOOLS: Mapping[str, Any] = {
    "captioner": SeededCaptioner(),
    "first_scorer": QuarterScorer(),
    "second_scorer": QuarterScorer(),
}

_SAMPLES = {"ben_0": 0, "ben_1": 1, "ben_7": 7, "fmow_airport_1_0_rgb": 2, "millionaid_P0000001": 0}
_LABELLED = [
    {
        "sample_id": sample_id,
        "n_bytes": len(BODIES[body]),
        "body_sha256": hashlib.sha256(BODIES[body]).hexdigest(),
        "body_file": "tar",
        "body_offset": body,
    }
    for sample_id, body in _SAMPLES.items()
]
_IMAGES = [
    # The last row states a format other than its file's, so it is not decoded.
    {
        "image_id": sample_id,
        "image_format": "WEBP" if sample_id == "millionaid_P0000001" else FORMATS[body],
        "width_px": 32,
        "height_px": 24,
    }
    for sample_id, body in _SAMPLES.items()
]
_CANDIDATES = [
    {"sample_id": sample_id, "n": n, "candidate_caption": WORDS[(n + k) % 8] if k else ""}
    for k, sample_id in enumerate(_SAMPLES)
    for n in range(10)
]
_RANKS = {"ben_1": ((1, 0.5), (2, 0.25), (3, None)), "ben_7": ((2, 0.0), (1, 0.0)), "millionaid_P0000001": ((1, 0.1),)}
_SCORES = [
    {"sample_id": row["sample_id"], "n": row["n"], "second_rank": rank, "rotation_variance": variance}
    for row in _CANDIDATES
    if row["sample_id"] != "fmow_airport_1_0_rgb"
    for rank, variance in (
        dict(enumerate(_RANKS.get(str(row["sample_id"]), ()))).get(int(str(row["n"])), (None, None)),
    )
]


@contextmanager
def _rank_captions(folder: Path) -> Iterator[Handmade]:
    # Rotations by right angles need no interpolation.
    yield Handmade(
        {"labelled_image": _LABELLED, "image": _IMAGES, "caption_candidate": _CANDIDATES}, "ben-0", {"n_views": 4}
    )


HANDMADE: dict[str, Callable[[Path], Any]] = {
    "draw_captions": tables(labelled_image=_LABELLED, image=[row for row in _IMAGES if row["image_id"] != "ben_7"]),
    "rank_captions": _rank_captions,
    "choose_captions": tables(
        caption_score=_SCORES,
        caption_candidate=_CANDIDATES,
        labelled_image=[{**row, "released_caption": None} for row in _LABELLED],
        image=_IMAGES,
    ),
}
