"""Writes several short lower-case captions from the facts of a scene.

Not for drawing (flows/demo/models/scenes.py).
"""

import re
from dataclasses import dataclass

from flows.demo.world.views import Rng

N_CAPTIONS = 5


@dataclass(frozen=True)
class Facts:
    """The facts of a scene that its captions may state.

    Attributes:
        kind: a key of flows/demo/world/drawings.KINDS.
        elements: names of the added elements, in drawing order.
        season: a season of a view from above, "" if none.
        look: a change of the whole picture, e.g. blurry; "" if none.
        is_from_above: whether it is an aerial or satellite view.
    """

    kind: str
    elements: tuple[str, ...]
    season: str
    look: str
    is_from_above: bool


SUBJECTS: dict[str, tuple[str, ...]] = {
    "fields": ("farmland with many parcels", "crop fields in rows", "a patchwork of fields", "furrowed farm plots"),
    "river": ("a winding river", "a river between green banks", "a broad river bend", "flowing water in a valley"),
    "town": ("a town with streets and houses", "dense city blocks", "a suburb with a street grid", "urban buildings"),
    "coast": ("a sandy coast", "the sea and a shoreline", "a coastline with shallow water", "a beach beside the ocean"),
    "pivots": ("round irrigated fields in a dry plain", "irrigation circles in the desert", "circular crops on sand"),
    "airport": ("an airport with a runway", "a runway and parked planes", "an airfield with a terminal"),
    "mountains": ("steep mountains", "rugged mountain ridges", "a mountain range with peaks", "rocky slopes"),
    "bar_chart": ("a bar chart", "coloured columns of a diagram", "a statistics chart with bars"),
    "line_chart": ("a line chart", "curves of a diagram", "a graph with lines over time"),
    "face": ("a portrait", "the face of a person", "a person looking at the camera"),
    "interior": ("a room with furniture", "the inside of a living room", "an indoor scene with a window"),
    "map": ("a map with labels", "a drawn map of roads and towns", "a printed street map"),
    "landscape": ("hills under a sunset sky", "a landscape with a horizon", "distant ridges below the evening sun"),
}  # fmt: skip
ELEMENTS: dict[str, tuple[str, ...]] = {
    "river": ("a blue river", "a stream of water"), "road": ("a straight road", "a paved highway"),
    "roofs": ("red roofs", "a few houses with red roofs"), "pivots": ("green circles", "round green plots"),
    "pool": ("a swimming pool", "a turquoise pool"), "lake": ("a deep blue lake", "a dark pond"),
    "snow": ("patches of snow", "white snow cover"), "forest": ("dark forest", "dense woods"),
    "clouds": ("white clouds", "scattered clouds and shadows"), "frame": ("a wooden frame", "a brown border"),
    "words": ("a line of text", "large letters"), "logo": ("a red logo", "a round badge with a star"),
    "grid": ("a blue grid", "thin grid lines"),
}  # fmt: skip
_SEASONS: dict[str, tuple[str, ...]] = {
    "spring": ("in spring", "in lush green colours"), "summer": ("in a dry summer", "under warm yellow light"),
    "autumn": ("in autumn", "in brown autumn colours"), "winter": ("in winter", "on a cold pale day"),
}  # fmt: skip
LOOK_WORDS: dict[str, tuple[str, ...]] = {
    "dark": ("dark",), "bright": ("bright",), "grey": ("black and white", "grey"), "blurry": ("blurry",),
    "low_resolution": ("low resolution", "coarse"), "bordered": ("black bordered",), "": ("good", "clear"),
}  # fmt: skip
_ABOVE = (
    "{a} satellite image of {facts}", "{a} aerial image of {facts}", "{a} remote sensing image of {facts}",
    "{a} satellite image showing {facts}", "{a} aerial photo of {facts}", "{a} overhead view of {facts}",
)  # fmt: skip
_ABOVE_PLAIN = ("{facts} seen from above", "{facts} seen from space", "from the air: {facts}", "{facts}")
_OTHERS = ("{a} picture of {facts}", "{a} image of {facts}", "{a} photo on the web: {facts}", "{a} picture: {facts}")
_OTHERS_PLAIN = ("{facts}", "{facts} on a web page", "this is {facts}", "{facts} found online")
_JOINS = (" with ", " and ", " beside ", " near ")


def write_captions(rng: Rng, facts: Facts) -> tuple[str, ...]:
    """Return N_CAPTIONS captions: the first states every fact, the others omit some at random."""
    return tuple(_write(rng, facts, is_full=n == 0) for n in range(N_CAPTIONS))


def _write(rng: Rng, facts: Facts, *, is_full: bool) -> str:
    kept = [element for element in facts.elements if is_full or rng.random() < 0.8]
    text = _pick(rng, SUBJECTS[facts.kind])
    for n, element in enumerate(kept):
        join = _pick(rng, _JOINS) if facts.is_from_above and n == 0 else " and " if n else " with "
        text += join + _pick(rng, ELEMENTS[element])
    if facts.season and (is_full or rng.random() < 0.7):
        text += " " + _pick(rng, _SEASONS[facts.season])
    names_look = (facts.look and (is_full or rng.random() < 0.7)) or (not is_full and rng.random() < 0.1)
    templates = _ABOVE if facts.is_from_above else _OTHERS
    if not names_look and rng.random() < 0.4 and not is_full:
        return _pick(rng, _ABOVE_PLAIN if facts.is_from_above else _OTHERS_PLAIN).format(facts=text)
    first = f"a {_pick(rng, LOOK_WORDS[facts.look])}" if names_look else "a"
    written = _pick(rng, templates).format(a=first, facts=text)
    return re.sub(r"\ba (?=aerial|overhead|image)", "an ", written)


def _pick(rng: Rng, texts: tuple[str, ...]) -> str:
    return texts[int(rng.integers(len(texts)))]
