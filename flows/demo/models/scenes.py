"""Draws the demo models' training scenes: a world picture with up to two elements, a season and a look.

Not for captions (flows/demo/models/scene_captions.py) or the demo's own images (flows/demo/world/images.py).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from flows.demo.models.scene_captions import Facts, write_captions
from flows.demo.models.scene_elements import ABOVE_ELEMENTS, OTHER_ELEMENTS
from flows.demo.world.drawings import FROM_ABOVE, KINDS
from flows.demo.world.views import Rng

SIDES_PX = (64, 96, 128, 200, 256, 320, 420)
SHARE_FROM_ABOVE = 0.65
SHARE_WITH_ELEMENTS, SHARE_WITH_SEASON, SHARE_WITH_LOOK = 0.65, 0.5, 0.25
# Pairs that are never drawn: such an element would not stand out in such a view.
_NEVER = {
    ("river", "river"), ("town", "roofs"), ("town", "road"), ("pivots", "pivots"), ("coast", "lake"),
    ("mountains", "snow"), ("line_chart", "grid"), ("face", "grid"), ("interior", "grid"), ("landscape", "grid"),
}  # fmt: skip
HELD_OUT = frozenset({
    ("fields", "pool"), ("fields", "lake"), ("river", "snow"), ("river", "pivots"), ("town", "forest"),
    ("town", "clouds"), ("coast", "road"), ("coast", "snow"), ("pivots", "roofs"), ("airport", "river"),
    ("airport", "forest"), ("mountains", "clouds"), ("mountains", "pool"), ("bar_chart", "logo"),
    ("line_chart", "frame"), ("face", "frame"), ("interior", "words"), ("map", "logo"), ("landscape", "words"),
})  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """One picture with its captions and facts.

    Attributes:
        image: RGB, its sides as in the generated world.
        captions: short lower-case sentences, each stating some of the facts.
        kind: a key of flows/demo/world/drawings.KINDS.
        is_from_above: whether it is an aerial or satellite view.
        facts: the facts that captions may state.
    """

    image: Image.Image
    captions: tuple[str, ...]
    kind: str
    is_from_above: bool
    facts: Facts


def draw_scene(seed: int, *, is_held_out: bool = False) -> Scene:
    """Return the scene of a seed; held-out scenes combine a kind and an element that no other scene combines."""
    rng = np.random.default_rng([seed, int(is_held_out)])
    is_from_above = bool(rng.random() < SHARE_FROM_ABOVE)
    kind, elements = _compose(rng, is_from_above, is_held_out)
    width, height = _choose_size(rng)
    image = KINDS[kind](rng, width, height).convert("RGB")
    season = str(rng.choice(sorted(SEASONS))) if is_from_above and rng.random() < SHARE_WITH_SEASON else ""
    image = SEASONS[season](image) if season else image
    drawers = ABOVE_ELEMENTS if is_from_above else OTHER_ELEMENTS
    for element in elements:
        image = drawers[element](rng, image)
    look = str(rng.choice(sorted(LOOKS))) if rng.random() < SHARE_WITH_LOOK else ""
    image = LOOKS[look](image) if look else image
    facts = Facts(kind, elements, season, look, is_from_above)
    return Scene(image, write_captions(rng, facts), kind, is_from_above, facts)


def _compose(rng: Rng, is_from_above: bool, is_held_out: bool) -> tuple[str, tuple[str, ...]]:
    if is_held_out:
        pairs = sorted(pair for pair in HELD_OUT if (pair[0] in FROM_ABOVE) == is_from_above)
        kind, element = pairs[int(rng.integers(len(pairs)))]
        return kind, (element,)
    kind = str(rng.choice(sorted(kind for kind in KINDS if (kind in FROM_ABOVE) == is_from_above)))
    if rng.random() >= SHARE_WITH_ELEMENTS:
        return kind, ()
    known = ABOVE_ELEMENTS if is_from_above else OTHER_ELEMENTS
    allowed = sorted(name for name in known if (kind, name) not in _NEVER | HELD_OUT)
    n_elements = 2 if is_from_above and rng.random() < 0.3 else 1
    return kind, tuple(str(name) for name in rng.choice(allowed, n_elements, replace=False))


def _choose_size(rng: Rng) -> tuple[int, int]:
    width, height = (int(side) for side in rng.choice(SIDES_PX, 2))
    return width, int(np.clip(height, width // 2, width * 2))


def _tint(red: float, green: float, blue: float, lift: float = 0.0) -> Callable[[Image.Image], Image.Image]:
    def change(image: Image.Image) -> Image.Image:
        values = np.asarray(image, np.float32) * (red, green, blue) + lift
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))

    return change


def _make_wintry(image: Image.Image) -> Image.Image:
    values = np.asarray(image, np.float32)
    grey = values.mean(axis=2, keepdims=True)
    cold = (0.35 * values + 0.65 * grey) * (0.92, 0.98, 1.1) + 22
    return Image.fromarray(np.clip(cold, 0, 255).astype(np.uint8))


def _lower_resolution(image: Image.Image) -> Image.Image:
    small = image.resize((max(12, image.width // 10), max(12, image.height // 10)), Image.Resampling.BOX)
    return small.resize(image.size, Image.Resampling.NEAREST)


def _frost(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(max(2.5, min(image.size) / 40)))


def _add_border(image: Image.Image) -> Image.Image:
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, image.width - 1, image.height - 1), outline=(0, 0, 0), width=max(2, min(image.size) // 16))
    return image


SEASONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "spring": _tint(0.78, 1.12, 0.82), "summer": _tint(1.18, 1.02, 0.72, 8), "autumn": _tint(1.22, 0.86, 0.62),
    "winter": _make_wintry,
}  # fmt: skip
LOOKS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "dark": _tint(0.45, 0.45, 0.48), "bright": _tint(1.15, 1.15, 1.15, 45),
    "grey": lambda image: image.convert("L").convert("RGB"), "blurry": _frost, "low_resolution": _lower_resolution,
    "bordered": _add_border,
}  # fmt: skip
