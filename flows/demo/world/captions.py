"""Captions of the generated world, with and without a keyword, and the keyword patterns.

Not the pipeline's keyword list: this copy is kept separately, so that tests find differences.
"""

import random
from collections.abc import Callable

from flows.demo.world.corpora import CC3M, CC12M, YFCC

_ENDINGS = {
    "imag": ("e", "es", "ery", "ing"), "photo": ("", "s", "graph", "graphy"), "map": ("", "s", "ping"),
    "pic": ("", "s", "ture", "tures"), "view": ("", "s"), "scan": ("", "s", "ner"), "observ": ("ation", "ing"),
}  # fmt: skip
PATTERNS = (
    "remote sensing", "earth observ",
    *(f"aerial {stem}" for stem in ("imag", "photo", "map", "pic", "view", "scan", "satellite")),
    *(f"satellite {stem}" for stem in ("imag", "photo", "map", "pic", "view", "scan", "data", "surveillance")),
    *(f"{way} {stem}" for way in ("space", "spaceborne", "space-borne") for stem in ("photo", "imag", "view")),
    "space surveillance", "Google Earth", "Freesound", "Sentinel-1", "Sentinel-2", "Gaofen", "USGS", "NAIP", "MODIS",
    "EOSDIS", "WorldView", "Planet Dove", "ArcGIS", "Maxar", "Landsat", "Geographic Information System",
)  # fmt: skip
_NOT_IN = {CC3M: "\t\r\n", CC12M: "\r\n"}  # characters that a caption cannot contain in these formats
# CC12M replaces names of people; quotes and tabs after the first have no meaning.
_CC12M = ("<PERSON> and CAPTION", "CAPTION", '12" print, CAPTION', "CAPTION\tstock")
_TO_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_SUBJECTS = (
    "a river delta at low water", "terraced rice fields", "an old harbour town", "circular wheat fields", "two runways",
    "a glacier tongue", "flooded meadows", "a quarry lake", "vineyards on a slope", "a new ring road", "salt ponds",
    "a dry valley", "burnt pine forest", "greenhouses by the sea", "a shipyard", "suburban gardens",
)  # fmt: skip
_PLACES = ("Norvale", "Port Amsel", "the Lower Tarn", "Kestrel Bay", "Oudewater", "Sierra Lobo", "Hüttental", "新港")
_MATCHING = (
    "{k} of {s} near {p}", "{s}, {p} - {k}", "{p}: {s} ({k})", "{k}: {s}", "our favourite {k}, showing {s}", "{k}",
    "{s} in {p}, taken from {k} of last spring", "framed print, {s}, {k}, 40 x 60 cm",
    "{k} and {k2} of {s}", "&quot;{k}&quot; of {p} &amp;#39;today&amp;#39;", "🌍🛰️ {k} {s} 🌾",
    "{s}\x07 {k}\x1b[0m", "{s}\u2028{k}\x85{p}\x0b{k2}\x0c", "\"{k}\" of {s}, {p}", "{s} before\nand after: {k}",
    "مشهد {k} {p}", "x{k}x", "{s}{k}", "{s}\t{k}\t{p}", "{s}, 12\" print, {k}",
)  # fmt: skip
# Keywords match as substrings, also inside other words.
_MATCHING_TRAPS = (
    "a modish armchair in green velvet", "first editions by V. S. Naipaul", "NON-AERIAL VIEWPOINT, STILL A MATCH",
    "LANDSAT 8 scene", "AERIAL VIEW", "aerial imageaerial image", "Aerial Photography services", "usgs.gov logo",
    "sAtElLiTe ImAgErY of the delta", "subaerial mapping of dunes", "aerospace viewing platform", "google earthquake",
)  # fmt: skip
_NEAR_MISSES = (
    "aerialimage of a farm", "space shuttle on its pad", "sat image, {p}", "modi s visit to {p}", "U\u017fGS gauge",
    "Land\u017fat mosaic", "re\u2098ote sensing", "MOD\u0131S tile", "NA\u0130P mosaic", "\uff27aofen-1 scene",
    "G\u0430ofen scene of {p}", "\u212aestrel over {p}, Gao\u212afen", "aerial\u00a0view of {p}", "aerial  view of {p}",
    "aerial\nview of {p}", "aerial\tview of {p}", "aerial-view of {p}", "satellites imagined", "satellite-image of {p}",
    "Sentinel 2 tile", "remote-sensing lecture", "remote\u200b sensing", "Google, Earth and Mars", "World View hotel",
    "aerial &#118;iew", "space, imagined", "a space between photos", "Planet of Doves", "earth, observed",
    "max arm length", "naif art",
    "acrobats hang in an aerial", "image of {s}", "dish for satellite", "photos of {s}", "view of {p} from space",
)  # fmt: skip
_OTHERS = (
    "{s} at dusk, {p}", "a wooden chair beside a window", "bar chart of rainfall in {p}", "portrait of a potter, {p}",
    "{s}, watercolour", "three cups on a blue table", "hiking above {p}", "road sign before {p}", "red bicycle, used",
    "the team after the match in {p}", "knitted jumper, size {n}", "house number {n}", "recipe {n}: bread with seeds",
    "&quot;{p}&quot; &amp; other songs, track {n}", "🚲 {p} 🚲",
)  # fmt: skip


def holds_keyword(caption: str) -> bool:
    """Return whether the caption contains a pattern, ignoring the case of ASCII letters."""
    folded = ascii_lower(caption)
    return any(ascii_lower(pattern) in folded for pattern in PATTERNS)


def ascii_lower(text: str) -> str:
    """Return the text with only its ASCII letters lowered."""
    return text.translate(_TO_LOWER)


class Captions:
    """Generates captions with a keyword, using all patterns in turn, and captions without one."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._n = 0

    def matching(self, corpus: str) -> str:
        """Return the next caption with a keyword for a corpus."""
        return self._checked(corpus, self._matching, wanted=True)

    def other(self, corpus: str) -> str:
        """Return the next caption without a keyword for a corpus."""
        return self._checked(corpus, self._other, wanted=False)

    def _checked(self, corpus: str, make: Callable[[], str], *, wanted: bool) -> str:
        while True:
            caption = make()
            if holds_keyword(caption) != wanted:
                raise RuntimeError(f"the caption {caption[:200]!r} should {'' if wanted else 'not '}contain a keyword")
            if corpus == YFCC and self._n % 4 == 0:  # Flickr allows some HTML
                return f'<a href="http://www.flickr.com/" rel="nofollow">{caption}</a>'
            if any(char in caption for char in _NOT_IN.get(corpus, "")):
                continue
            return _CC12M[self._n % len(_CC12M)].replace("CAPTION", caption) if corpus == CC12M else caption

    def _matching(self) -> str:
        self._n += 1
        if self._n % 9 == 0:
            return _MATCHING_TRAPS[self._n // 9 % len(_MATCHING_TRAPS)]
        text = self._filled(self._rng.choice(_MATCHING), PATTERNS[self._n % len(PATTERNS)])
        return f"{self._filled('{s}, {p}; ', '') * 120}{text}" if self._n % 67 == 0 else text

    def _other(self) -> str:
        self._n += 1
        texts = _NEAR_MISSES if self._rng.random() < 0.3 else _OTHERS
        text = self._filled(self._rng.choice(texts), "")
        return " / ".join([text] * 150) if self._n % 331 == 0 else text

    def _filled(self, template: str, pattern: str) -> str:
        rng = self._rng
        return template.format(
            k=self._keyword(pattern), k2=self._keyword(rng.choice(PATTERNS)), s=rng.choice(_SUBJECTS),
            p=rng.choice(_PLACES), n=rng.randrange(100, 999),
        )  # fmt: skip

    def _keyword(self, pattern: str) -> str:
        ending = self._rng.choice(_ENDINGS.get(pattern.rsplit(" ", 1)[-1], ("",)))
        change = self._rng.choice((str, str, str, str.upper, str.title, str.swapcase, str.lower))
        return change(pattern + ending)
