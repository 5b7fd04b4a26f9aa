"""Planted copies of drawn pictures are marked, and other pictures are not; rates are printed."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageOps

from flows.demo.world import views
from schemas.fields import FIELD
from stages.checks import check_outcome
from stages.contamination.candidates import COMPARE_CANDIDATES, FIND_CANDIDATES
from stages.contamination.description import PLAN_GALLERY
from stages.contamination.grey import reduce_square
from stages.contamination.marks import FIND_CONTAMINATED, FIND_OVERLAP
from stages.contamination.tints import reduce_tints
from stages.contamination.variants import hash_variants, variant_names
from stages.contract import Context, Stage
from stages.screen.perceptual_hash import hash_grey
from tests.contamination_pictures import Bodies, Gallery, Tables, digest_pixels, run_stage

N_PICTURES, N_OTHERS = 126, 1400
VIEWS = (
    views.draw_fields, views.draw_river, views.draw_town, views.draw_coast, views.draw_pivots, views.draw_airport,
    views.draw_mountains,
)  # fmt: skip
NAMES = variant_names(0.1, 4)
Rng = np.random.Generator


def draw(seed: int) -> Image.Image:
    return VIEWS[seed % len(VIEWS)](np.random.default_rng([5, seed]), 160, 128)


def encode(image: Image.Image, quality: int) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(out).convert("RGB")


def resize(image: Image.Image, rng: Rng) -> Image.Image:
    share = rng.uniform(0.25, 2)
    return image.resize((round(image.width * share), round(image.height * share)), Image.Resampling.BICUBIC)


def cut(image: Image.Image, rng: Rng) -> Image.Image:
    """Return a random window that omits at most a tenth of each side."""
    width, height = (round(side * (1 - rng.uniform(0, 0.1))) for side in image.size)
    left, top = rng.integers(0, image.width - width + 1), rng.integers(0, image.height - height + 1)
    return image.crop((int(left), int(top), int(left) + width, int(top) + height))


def turn(image: Image.Image, rng: Rng) -> Image.Image:
    return image.transpose(list(Image.Transpose)[int(rng.integers(7))])


CHANGES: dict[str, Callable[[Image.Image, Rng], Image.Image]] = {
    "resize": resize,
    "re-encode": lambda image, rng: encode(image, int(rng.integers(30, 96))),
    "window of 10 %": cut,
    "flip": lambda image, rng: (ImageOps.flip, ImageOps.mirror)[int(rng.integers(2))](image),
    "turn": turn,
}


def evaluation(pictures: dict[str, Image.Image], splits: dict[str, tuple[str, str]] | None = None) -> Tables:
    """Return the tables that list and hash pictures of evaluation sets."""
    rows = []
    for name, picture in pictures.items():
        hashes, details = hash_variants(picture, 0.1, 4)
        own, split = (splits or {}).get(name, ("aid", "all"))
        variants = {"variant_names": NAMES, "variant_hashes": hashes, "variant_details": details}
        about = {"evaluation_set": own, "evaluation_path": name, "evaluation_split": split, "partition": "p"}
        squares = {"grey_square": reduce_square(picture).tobytes(), "colour_square": reduce_tints(picture).tobytes()}
        pixels = {"pixel_sha256": digest_pixels(picture), **squares}
        rows.append({**about, **variants, **pixels, **hash_grey(picture.convert("L"))})
    columns = {"evaluation_image": FIND_OVERLAP.reads[0].columns, "evaluation_file": FIND_CANDIDATES.reads[3].columns}
    return {
        table: pa.Table.from_pylist(rows, pa.schema([(name, FIELD[name].type) for name in names]))
        for table, names in columns.items()
    }


def matches(stage: Stage, agreed: Sequence[dict[str, Any]] = ()) -> pa.Table:
    names = stage.reads[-1].columns
    facts = {"n_inliers": 24, "pair_scale": 0.5, "pair_turn_deg": 90.0, "is_pair_mirrored": False}
    return pa.Table.from_pylist([{**facts, **row} for row in agreed], pa.schema([(n, FIELD[n].type) for n in names]))


def marks(
    pictures: dict[str, Image.Image], sets: Tables, agreed: Sequence[dict[str, Any]] = (), **params: Any
) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of `contaminated` by the name of the picture, with some pairs whose keypoints agree."""
    gallery = Gallery()
    for name, picture in pictures.items():
        gallery.add(name, picture)
    tables, files = {**sets, **gallery.tables()}, Bodies(gallery.bodies)
    for stage in (PLAN_GALLERY, FIND_CANDIDATES, COMPARE_CANDIDATES):
        run_stage(stage, tables, files, **params)
    names = FIND_CONTAMINATED.reads[-1].columns
    compared = tables["evaluation_match"].select(names).cast(matches(FIND_CONTAMINATED).schema)
    tables["evaluation_match"] = pa.concat_tables([compared, matches(FIND_CONTAMINATED, agreed)])
    found: dict[str, list[dict[str, Any]]] = {}
    for row in run_stage(FIND_CONTAMINATED, tables, **params).to_pylist():
        found.setdefault(row["sample_id"].removeprefix("cc3m_0_"), []).append(row)
    return found


@pytest.fixture(scope="module")
def planted() -> tuple[dict[str, Image.Image], Tables]:
    pictures = {f"{seed}.png": draw(seed) for seed in range(N_PICTURES)}
    return pictures, evaluation(pictures)


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found(planted: tuple[dict[str, Image.Image], Tables], change: str) -> None:
    pictures, sets = planted
    rng = np.random.default_rng(11)
    copies = {f"of {name}": CHANGES[change](picture, rng) for name, picture in pictures.items()}
    found = marks(copies, sets)
    right = sum(f"of {row['evaluation_path']}" == name for name, (row,) in found.items())
    print(f"{change}: recall {right / len(copies):.3f} of {len(copies)}")
    assert right >= 0.95 * len(copies) and right == len(found)


def test_other_pictures_are_not_marked(planted: tuple[dict[str, Image.Image], Tables]) -> None:
    others = {f"other {seed}": draw(seed) for seed in range(10_000, 10_000 + N_OTHERS)}
    found = marks(others, planted[1])
    print(f"{len(found)} false marks of {len(others)} pictures, {N_PICTURES} evaluation pictures")
    assert not found


def test_blank_pictures_never_match_even_with_equal_pixels() -> None:
    blank = {"white": Image.new("RGB", (64, 64), "white"), "ramp": Image.linear_gradient("L")}
    assert not marks(blank, evaluation(blank))
    assert set(marks(blank, evaluation(blank), min_detail=0)) == {"white", "ramp"}


def test_the_nearest_picture_of_each_split_is_named() -> None:
    one, other = draw(1), draw(2)
    sets = evaluation(
        {"a": one, "b": encode(one, 40), "c": ImageOps.mirror(one), "d": other, "e": one},
        {"a": ("aid", "test"), "b": ("aid", "test"), "c": ("aid", "train"), "d": ("ucm", "all"), "e": ("ucm", "all")},
    )
    found = marks({"a": one, "x": ImageOps.mirror(other)}, sets)
    facts = ("evaluation_set", "evaluation_split", "evaluation_path", "measure", "match_variant")
    assert {name: [tuple(row[fact] for fact in facts) for row in rows] for name, rows in found.items()} == {
        "a": [
            ("aid", "test", "a", "pixels", "upright"),
            ("aid", "train", "c", "phash", "mirrored"),
            ("ucm", "all", "e", "pixels", "upright"),
        ],
        "x": [("ucm", "all", "d", "phash", "mirrored")],
    }


def test_sets_and_splits_that_share_pictures_are_found() -> None:
    one = draw(3)
    splits = {"a": ("aid", "test"), "b": ("aid", "train"), "c": ("ucm", "all"), "d": ("ucm", "all")}
    sets = evaluation({"a": one, "b": ImageOps.flip(one), "c": draw(4), "d": encode(one, 50)}, splits)
    context = Context("whole", FIND_OVERLAP.params(), None, {}, None, None)  # type: ignore[arg-type]
    inputs = {"evaluation_image": sets["evaluation_image"], "set_match": matches(FIND_OVERLAP)}
    outcome = FIND_OVERLAP.run(inputs, context)
    check_outcome(FIND_OVERLAP, inputs, outcome)
    assert all(row["match_correlation"] > 0.9 for row in outcome.kept.to_pylist())
    names = ("evaluation_path", "other_set", "other_split", "other_path")
    assert [tuple(row[name] for name in names) for row in outcome.kept.to_pylist()] == [
        ("a", "aid", "train", "b"), ("a", "ucm", "all", "d"), ("b", "aid", "test", "a"), ("b", "ucm", "all", "d"),
        ("d", "aid", "test", "a"), ("d", "aid", "train", "b"),
    ]  # fmt: skip


def test_keypoints_are_named_where_neither_pixels_nor_hashes_match() -> None:
    one, other = draw(1), draw(2)
    sets = evaluation({"a": one, "b": other, "c": other}, {"a": ("aid", "test"), "b": ("ucm", "all")})
    agreed = [
        {"evaluation_set": name, "evaluation_path": path, "pixel_sha256": digest_pixels(one), "n_inliers": n}
        for name, path, n in (("aid", "a", 99), ("ucm", "b", 16), ("aid", "c", 15))
    ]
    (found,) = marks({"a": one}, sets, agreed).values()
    facts = ("evaluation_set", "measure", "match_distance", "match_variant", "n_inliers")
    assert [tuple(row[fact] for fact in facts) for row in found] == [
        ("aid", "pixels", 0.0, "upright", None),
        ("ucm", "keypoints", None, "turned 90 degrees, 0.50 times as large", 16),
    ]
    blank = {"white": Image.new("RGB", (64, 64), "white")}
    pixels = digest_pixels(blank["white"])
    agreed = [{"evaluation_set": "aid", "evaluation_path": "white", "pixel_sha256": pixels, "n_inliers": 99}]
    assert not marks(blank, evaluation(blank), agreed)


def test_a_near_hash_needs_grey_levels_that_correlate() -> None:
    """Low frequencies alone make a near hash: a picture with other details beside them is no copy."""
    one, other = draw(1), draw(2)
    size = (160, 128)
    low = one.convert("L").resize((8, 8), Image.Resampling.BOX).resize(size, Image.Resampling.BICUBIC)
    fine = np.asarray(other.convert("L"), float) - np.asarray(other.convert("L").resize((8, 8)).resize(size), float)
    unlike = Image.fromarray((np.asarray(low) + 0.3 * fine).clip(0, 255).astype(np.uint8))
    sets = evaluation({"a": one})
    near, limits = {"unlike": unlike, "copy": encode(one, 60)}, {"max_distance": 8, "max_layout_share": 1.0}
    assert set(marks(near, sets, **limits)) == {"copy"}
    found = marks(near, sets, **limits, min_correlation=-1)
    assert set(found) == {"copy", "unlike"}
    ((copy,), (row,)) = found["copy"], found["unlike"]
    assert copy["match_correlation"] > 0.9 and abs(row["match_correlation"]) < 0.3


def test_a_near_hash_needs_alike_colours_unless_a_picture_is_grey() -> None:
    one = draw(1)
    grey, blue, red = one.convert("YCbCr").split()
    other_colours = Image.merge("YCbCr", (grey, ImageOps.invert(blue), ImageOps.invert(red))).convert("RGB")
    sets = evaluation({"a": one})
    near = {"other colours": other_colours, "grey": one.convert("L").convert("RGB"), "copy": encode(one, 60)}
    assert set(marks(near, sets)) == {"grey", "copy"}
    assert set(marks(near, sets, max_colour_distance=361)) == set(near)


def test_keypoints_of_two_sets_count_in_both_directions() -> None:
    sets = evaluation({"a": draw(1), "b": draw(2)}, {"a": ("aid", "test"), "b": ("ucm", "all")})
    agreed = {"evaluation_set": "aid", "evaluation_path": "a", "other_set": "ucm", "other_path": "b"}
    inputs = {"evaluation_image": sets["evaluation_image"], "set_match": matches(FIND_OVERLAP, [agreed])}
    context = Context("whole", FIND_OVERLAP.params(), None, {}, None, None)  # type: ignore[arg-type]
    outcome = FIND_OVERLAP.run(inputs, context)
    check_outcome(FIND_OVERLAP, inputs, outcome)
    names = ("evaluation_path", "other_path", "measure", "match_variant")
    assert [tuple(row[name] for name in names) for row in outcome.kept.to_pylist()] == [
        ("a", "b", "keypoints", "turned 90 degrees, 0.50 times as large"),
        ("b", "a", "keypoints", "turned -90 degrees, 2.00 times as large"),
    ]


def test_a_common_frame_makes_no_match_of_smooth_pictures_and_hides_no_copy() -> None:
    def framed(image: Image.Image) -> Image.Image:
        return ImageOps.expand(image, 10, (255, 255, 255))

    smooth = {f"{seed}": framed(_waves(seed)) for seed in range(40)}
    near = marks({f"other {seed}": framed(_waves(seed)) for seed in range(100, 140)}, evaluation(smooth))
    assert not near
    own = {f"{seed}": framed(draw(seed)) for seed in range(10)}
    assert len(marks({f"of {name}": encode(image, 60) for name, image in own.items()}, evaluation(own))) == 10


def _waves(seed: int) -> Image.Image:
    """A smooth picture of two waves."""
    rng = np.random.default_rng([29, seed])
    rows, columns = np.mgrid[:128, :160]
    waves = rng.uniform(10, 60) * np.sin(columns / rng.uniform(16, 50) + rng.uniform(0, 6))
    waves = waves + rng.uniform(10, 60) * np.cos(rows / rng.uniform(16, 50) + rng.uniform(0, 6))
    levels = (rng.uniform(70, 180) + waves)[:, :, None] * rng.uniform(0.5, 1, 3)
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))
