"""Keypoints find copies that no hash is near; blank pictures and other pictures are never marked."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from flows.demo.world import views
from tests.benchmarks.recall_edits import Rng, encode, frame, text_strip, turn_slightly, window
from tests.contamination_pictures import Gallery, describe_sets, find_marks, write_set

N_PICTURES = 12
VIEWS = (views.draw_fields, views.draw_town, views.draw_airport, views.draw_mountains)  # with texture
CHANGES: dict[str, Callable[[Image.Image, Rng], Image.Image]] = {
    "border": frame,
    "window of 20 %": lambda image, rng: window(image, rng, 0.2),
    "mirrored window": lambda image, rng: window(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), rng, 0.1),
    "text strip": text_strip,
    "5 degrees": turn_slightly,
}


def draw(seed: int) -> Image.Image:
    return VIEWS[seed % len(VIEWS)](np.random.default_rng([8, seed]), 200, 160)


def pictures() -> dict[str, Image.Image]:
    return {f"test/{n}.png": draw(n) for n in range(N_PICTURES)}


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pa.Table]:
    folder = tmp_path_factory.mktemp("sets")
    blank = {"test/white.png": Image.new("RGB", (64, 64), "white"), "test/ramp.png": Image.linear_gradient("L")}
    write_set(folder / "aid", {**pictures(), **blank})
    return describe_sets(folder)


def test_copies_that_no_hash_is_near_are_found_and_other_pictures_are_not(sets: dict[str, pa.Table]) -> None:
    gallery = Gallery()
    of: dict[str, Any] = {}
    for number, (change, edit) in enumerate(CHANGES.items()):
        for n, (path, picture) in enumerate(list(pictures().items())[number::3]):
            of[f"{change} {n}"] = path
            gallery.add(f"{change} {n}", edit(picture, np.random.default_rng([number, n])))
    for n in range(24):
        gallery.add(f"other {n}", draw(1_000 + n))
    gallery.add("blank", Image.new("RGB", (50, 70), "white"))
    gallery.add("noisy white", encode(Image.new("RGB", (64, 64), (250, 255, 255)), np.random.default_rng(1), 30))
    gallery.add("ramp", Image.linear_gradient("L").rotate(90))
    found = find_marks(sets, gallery)
    hashed = find_marks(sets, gallery, method="hashes")
    assert set(found) <= set(of) and set(hashed) < set(found)
    right = [name for name, path in of.items() if name in found and found[name][0]["evaluation_path"] == path]
    print(f"{len(right)} of {len(of)} copies, {len(hashed)} of them by hash")
    assert len(right) >= 0.95 * len(of)
    assert {found[name][0]["measure"] for name in of if name in found and name not in hashed} == {"keypoints"}


def test_the_number_of_candidates_and_the_smallest_cosine_bound_the_search(sets: dict[str, pa.Table]) -> None:
    rng = np.random.default_rng(2)
    mirrored = draw(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    cut = {f"cut {n}": window(mirrored, rng, 0.2) for n in range(4)}
    assert len(find_marks(sets, cut)) == 4
    assert len(find_marks(sets, cut, n_candidates=2)) == 2
    assert not find_marks(sets, cut, min_summary_cos=1.0)
    assert not find_marks(sets, cut, min_inliers=400)


@pytest.mark.parametrize("edit", [frame, text_strip])
def test_insides_find_framed_and_captioned_copies_whatever_their_summaries(
    sets: dict[str, pa.Table], edit: Callable[[Image.Image, Rng], Image.Image]
) -> None:
    rng = np.random.default_rng(3)
    copies = {f"copy {n} {k}": edit(draw(n), rng) for n in (1, 2) for k in range(3)}
    found = find_marks(sets, copies, min_summary_cos=1.0)
    assert {name: found[name][0]["evaluation_path"] for name in copies if name in found} == {
        name: f"test/{name.split()[1]}.png" for name in copies
    }
    assert len(find_marks(sets, copies, min_summary_cos=1.0, n_candidates=2)) == 4
    assert not find_marks(sets, {"other": edit(draw(1_001), rng)}, min_summary_cos=1.0)
