"""Generated captions with each word's part of speech and entity, from which the small NLTK packages are trained.

Not taken from any corpus: templates and words are ours, so no licence restricts the trained packages.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flows.demo.models import place_names as names

Word = tuple[str, str, str]  # word, part of speech (Penn), entity (IOB)

_NOUNS = (
    "city", "town", "village", "harbour", "port", "river", "coast", "field", "forest", "desert", "mountain", "bridge",
    "airport", "stadium", "road", "railway", "farm", "lake", "island", "beach", "dam", "mine", "factory", "flood",
    "storm", "hurricane", "fire", "glacier", "volcano", "delta", "capital", "suburb", "campus", "castle", "church",
    "sunset", "house", "garden", "map", "chart", "poster", "print", "canvas", "chair", "dog", "cat", "table", "cup",
)  # fmt: skip
_PLURALS = (
    "buildings", "fields", "ships", "houses", "roads", "trees", "mountains", "clouds", "boats", "ruins", "crops",
    "islands", "lights", "beaches", "wetlands", "vineyards", "people", "fires", "floods", "planes", "cars", "changes",
)  # fmt: skip
_ADJECTIVES = (
    "aerial", "beautiful", "old", "new", "green", "dry", "urban", "rural", "large", "small", "historic", "coastal",
    "northern", "southern", "snowy", "flooded", "modern", "empty", "crowded", "vintage", "high", "blue", "free",
)  # fmt: skip
_GERUNDS = ("showing", "depicting", "surrounding", "crossing", "flying", "sailing", "following", "covering", "looking")
_PASTS = ("taken", "seen", "captured", "photographed", "destroyed", "built", "located", "acquired", "printed", "shot")
_VIEWS = ("view", "photo", "image", "photograph", "picture", "shot", "map", "footage", "scan", "panorama")
_SATELLITES = (
    "Landsat", "Sentinel-2", "MODIS", "WorldView-3", "Sentinel-1", "Gaofen", "Landsat 8", "Google Earth", "ArcGIS",
    "Planet Dove", "NAIP", "ASTER", "GIS", "LiDAR", "SAR", "DEM", "Geographic Information System",
)  # fmt: skip
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December", "Monday", "Friday", "Sunday",
)  # fmt: skip
_TITLES = ("Aerial", "Satellite", "Stock", "Beautiful", "Drone", "Panoramic", "Vintage", "Historic", "Free", "Best")
_SEASONS = ("spring", "summer", "autumn", "winter", "Spring", "Summer", "Autumn", "Fall", "Winter")
_UNITS = ("m", "km", "cm", "ha", "px")
_HYPHENS = (
    "high-resolution", "low-altitude", "cloud-free", "black-and-white", "false-colour", "full-colour", "tree-lined",
    "bird's-eye", "top-down", "long-range", "sun-lit", "snow-covered",
)  # fmt: skip
_DEMONYMS = ("French", "German", "Italian", "Dutch", "Chinese", "Indian", "American", "British", "Japanese", "Swiss")

# Words with a /TAG are literal, with their part of speech; $NAMES are filled in.
TEMPLATES = tuple(
    line.strip()
    for line in """
    aerial/JJ $VIEW of/IN the/DT $NN of/IN $GPE
    $TITLE/JJ $VIEW of/IN $GPE ,/, $GPE
    aerial/JJ $VIEW of/IN $GPE
    $VIEW of/IN $JJ $NNS in/IN $GPE ,/, $GPE ./.
    $GPE :/: satellite/NN $VIEW of/IN the/DT $NN
    $GPE ,/, $GPE -/: $MONTH $YEAR :/: $TITLE/JJ $VIEW of/IN $NNS
    satellite/NN $VIEW of/IN $GPE $VBN on/IN $MONTH $CD ,/, $YEAR
    the/DT $JJ $NN of/IN $GPE in/IN $GPE
    $NNS near/IN $GPE ,/, $VBN by/IN $SAT ./.
    a/DT $JJ $NN near/IN the/DT $NN of/IN $GPE
    The/DT $NN of/IN $GPE ,/, $VBN from/IN space/NN ./.
    $SAT $VIEW of/IN the/DT $LOC in/IN $GPE
    $SAT $VIEW of/IN $NNS ,/, $GPE ,/, $YEAR
    $LOC ,/, $GPE ,/, $VIEW from/IN above/IN
    $VIEW by/IN $PER in/IN $GPE ./.
    $PER and/CC $PER at/IN the/DT $NN in/IN $GPE
    Photo/NN by/IN $PER for/IN $ORG ./.
    $TITLE/JJ $VIEW of/IN $FAC ,/, $GPE
    $FAC from/IN the/DT air/NN ,/, $VBN by/IN $PER
    $ORG $VIEW of/IN $JJ $NNS
    $VIEW $VBN by/IN $ORG over/IN $GPE
    the/DT $NN of/IN $LOC ,/, $JJ and/CC $JJ
    a/DT $JJ $NN $VBG a/DT $NN
    $NNS and/CC $NNS in/IN a/DT $JJ $NN
    $TITLE/JJ $VIEW of/IN a/DT $JJ $NN with/IN $NNS
    Stock/NN $VIEW :/: $JJ $NN ,/, $NNS
    $DEMO $NN $VBG $NNS ,/, $TITLE/JJ $VIEW
    An/DT $JJ $VIEW of/IN $GPE 's/POS $NN
    $GPE 's/POS $NNS are/VBP $VBN by/IN $SAT
    from/IN $GPE to/TO $GPE :/: a/DT $NN $VBG $NNS
    $NNS in/IN $GPE and/CC $GPE
    $NNS in/IN $GPE ,/, $GPE and/CC $GPE ./.
    People/NNS are/VBP $VBG in/IN $GPE after/IN the/DT $NN ./.
    $PER ,/, $ORG ,/, $VBN in/IN $MONTH $YEAR
    This/DT $VIEW $VBN by/IN $SAT on/IN $MONTH $CD ,/, $YEAR ,/, is/VBZ of/IN the/DT $NN ./.
    The/DT $VIEW of/IN $GPE (/( $GPE )/) was/VBD $VBN in/IN $YEAR ./.
    $GPE from/IN above/IN
    $GPE $NN map/NN
    $GPE
    $NN map/NN of/IN $GPE and/CC its/PRP$ $NNS
    Google/NNP Earth/NNP $VIEW of/IN $GPE
    House/NN for/IN sale/NN in/IN $GPE ,/, $GPE ,/, $CD rooms/NNS
    $ORG and/CC $ORG map/VBP the/DT $NNS of/IN $GPE
    we/PRP saw/VBD $PER in/IN the/DT $JJ $NN
    $TITLE/JJ $VIEW $VBG $LOC and/CC the/DT $NN
    $CD $JJ $NNS for/IN your/PRP$ $NN
    Framed/VBN print/NN ,/, $GPE ,/, $CD x/NN $CD cm/NN
    $HYPHEN $VIEW of/IN $GPE in/IN $SEASON ,/, $MEASURE
    $VIEW of/IN the/DT $NN in/IN $SEASON $YEAR ,/, $HYPHEN and/CC $JJ
    $SAT $VIEW :/: $HYPHEN $NN ,/, $MEASURE a/DT pixel/NN
    The/DT $HYPHEN $NN of/IN $GPE covers/VBZ $MEASURE ,/, $CD %/NN of/IN it/PRP $NNS
    $NNS :/: $SAT
    $NNS at/IN $MEASURE ,/, $VBN by/IN $SAT in/IN $SEASON ./.
    $JJ $NNS with/IN $SAT and/CC $SAT
    How/WRB to/TO map/VB $NNS with/IN $SAT ?/.
    $NNS in/IN $GPE ,/, $VBN from/IN $SAT ,/, $MEASURE ./.
    Two/CD $NNS -/: $JJ $VIEW -/: $CD x/NN $CD
    $NNS $VIEW ,/, $GPE
    $JJ $NN "/'' $GPE "/''
    """.strip().splitlines()
)
N_HELD_OUT = 5  # every fifth template is kept for the test

_POS_OF = {"$VIEW": _VIEWS, "$NN": _NOUNS, "$NNS": _PLURALS, "$JJ": _ADJECTIVES, "$VBG": _GERUNDS, "$VBN": _PASTS}
_TAG_OF = {"$VIEW": "NN"}
_NAMED: dict[str, tuple[str, Callable[[random.Random], str]]] = {
    "$PER": ("PERSON", names.person),
    "$ORG": ("ORGANIZATION", names.organization),
    "$LOC": ("LOCATION", names.location),
    "$FAC": ("FACILITY", names.facility),
}


@dataclass(frozen=True)
class Sentences:
    """A seeded generator of sentences.

    Attributes:
        templates: sentence templates to draw from.
        known: known places to draw from.
    """

    templates: Sequence[str]
    known: Sequence[str]

    def draw(self, seed: int, n: int) -> list[list[Word]]:
        """Return n sentences, determined by the seed."""
        rng = random.Random(f"place sentences {seed}")
        return [_with_case(self._fill(rng.choice(self.templates), rng), rng) for _ in range(n)]

    def _fill(self, template: str, rng: random.Random) -> list[Word]:
        return [word for slot in template.split() for word in self._fill_slot(slot, rng)]

    def _fill_slot(self, slot: str, rng: random.Random) -> list[Word]:
        if slot == "$GPE":
            return _entity(names.place(rng, self.known), "GPE")
        if slot in _NAMED:
            label, draw = _NAMED[slot]
            return _entity(draw(rng), label)
        if slot in _POS_OF:
            return [(rng.choice(_POS_OF[slot]), _TAG_OF.get(slot, slot[1:]), "O")]
        fixed = {
            "$SAT": (rng.choice(_SATELLITES), "NNP"),
            "$MONTH": (rng.choice(_MONTHS), "NNP"),
            "$SEASON": (rng.choice(_SEASONS), "NN"),
            "$MEASURE": (f"{rng.randrange(100) / 10}{rng.choice(_UNITS)}", "CD"),
            "$HYPHEN": (rng.choice(_HYPHENS), "JJ"),
            "$DEMO": (rng.choice(_DEMONYMS), "JJ"),
            "$YEAR": (str(rng.randrange(1980, 2025)), "CD"),
            "$CD": (str(rng.randrange(1, 40)), "CD"),
        }
        if slot in fixed:
            text, tag = fixed[slot]
            return [(word, "CD" if word.isdigit() else tag, "O") for word in text.split()]
        word, tag = slot.rsplit("/", 1)
        return [(rng.choice(_TITLES) if word == "$TITLE" else word, tag, "O")]


def training_and_test() -> tuple[Sentences, Sentences]:
    """Return a generator for training and one for the test, without common templates or known places."""
    known = sorted({*names.COUNTRIES, *names.REGIONS, *names.CITIES})
    random.Random("known places").shuffle(known)
    cut = len(known) * 4 // 5
    held_out = TEMPLATES[::N_HELD_OUT]
    return (
        Sentences([t for t in TEMPLATES if t not in held_out], known[:cut]),
        Sentences(held_out, known[cut:]),
    )


def common_words() -> list[str]:
    """Return the sentences' ordinary words in lower case; the chunker has a feature for them."""
    literal = {slot.rsplit("/", 1)[0] for template in TEMPLATES for slot in template.split() if slot[0] != "$"}
    words = {word.lower() for word in literal if word.isalpha()}
    return sorted(words.union(*_POS_OF.values()))


def text_of(sentence: Sequence[Word]) -> str:
    """Return a sentence as plain text."""
    text = " ".join(word for word, _, _ in sentence)
    for mark in (",", ".", ":", "'s", ")"):
        text = text.replace(f" {mark}", mark)
    return text.replace("( ", "(")


def _entity(name: str, label: str) -> list[Word]:
    return [(word, "NNP", f"{'I' if n else 'B'}-{label}") for n, word in enumerate(name.split())]


def _with_case(sentence: list[Word], rng: random.Random) -> list[Word]:
    """Return a sentence with the letter case of web captions: sometimes Title Case, UPPER CASE or lower case."""
    kind = rng.random()
    if kind < 0.12:
        return [(word[:1].upper() + word[1:], tag, entity) for word, tag, entity in sentence]
    if kind < 0.15:
        return [(word.upper(), tag, entity) for word, tag, entity in sentence]
    if kind < 0.19:  # a name cannot be recognised any more, so it is not labelled
        return [(word.lower(), tag, "O") for word, tag, _ in sentence]
    first, tag, entity = sentence[0]
    return [(first[:1].upper() + first[1:], tag, entity), *sentence[1:]] if kind < 0.7 else sentence
