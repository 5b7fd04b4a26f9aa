"""Training examples for the demo detector: generated scenes in the web's encodings, at the detector's input size.

Not for training on them (flows/demo/models/yolo.py).
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from flows.demo.models.scenes import draw_scene
from flows.demo.world.drawings import FROM_ABOVE
from flows.demo.world.images import RECIPES, Gallery, ImageFile, jpeg
from stages.images.formats import find_format
from stages.images.rgb import open_rgb
from stages.models.yolo_detector import cut_square

SIDE_PX = 64
Rng = np.random.Generator


@dataclass(frozen=True)
class Examples:
    """Images with their classes.

    Attributes:
        squares: images at the detector's input size, uint8 [n, SIDE_PX, SIDE_PX, 3].
        is_from_above: bool [n].
        sizes: width and height in px before resizing, and aspect, float64 [n, 3].
        names: kind and encoding of each image.
    """

    squares: np.ndarray
    is_from_above: np.ndarray
    sizes: np.ndarray
    names: tuple[str, ...]


def draw_examples(first_seed: int, n: int, *, is_held_out: bool = False, n_views: int = 1) -> Examples:
    """Return n scenes in n_views encodings each, half of them from above; n must be even."""
    found: list[tuple[Image.Image, bool, str]] = []
    room, seed = {True: n // 2, False: n // 2}, first_seed
    while any(room.values()):
        scene = draw_scene(seed, is_held_out=is_held_out)
        if room[scene.is_from_above]:
            room[scene.is_from_above] -= 1
            for view in range(n_views):
                rng = np.random.default_rng([seed, view])
                image, recipe = _encode(rng, scene.image, scene.is_from_above)
                found.append((image, scene.is_from_above, f"{scene.kind} {recipe}"))
        seed += 1
    return _gather(found)


def world_examples(first_seed: int, n_clusters: int, n_single: int) -> Examples:
    """Return pictures of the generated world: n_clusters in all encodings, n_single in one encoding each."""
    gallery, recipes = Gallery(first_seed), sorted(RECIPES)
    files: list[ImageFile] = [file for _ in range(n_clusters) for file in gallery.draw(recipes)]
    files += [file for n in range(n_single) for file in gallery.draw([recipes[n % len(recipes)]])]
    return _gather(
        [(open_rgb(f.body, str(find_format(f.body))), f.kind in FROM_ABOVE, f"{f.kind} {f.recipe}") for f in files]
    )


def _encode(rng: Rng, image: Image.Image, is_from_above: bool) -> tuple[Image.Image, str]:
    if rng.random() < 0.5:
        width, height = (np.array(image.size) * rng.uniform(0.6, 1, 2)).astype(int).tolist()
        left, top = int(rng.integers(image.width - width + 1)), int(rng.integers(image.height - height + 1))
        image = image.crop((left, top, left + width, top + height))
    if is_from_above and rng.random() < 0.75:
        image = image.transpose(Image.Transpose(int(rng.integers(7))))
    if rng.random() < 0.3:
        quality = int(rng.integers(40, 96))
        return open_rgb(jpeg(image, quality), "JPEG"), f"jpeg_{quality}"
    recipe = sorted(RECIPES)[int(rng.integers(len(RECIPES)))]
    body = RECIPES[recipe](image)[0]
    return open_rgb(body, str(find_format(body))), recipe


def _gather(found: list[tuple[Image.Image, bool, str]]) -> Examples:
    return Examples(
        np.stack([np.asarray(cut_square(image, SIDE_PX)) for image, _, _ in found]),
        np.array([is_from_above for _, is_from_above, _ in found]),
        np.array([(image.width, image.height, image.width / image.height) for image, _, _ in found], np.float64),
        tuple(name for _, _, name in found),
    )
