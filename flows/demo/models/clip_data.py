"""Training examples for the demo image-text models: scenes in the web's encodings, with captions, at 64 px.

Not for training on them (flows/demo/models/clip.py).
"""

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from flows.demo.models.scene_captions import Facts
from flows.demo.models.scenes import Scene, draw_scene
from flows.demo.world.drawings import FROM_ABOVE
from flows.demo.world.images import RECIPES, Gallery, jpeg
from flows.demo.world.views import Rng
from stages.images.formats import find_format
from stages.images.rgb import open_rgb

SIDE_PX = 64
BATCH, N_EPOCHS = 256, 16
N_THREADS = 1  # a second thread costs CPU time and hardly shortens the wall time


@dataclass(frozen=True)
class Pairs:
    """Images with captions.

    Attributes:
        squares: images at the models' input size, uint8 [n, SIDE_PX, SIDE_PX, 3].
        captions: all captions of each image; the first names all facts.
        facts: the facts of each image.
        is_from_above: bool [n].
        sizes: width and height in px before resizing, and aspect, float64 [n, 3].
    """

    squares: np.ndarray
    captions: tuple[tuple[str, ...], ...]
    facts: tuple[Facts, ...]
    is_from_above: np.ndarray
    sizes: np.ndarray


@lru_cache(maxsize=4)
def draw_pairs(first_seed: int, n: int, *, is_held_out: bool = False) -> Pairs:
    """Return n scenes, each in one encoding chosen by its seed."""
    seen = [_see(first_seed + k, is_held_out) for k in range(n)]
    return Pairs(
        np.stack([square for _, square, _ in seen]),
        tuple(scene.captions for scene, _, _ in seen),
        tuple(scene.facts for scene, _, _ in seen),
        np.array([scene.is_from_above for scene, _, _ in seen]),
        np.array([sizes for _, _, sizes in seen]),
    )


def _see(seed: int, is_held_out: bool) -> tuple[Scene, np.ndarray, tuple[float, float, float]]:
    """Return a scene without its image (thousands are held at once), its square and its sizes."""
    scene = draw_scene(seed, is_held_out=is_held_out)
    image = encode_somehow(np.random.default_rng([seed, 7]), scene.image, scene.is_from_above)
    return replace(scene, image=Image.new("RGB", (1, 1))), squash(image), size_facts(image)


@lru_cache(maxsize=4)
def draw_world(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return squares, is_from_above and sizes of n images of the generated world, cycling through its encodings."""
    gallery, recipes = Gallery(seed), sorted(RECIPES)
    files = [gallery.draw([recipes[k % len(recipes)]])[0] for k in range(n)]
    images = [open_rgb(file.body, str(find_format(file.body))) for file in files]
    return (
        np.stack([squash(image) for image in images]),
        np.array([file.kind in FROM_ABOVE for file in files]),
        np.array([size_facts(image) for image in images]),
    )


def squash(image: Image.Image) -> np.ndarray:
    """Return the whole image resized to a square, like open_clip's resize mode "squash"."""
    return np.asarray(image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC))


def size_facts(image: Image.Image) -> tuple[float, float, float]:
    """Return an image's width and height in px, and its aspect."""
    return image.width, image.height, image.width / image.height


def encode_somehow(rng: Rng, image: Image.Image, is_from_above: bool) -> Image.Image:
    """Return an image randomly cropped, turned and encoded; images that are not from above are rarely turned."""
    if rng.random() < 0.3:
        width, height = (max(8, int(side * rng.uniform(0.85, 1))) for side in image.size)
        left, top = int(rng.integers(image.width - width + 1)), int(rng.integers(image.height - height + 1))
        image = image.crop((left, top, left + width, top + height))
    if rng.random() < (0.7 if is_from_above else 0.15):
        image = image.transpose(Image.Transpose(int(rng.integers(7))))
    chance = rng.random()
    if chance < 0.5:
        return image
    if chance < 0.6:
        return open_rgb(jpeg(image, int(rng.integers(35, 96))), "JPEG")
    recipe = sorted(RECIPES)[int(rng.integers(len(RECIPES)))]
    body = RECIPES[recipe](image)[0]
    return open_rgb(body, str(find_format(body)))


def digest(folder: Path) -> str:
    """Return the sha256 of a model's weights."""
    return hashlib.sha256((folder / "open_clip_model.safetensors").read_bytes()).hexdigest()
