"""The generated world's images are near, far or damaged according to their fates; without the pipeline."""

import io
from collections import Counter, defaultdict

import imagehash
import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from flows.demo.world.corpora import tier
from flows.demo.world.images import APART_BITS
from flows.demo.world.reading import arriving_file, path_of
from flows.demo.world.server import Answer
from flows.demo.world.world import World, normalise

ALLOWED_FORMATS = {"JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "MPO"}
DAMAGES = {
    "empty_file", "not_an_image", "format_not_allowed", "truncated_image", "corrupt_image", "too_many_pixels",
}  # fmt: skip
WITH_IMAGE = ("drop_duplicates", "drop_outliers", "plan_shards", "write_shards")


@pytest.fixture(scope="module")
def arrived(world: World, routes: dict[str, list[Answer]]) -> dict[str, tuple[int, bytes]]:
    """Perceptual hash and RGB pixels by sample_id, of all rows with a valid downloaded image."""
    seen: dict[str, tuple[int, bytes]] = {}
    found = {}
    for fate in world.web_fates:
        if fate.stage in WITH_IMAGE:
            name = arriving_file(routes, path_of(fate, world.port))
            if name not in seen:
                with Image.open(world.out / "www" / name) as image:
                    assert image.format in ALLOWED_FORMATS
                    image.load()
                    rgb = image.convert("RGB")
                    seen[name] = (int(str(imagehash.phash(image)), 16), str(rgb.size).encode() + rgb.tobytes())
            found[fate.sample_id] = seen[name]
    return found


def test_different_pictures_are_far_apart(world: World, arrived: dict[str, tuple[int, bytes]]) -> None:
    fates = [fate for fate in world.web_fates if fate.stage in WITH_IMAGE]
    cluster = np.array([fate.survivor or fate.sample_id for fate in fates])
    hashes = np.array([arrived[fate.sample_id][0] for fate in fates], np.uint64)
    distances = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    is_other = cluster[:, None] != cluster[None, :]
    assert len(hashes) > 60
    assert distances[is_other].min() > APART_BITS


def test_duplicate_reasons_follow_from_urls_and_pixels(world: World, arrived: dict[str, tuple[int, bytes]]) -> None:
    clusters = defaultdict(list)
    for fate in world.web_fates:
        if fate.stage in WITH_IMAGE:
            clusters[fate.survivor or fate.sample_id].append(fate)
    assert max(map(len, clusters.values())) >= 6
    for survivor_id, members in clusters.items():
        survivor = next(fate for fate in members if fate.sample_id == survivor_id)
        assert survivor.stage in ("drop_outliers", "plan_shards", "write_shards")
        assert tier(survivor.corpus) == min(tier(fate.corpus) for fate in members)
        by_url = defaultdict(list)
        for fate in members:
            by_url[normalise(fate.url)].append(fate)
        for same in by_url.values():
            representatives = [fate for fate in same if fate.reason != "url_duplicate"]
            assert len(representatives) == 1
            is_same = arrived[representatives[0].sample_id][1] == arrived[survivor_id][1]
            expected = "pixel_duplicate" if is_same else "near_duplicate"
            assert representatives[0].reason == (survivor.reason if representatives[0] is survivor else expected)


def test_damaged_bodies_fail_in_pil_as_planned(world: World, routes: dict[str, list[Answer]]) -> None:
    n_checked: Counter[str] = Counter()
    for fate in (fate for fate in world.web_fates if fate.stage == "screen"):
        body = (world.out / "www" / arriving_file(routes, path_of(fate, world.port))).read_bytes()
        n_checked[fate.reason] += 1
        assert screen(body) == fate.reason, fate
    assert set(n_checked) == DAMAGES


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def screen(body: bytes) -> str:
    if not body:
        return "empty_file"
    try:
        with Image.open(io.BytesIO(body)) as image:
            if image.format not in ALLOWED_FORMATS:
                return "format_not_allowed"
            if image.width * image.height > 64_000_000:
                return "too_many_pixels"
            image.load()
    except UnidentifiedImageError:
        return "not_an_image"
    except Image.DecompressionBombError:
        return "too_many_pixels"
    except OSError as error:
        return "truncated_image" if "truncated" in str(error) else "corrupt_image"
    return ""
