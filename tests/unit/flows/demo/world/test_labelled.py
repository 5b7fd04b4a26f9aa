"""The generated world's labelled corpora have their original layouts and agree with their fates and truths."""

import io
import json
import re
from collections import Counter
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image

from flows.demo.world.images import NEAR_BITS
from flows.demo.world.labelled import LABELLED, N_MILLIONAID, N_PATCHES, N_VIEWS, read_truth
from flows.demo.world.labelled_rows import LabelledRow
from flows.demo.world.reading import arriving_file, path_of
from flows.demo.world.server import Answer
from flows.demo.world.world import Fate, World, make_world

REASONS = {
    "read_labelled": {"missing_image", "missing_metadata", "bad_metadata", "missing_band", "bad_band"},
    "screen": {"truncated_image", "empty_file"},
    "write_shards": {""},
}
MAX_IMAGES = 140


@pytest.fixture(scope="module")
def truth(world: World) -> dict[str, LabelledRow]:
    return read_truth(world.out)


def labelled(world: World) -> dict[str, Fate]:
    return {fate.sample_id: fate for fate in world.fates if fate.corpus in LABELLED}


def test_every_planned_reason_occurs_and_no_other(world: World) -> None:
    found: dict[str, set[str]] = {}
    for fate in labelled(world).values():
        found.setdefault(fate.stage, set()).add(fate.reason)
        assert (fate.url, fate.survivor) == ("", "")
        assert (fate.fate == "kept") == (fate.reason == "") == (fate.stage == "write_shards")
    assert found == REASONS


def test_a_small_world_has_a_third_of_the_images(world: World) -> None:
    n_images = Counter(fate.corpus for fate in labelled(world).values())
    assert n_images == {"fmow": 2 * N_VIEWS[1], "ben": N_PATCHES[1], "millionaid": N_MILLIONAID[1]}
    assert n_images.total() < 2 * N_VIEWS[0] + N_PATCHES[0] + N_MILLIONAID[0] <= MAX_IMAGES


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("large") / "world", n_rows=1000)


def test_a_full_world_has_scenes_with_two_views_and_patches_of_both_hemispheres_and_all_quadrants(large: World) -> None:
    truth = read_truth(large.out)
    views = Counter(row.scene_id for row in truth.values() if row.corpus == "fmow")
    assert max(views.values()) == 4 and len(views) >= 15
    for corpus in ("fmow", "ben"):
        places = [row for row in truth.values() if row.corpus == corpus and row.latitude_deg and row.longitude_deg]
        quarters = {(row.latitude_deg > 0, row.longitude_deg > 0) for row in places}  # type: ignore[operator]
        assert len(quarters) == 4, corpus
    assert "single-unit_residential" in {row.labels[0] for row in truth.values() if row.corpus == "fmow"}
    assert any("," in label for row in truth.values() for label in row.labels)


def test_file_names_are_as_published(world: World) -> None:
    patterns = (
        r"fmow/train/(?P<c>[a-z-]+(?:_[a-z-]+)*)/(?P=c)_\d+/(?P=c)_\d+_\d+_(rgb|msrgb)\.(jpg|json)",
        r"fmow/groundtruth/train/(?P<c>[a-z_-]+)/(?P=c)_\d+/(?P=c)_\d+_\d+_(rgb|msrgb)\.json",
        r"ben/BigEarthNet-v1\.0/(?P<p>S2[AB]_MSIL2A_\d{8}T\d{5,6}_\d+_\d+)/(?P=p)_(B\d\d|B8A|labels_metadata)\.(tif|json)",
        r"millionaid/test/P\d{7}\.jpg",
        r"fmow/README\.md|fmow/val/.*|ben/S1/.*|ben/.*\.csv|millionaid/train/.*",
    )
    paths = [p.relative_to(world.sources).as_posix() for code in LABELLED for p in (world.sources / code).rglob("*.*")]
    files = [path for path in paths if (world.sources / path).is_file()]
    n_of = Counter(next(n for n, pattern in enumerate(patterns) if re.fullmatch(pattern, path)) for path in files)
    assert n_of == {0: 15 + 15, 1: 16 - 2, 2: 10 * 13 - 1, 3: 20, 4: 6}


def test_images_open_in_their_planned_modes_and_have_no_exif(world: World, truth: dict[str, LabelledRow]) -> None:
    modes = Counter()
    for fate in labelled(world).values():
        if fate.fate == "kept" and fate.corpus != "ben":
            with Image.open(world.sources / truth[fate.sample_id].path) as image:
                image.load()
                modes[image.mode] += 1
                assert image.format == "JPEG" and not image.getexif()
    assert modes["L"] == 1 and modes["CMYK"] == 1 and modes["RGB"] > 20


def test_damaged_images_are_damaged_as_planned(world: World, truth: dict[str, LabelledRow]) -> None:
    for fate in labelled(world).values():
        if fate.stage == "screen":
            body = (world.sources / truth[fate.sample_id].path).read_bytes()
            assert (body == b"") == (fate.reason == "empty_file")
            if body:
                with Image.open(io.BytesIO(body)) as image, pytest.raises(OSError, match="truncated"):
                    image.load()


def test_copies_have_the_pixels_of_what_they_copy(
    world: World, truth: dict[str, LabelledRow], routes: dict[str, list[Answer]]
) -> None:
    copies = [row for row in truth.values() if row.copy_of]
    assert {row.copy_of.split("_")[0] in LABELLED for row in copies} == {True, False}
    fates = {fate.sample_id: fate for fate in world.fates}
    for row in copies:
        if row.copy_of in truth:
            other = (world.sources / truth[row.copy_of].path).read_bytes()
            assert (world.sources / row.path).read_bytes() == other
        else:
            name = arriving_file(routes, path_of(fates[row.copy_of], world.port))
            hashes = [phash(path) for path in (world.out / "www" / name, world.sources / row.path)]
            assert (hashes[0] ^ hashes[1]).bit_count() <= NEAR_BITS


def phash(path: Path) -> int:
    with Image.open(path) as image:
        return int(str(imagehash.phash(image)), 16)


def test_pictures_that_are_not_copies_have_distant_hashes(world: World, truth: dict[str, LabelledRow]) -> None:
    kept = [name for name, fate in labelled(world).items() if fate.fate == "kept" and fate.corpus == "millionaid"]
    hashes = np.array([phash(world.sources / truth[name].path) for name in kept], np.uint64)
    distances = np.bitwise_count(hashes[:, None] ^ hashes[None, :]) + 64 * np.eye(len(kept), dtype=np.uint8)
    assert len(kept) > 10 and distances.min() > NEAR_BITS


def test_bands_are_georeferenced_and_of_their_published_sizes(world: World, truth: dict[str, LabelledRow]) -> None:
    import rasterio

    n_bands, codes = Counter(), set()
    for row in truth.values():
        for path in sorted((world.sources / row.path).glob("*.tif")) if row.corpus == "ben" else ():
            with rasterio.open(path) as band:
                assert (band.count, band.dtypes[0], band.height) == (1, "uint16", band.width)
                assert band.width * band.transform.a == 1200
                codes.add(band.crs.to_epsg())
                n_bands[band.width] += 1
            record = json.loads(next(path.parent.glob("*.json")).read_text())
            assert f'AUTHORITY["EPSG","{max(codes)}"]' in record["projection"] or len(codes) > 1
    assert n_bands[120] == 4 * n_bands[20] // 2 and n_bands[60] == 3 * n_bands[20]
    assert any(code > 32700 for code in codes) and len(codes) >= 4


def test_patch_numbers_count_absent_patches_too(world: World, truth: dict[str, LabelledRow]) -> None:
    lists = [path.read_text().split() for path in (world.sources / "ben").rglob("*.csv")]
    present = {path.name for path in (world.sources / "ben/BigEarthNet-v1.0").iterdir()}
    names = sorted(present.union(*lists))
    assert len(lists) == 2 and len(names) > len(present)
    for row in truth.values():
        if row.corpus == "ben":
            assert names[int(row.sample_id.removeprefix("ben_"))] == Path(row.path).name


def test_web_rows_and_labelled_images_are_counted_separately(world: World) -> None:
    assert len(world.web_fates) == world.n_rows
    assert len(world.fates) == world.n_rows + len(labelled(world))
