"""The generated world: source files, the web behind their URLs, and the planned fate of every row.

An independent oracle: it decides fates from its own plan and imports nothing of the pipeline. Everything is a pure
function of the number of rows, the seed and the port.
"""

import argparse
import csv
import hashlib
import json
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.world_images import NEAR_BITS, Gallery, ImageFile, damaged, plain_jpeg
from tests.world_server import Answer, serve

LAION, COYO, CC3M = CORPORA = ("laion2b", "coyo700m", "cc3m")
# Part numbers have gaps, so that a position in a listing cannot pass for the number in the name.
PARTS = {LAION: (0, 1, 17), COYO: (0, 3, 127), CC3M: (0,)}
FILE_NAMES = {
    LAION: "part-{:05d}-5114fd87-297e-42b0-9d11-50f1df323dfa-c000.snappy.parquet",
    COYO: "part-{:05d}-17da4908-939c-46e5-91d0-15f256041956-c000.snappy.parquet",
    CC3M: "Train_GCC-training.tsv",
}
MIN_ROWS = 300
ROW_GROUP_ROWS = 200
_WORLD_NAMES = frozenset({"sources", "www", "routes.json", "fates.csv", "world.json"})
HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "localhost")


@dataclass(frozen=True)
class Fate:
    """What must become of a source row; `stage` is the one that decides, write_shards for kept rows."""

    sample_id: str
    corpus: str
    url: str
    stage: str
    fate: str
    reason: str
    survivor: str


@dataclass(frozen=True)
class World:
    """A generated world on disk.

    Attributes:
        out: holds sources/, www/, routes.json, fates.csv and world.json.
        fates: one per source row, in the order of corpus, part and row.
    """

    out: Path
    n_rows: int
    seed: int
    port: int
    fates: tuple[Fate, ...]

    @property
    def sources(self) -> Path:
        """The SOURCES folder."""
        return self.out / "sources"

    def counts(self) -> dict[str, int]:
        """Return the number of rows by `stage/reason`, `stage/kept` for kept ones."""
        found = Counter(f"{fate.stage}/{fate.reason or fate.fate}" for fate in self.fates)
        return dict(sorted(found.items()))


@dataclass
class _Row:
    """A source row while it is planned.

    Attributes:
        line: the bytes of a line of cc3m that cannot be read; caption and URL are then not used.
        image: what arrives at the end, if it is valid.
    """

    corpus: str
    caption: str | None
    url: str | None
    stage: str = "write_shards"
    reason: str = ""
    line: bytes | None = None
    image: ImageFile | None = None
    sample_id: str = ""
    survivor: str = ""

    @property
    def rank(self) -> tuple[int, str]:
        """The order in which rows of a cluster survive."""
        tier = {"laion2b": 0, "laion400m": 0, "coyo700m": 0, "laioncoco": 2}.get(self.corpus, 1)
        return tier, hashlib.sha256(f"dedup:{self.sample_id}".encode()).hexdigest()


# Captions.

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
    "مشهد {k} {p}", "x{k}x", "{s}{k}",
)  # fmt: skip
# Substrings count: words that only hold the letters of a keyword match as well.
_MATCHING_TRAPS = (
    "a modish armchair in green velvet", "first editions by V. S. Naipaul", "NON-AERIAL VIEWPOINT, STILL A MATCH",
    "LANDSAT 8 scene", "AERIAL VIEW", "aerial imageaerial image", "Aerial Photography services", "usgs.gov logo",
    "sAtElLiTe ImAgErY of the delta", "subaerial mapping of dunes", "aerospace viewing platform", "google earthquake",
)  # fmt: skip
_NEAR_MISSES = (
    "aerialimage of a farm", "space shuttle on its pad", "sat image, {p}", "modi s visit to {p}", "U\u017fGS gauge",
    "Land\u017fat mosaic", "re\u2098ote sensing", "MOD\u0131S tile", "NA\u0130P mosaic", "\uff27aofen-1 scene",
    "G\u0430ofen scene of {p}", "\u212aestrel over {p}, Gao\u212afen", "aerial\u00a0view of {p}", "aerial  view of {p}",
    "aerial\nview of {p}", "aerial-view of {p}", "satellites imagined", "satellite-image of {p}", "Sentinel 2 tile",
    "remote-sensing lecture", "remote\u200b sensing", "Google, Earth and Mars", "World View hotel", "aerial &#118;iew",
    "space, imagined", "a space between photos", "Planet of Doves", "earth, observed", "max arm length", "naif art",
    "acrobats hang in an aerial", "image of {s}", "dish for satellite", "photos of {s}", "view of {p} from space",
)  # fmt: skip
_OTHERS = (
    "{s} at dusk, {p}", "a wooden chair beside a window", "bar chart of rainfall in {p}", "portrait of a potter, {p}",
    "{s}, watercolour", "three cups on a blue table", "hiking above {p}", "road sign before {p}", "red bicycle, used",
    "the team after the match in {p}", "knitted jumper, size {n}", "house number {n}", "recipe {n}: bread with seeds",
    "&quot;{p}&quot; &amp; other songs, track {n}", "🚲 {p} 🚲",
)  # fmt: skip


def holds_keyword(caption: str) -> bool:
    """Tell whether a pattern is in the caption, ASCII letters compared without regard to case."""
    folded = caption.translate(_TO_LOWER)
    return any(pattern.translate(_TO_LOWER) in folded for pattern in PATTERNS)


class _Captions:
    """Captions with a keyword, all patterns in turn, and captions without one."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._n = 0

    def matching(self, corpus: str) -> str:
        return self._checked(corpus, self._matching, wanted=True)

    def other(self, corpus: str) -> str:
        return self._checked(corpus, self._other, wanted=False)

    def _checked(self, corpus: str, make: Callable[[], str], *, wanted: bool) -> str:
        while True:
            caption = make()
            if holds_keyword(caption) != wanted:
                raise RuntimeError(f"the caption {caption[:200]!r} should {'' if wanted else 'not '}hold a keyword")
            if corpus != CC3M or not any(char in caption for char in "\t\r\n"):
                return caption

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


# What a URL answers; passes in turn, the last one for ever. "file" and "location" are filled in.

_FILE: Answer = {"kind": "file", "type": "image/jpeg"}
_CUT: Answer = {"kind": "cut", "type": "image/jpeg"}
_LARGE: Answer = {"kind": "padded", "type": "image/jpeg", "n_bytes": 12_000_000, "is_announced": True}


def _status(number: int) -> Answer:
    return {"kind": "status", "status": number}


def _redirect(location: str, status: int = 302) -> Answer:
    return {"kind": "redirect", "status": status, "location": location}


def _robots(value: str) -> Answer:
    return {**_FILE, "headers": {"X-Robots-Tag": value}}


_FAILING: dict[str, tuple[tuple[Answer, ...], ...]] = {
    # What is refused for a final reason is settled: the second pass must not ask again.
    "http_not_found": ((_status(404),), (_status(410),), (_status(404), _FILE), (_status(503), _status(404))),
    "http_forbidden": ((_status(403),), (_status(403),), (_status(401),), (_status(451),)),
    "http_client_error": ((_status(400),), (_status(405),), (_status(418),)),
    "http_throttled": ((_status(429),),),
    "http_server_error": ((_status(503),), (_status(500),), (_status(502),)),
    "timeout": (({"kind": "hang"},), ({"kind": "drip", "type": "image/jpeg", "file": ""},)),
    "connection_failed": (({"kind": "close"},), ({"kind": "reset"},)),
    "truncated_body": ((_CUT,),),
    "private_address": (
        (_redirect("http://10.1.2.3/x.jpg"),),
        (_redirect("http://169.254.169.254/latest", 301),),
    ),
    "bad_redirect": (
        (_redirect("{self}", 301),),
        (_redirect("file:///etc/passwd"),),
        (_redirect("{hop29}"),),
        (_redirect("ftp://127.0.0.1/x.jpg", 307),),
    ),
    "disallowed_by_header": (
        (_robots("noai"),), (_robots("noimageai"),), (_robots("NoAI, nofollow"),), (_robots("noindex, noai"),),
    ),
    "body_too_large": ((_LARGE,), ({**_LARGE, "is_announced": False},)),
    "invalid_response": (({"kind": "raw", "text": "SSH-2.0-OpenSSH_9.6\r\n"},),),
}  # fmt: skip
_PUBLISHED_PRIVATE = ("http://192.168.7.7/a.jpg", "http://10.0.0.5:8080/{n}.jpg", "http://[fd00::7]/{n}.jpg")
# Ways on which a good image arrives; the first stands for nine in ten.
_DELIVERIES: tuple[tuple[Answer, ...], ...] = (
    (_FILE,),
    (_status(503), _FILE),
    (_redirect("http://127.0.0.2:{port}{image}", 301),),
    (_status(429), _FILE),
    (_redirect("{image}", 302),),
    (_CUT, _FILE),
    (_redirect("http://127.0.0.3:{port}{chain}", 302),),
    ({"kind": "reset"}, _FILE),
    (_FILE, _status(404)),
    (_robots("nofollow"),),
    (_robots("otherbot: noai"),),
    ({**_FILE, "type": "application/octet-stream"},),
    (_redirect("http://127.0.0.1:{port}{image}", 308),),
)
_NOT_A_URL = ("hello world", "http://", "http:///x.jpg", "https://", "photo-{n}.jpg", "http://[::x/{n}.jpg")
_UNSUPPORTED = (
    "ftp://127.0.0.1/{n}.jpg", "file:///etc/passwd", "data:image/gif;base64,R0lGODlhAQABAAAAACw=", "FTP://127.0.0.2/x",
)  # fmt: skip
# Rows of 3,000 by the reason they are refused for; smaller worlds have at least 3 of each.
_N_ROWS = {
    "no_caption": 60, "no_url": 12, "wrong_field_count": 9, "invalid_utf8": 6, "not_a_url": 12, "unsupported_scheme": 9,
    "http_not_found": 40, "http_forbidden": 15, "http_client_error": 6, "http_throttled": 9, "http_server_error": 12,
    "timeout": 6, "connection_failed": 9, "truncated_body": 9, "private_address": 10, "bad_redirect": 8,
    "disallowed_by_header": 10, "body_too_large": 5, "invalid_response": 4,
    "empty_file": 8, "not_an_image": 20, "format_not_allowed": 9, "truncated_image": 12, "corrupt_image": 9,
    "too_many_pixels": 5,
}  # fmt: skip
_DAMAGED = ("empty_file", "not_an_image", "format_not_allowed", "truncated_image", "corrupt_image", "too_many_pixels")
_FORMATS = (
    "jpeg_exif", "png", "jpeg_progressive", "webp", "gif", "jpeg_cmyk", "png_palette", "bmp", "tiff", "png_alpha",
    "jpeg_grey", "png_grey", "png_grey16", "gif_two_frames", "mpo",
)  # fmt: skip
_TYPES = {"jpg": "jpeg", "tif": "tiff"}
# Clusters in turn: for each file its recipe, the paths it lies at, and the rows that name each path.
_CLUSTERS: tuple[tuple[tuple[str, int, int], ...], ...] = (
    (("jpeg", 1, 4), ("png_of_jpeg", 1, 1), ("half", 1, 1), ("crop", 1, 1), ("jpeg_60", 1, 2)),
    (("jpeg", 1, 2),),
    (("jpeg", 1, 1), ("png_of_jpeg", 1, 1)),
    (("jpeg", 1, 1), ("jpeg_60", 1, 1)),
    (("jpeg", 2, 1),),
    (("jpeg", 1, 1), ("jpeg_comment", 1, 1), ("bmp_of_jpeg", 1, 1)),
    (("jpeg", 1, 1), ("half", 1, 1), ("crop", 1, 1)),
    (("jpeg", 1, 3),),
)


class _Plan:
    """Rows, routes and files of a world, before anything is written."""

    def __init__(self, n_rows: int, seed: int, port: int) -> None:
        self.n_rows, self.seed, self.port = n_rows, seed, port
        self.rows: list[_Row] = []
        self.routes: dict[str, list[Answer]] = {}
        self.files: dict[str, bytes] = {}
        self._rng = random.Random(seed)
        self._captions = _Captions(random.Random(f"captions {seed}"))
        self._gallery = Gallery(seed)
        self._n = 0
        self._n_images = 0
        self._plan_filter()
        self._plan_urls()
        self._plan_failures()
        self._plan_damage()
        self._plan_clusters()
        self._plan_root()
        n_needed = max(self.n_rows // 4 - sum(self._is_matching(row) for row in self.rows), self.n_rows // 7)
        for _ in range(n_needed):
            self._plan_single()
        while len(self.rows) < self.n_rows:
            corpus = self._rng.choices(CORPORA, (40, 35, 25))[0]
            url = self._fresh_url("other", "jpg")
            self.rows.append(_Row(corpus, self._captions.other(corpus), url, "filter", "no_keyword"))

    def _is_matching(self, row: _Row) -> bool:
        return row.stage != "filter" or row.reason == "no_url"

    def _times(self, reason: str) -> range:
        return range(max(3, round(_N_ROWS[reason] * self.n_rows / 3000)))

    def _next(self) -> int:
        self._n += 1
        return self._n

    def _add(self, corpus: str, url: str | None, stage: str, reason: str) -> None:
        self.rows.append(_Row(corpus, self._captions.matching(corpus), url, stage, reason))

    def _fresh_url(self, folder: str, extension: str) -> str:
        return f"http://{self._rng.choice(HOSTS)}:{self.port}/{folder}/{self._next():05d}.{extension}"

    def _path(self, url: str) -> str:
        return url.split(f":{self.port}", 1)[1]

    def _plan_filter(self) -> None:
        for n in self._times("no_caption"):
            corpus = CORPORA[n % 3]
            captions = ("", "   ") if corpus == CC3M else (None, "", " \t\n ", "\u00a0\u3000 ")
            url = self._fresh_url("no_caption", "jpg") if n % 5 else ""
            self.rows.append(_Row(corpus, captions[n // 3 % len(captions)], url, "filter", "no_caption"))
        for n in self._times("no_url"):
            self._add(CORPORA[n % 3], "" if n % 2 or CORPORA[n % 3] == CC3M else None, "filter", "no_url")
        for reason in ("wrong_field_count", "invalid_utf8"):
            for n in self._times(reason):
                text = self._captions.matching(CC3M) if n % 3 else self._captions.other(CC3M)
                url = self._fresh_url(reason, "jpg")
                line = _malformed_line(reason, n, text.encode(), url.encode())
                self.rows.append(_Row(CC3M, None, None, "filter", reason, line=line))

    def _plan_urls(self) -> None:
        for reason, urls in (("not_a_url", _NOT_A_URL), ("unsupported_scheme", _UNSUPPORTED)):
            for n in self._times(reason):
                self._add(CORPORA[n % 3], urls[n % len(urls)].replace("{n}", str(n)), "plan", reason)

    def _plan_failures(self) -> None:
        for reason, variants in _FAILING.items():
            url = ""
            for n in self._times(reason):
                if reason == "private_address" and n % 2:
                    url = _PUBLISHED_PRIVATE[n // 2 % len(_PUBLISHED_PRIVATE)].replace("{n}", str(n))
                elif n and n % 5 == 0:
                    url += "#again"  # a dead URL twice: each row has its own fate
                else:
                    variant = n // 2 if reason == "private_address" else n
                    url = self._fresh_url(reason, "jpg")
                    self._route(url, variants[variant % len(variants)], None)
                self._add(CORPORA[n % 3], url, "settle", reason)

    def _plan_damage(self) -> None:
        for reason in _DAMAGED:
            url = ""
            for n in self._times(reason):
                if n and n % 5 == 0:
                    url += "#again"
                else:
                    body, extension, content_type = damaged(reason, self.seed, n)
                    url = self._fresh_url(reason, extension)
                    name = self._path(url)[1:]
                    self.files[name] = body
                    self.routes[self._path(url)] = [{"kind": "file", "file": name, "type": content_type}]
                self._add(CORPORA[n % 3], url, "screen", reason)

    def _plan_clusters(self) -> None:
        for _ in range(max(1, round(6 * self.n_rows / 3000))):
            for shape in _CLUSTERS:
                images = self._gallery.draw([recipe for recipe, _, _ in shape])
                for image, (_, n_paths, n_rows) in zip(images, shape, strict=True):
                    name = self._keep(image)
                    for _ in range(n_paths):
                        url = self._image_url(image, "localhost" if n_rows > 2 else self._rng.choice(HOSTS))
                        self._route(url, self._delivery(0.8), name)
                        self._add_images(list(islice(_spellings(url), n_rows)), image)

    def _plan_root(self) -> None:
        """One image at a host's root: the empty path is the path /, a query makes another URL."""
        image = self._gallery.draw(["jpeg"])[0]
        name = self._keep(image)
        root = f"http://127.0.0.4:{self.port}"
        for path in ("/", "/?v=2"):
            self._route(root + path, (_FILE,), name)
        self._add_images([root, f"{root}/", f"{root}/?v=2", f"{root}/#top"], image)

    def _plan_single(self) -> None:
        n = self._n_images
        image = self._gallery.draw([_FORMATS[n // 3 % len(_FORMATS)] if n % 3 == 0 else "jpeg"])[0]
        url = self._image_url(image, self._rng.choice(HOSTS))
        match n % 40:
            case 7:
                url += "?w=800&h=600&fit=crop"
            case 17:
                url = url.replace("/image/", "/proxy/https://example.org/image/")
            case 27:
                url = url.replace("/image/", "/im%61ge/")
            case 37:
                url = url.replace("/image/", "/sch\u00f6ne bilder/")
        self._route(url, self._delivery(0.9), self._keep(image))
        self._add_images([url], image)

    def _image_url(self, image: ImageFile, host: str) -> str:
        return f"http://{host}:{self.port}/image/{self._next():05d}-{image.kind}.{image.extension}"

    def _keep(self, image: ImageFile) -> str:
        self._n_images += 1
        name = f"image/{self._n_images:05d}-{image.kind}-{image.recipe}.{image.extension}"
        self.files[name] = image.body
        return name

    def _add_images(self, urls: Sequence[str], image: ImageFile) -> None:
        for url in urls:
            corpus = self._rng.choices(CORPORA, (40, 35, 25))[0]
            self.rows.append(_Row(corpus, self._captions.matching(corpus), url, image=image))

    def _delivery(self, plain_share: float) -> tuple[Answer, ...]:
        if self._rng.random() < plain_share:
            return _DELIVERIES[0]
        return _DELIVERIES[1 + self._next() % (len(_DELIVERIES) - 1)]

    def _route(self, url: str, answers: Sequence[Answer], name: str | None) -> None:
        """Let a URL answer with the named file, or where none is named with a picture that nobody should get."""
        path = self._path(url)
        if name is None and any(answer["kind"] in ("file", "cut", "padded", "drip") for answer in answers):
            name = f"unwanted{path}"
            self.files[name] = plain_jpeg(self.seed, self._next())
        self.routes[path] = [self._filled(answer, path, name) for answer in answers]

    def _filled(self, answer: Answer, path: str, name: str | None) -> Answer:
        if answer["kind"] in ("file", "cut", "padded", "drip"):
            extension = str(name).rsplit(".", 1)[-1]
            is_plain = answer.get("type", "image/jpeg") == "image/jpeg"
            content_type = f"image/{_TYPES.get(extension, extension)}" if is_plain else answer["type"]
            return {**answer, "file": name, "type": content_type}
        if answer["kind"] != "redirect":
            return answer
        location = answer["location"].replace("{port}", str(self.port)).replace("{self}", path)
        if "{image}" in location:
            location = location.replace("{image}", self._target(name))
        if "{chain}" in location:
            location = location.replace("{chain}", self._chain(2, self._target(name)))
        if "{hop29}" in location:  # longer than any client should follow
            location = location.replace("{hop29}", self._chain(29, self._target(None)))
        return {**answer, "location": location}

    def _target(self, name: str | None) -> str:
        """Return the path of a redirect's goal, which no row names."""
        goal = f"/moved/{self._next():05d}.jpg"
        self._route(f"http://127.0.0.1:{self.port}{goal}", (_FILE,), name)
        return goal

    def _chain(self, n_hops: int, goal: str) -> str:
        """Return the first path of a chain of redirects."""
        for _ in range(n_hops - 1):
            hop = f"/hop/{self._next():05d}"
            self.routes[hop] = [_redirect(goal, 301)]
            goal = hop
        return goal


def _malformed_line(reason: str, n: int, caption: bytes, url: bytes) -> bytes:
    if reason == "wrong_field_count":
        return (caption + b"\t" + url + b"\tphoto", caption + b" " + url, b"", caption + b"\t\t" + url)[n % 4]
    lines = (caption + b" caf\xe9\t" + url, caption + b"\t" + url + b"\xff", b"\x80" + caption + b" " + url)
    return lines[n % 3]


def _spellings(url: str) -> Iterator[str]:
    """Yield spellings of one URL that are equal when normalised."""
    host = url.split("/")[2]
    yield url
    yield f"{url}#x"
    yield url.replace(f"http://{host}", f"HTTP://{host.upper()}")
    yield f"  {url} "


# Where each row lies, and who survives.


def _place(plan: _Plan) -> dict[tuple[str, int], list[_Row]]:
    """Deal the rows out to the source files in a seeded order, and name them."""
    rng = random.Random(f"order {plan.seed}")
    placed = {}
    for corpus in CORPORA:
        rows = [row for row in plan.rows if row.corpus == corpus]
        rng.shuffle(rows)
        parts = PARTS[corpus]
        # Uneven, and not a multiple of the row group.
        ends = [round(len(rows) * share) for share in (0, 0.5, 0.85, 1)] if len(parts) > 1 else [0, len(rows)]
        for part, (start, end) in zip(parts, pairwise(ends), strict=True):
            placed[corpus, part] = rows[start:end]
            for number, row in enumerate(rows[start:end]):
                row.sample_id = f"{corpus}_{part}_{number}"
    return placed


def normalise(url: str) -> str:
    """Return what equal URLs have in common: the rule as the design states it, for the URLs of this world."""
    scheme, _, rest = url.strip().partition("#")[0].partition("://")
    host, _, path = rest.partition("/")
    scheme, host = scheme.lower(), host.lower()
    return f"{scheme}://{host.removesuffix(':80' if scheme == 'http' else ':443')}/{path}"


def _mark_duplicates(rows: Sequence[_Row]) -> None:
    """Leave one row of each cluster kept, and say why each of the others is not."""
    with_image = [row for row in rows if row.image is not None]
    images = {row.image.phash: row.image for row in with_image if row.image is not None}
    label = _labels(list(images))
    clusters: dict[int, list[_Row]] = {}
    for row in sorted(with_image, key=lambda row: row.rank):
        if row.image is not None:
            clusters.setdefault(label[row.image.phash], []).append(row)
    for members in clusters.values():
        survivor, seen = members[0], set()
        for row in members:
            url = normalise(row.url or "")
            if row is not survivor:
                row.stage, row.survivor = "drop_duplicates", survivor.sample_id
                row.reason = "url_duplicate" if url in seen else _image_reason(row, survivor)
            seen.add(url)


def _image_reason(row: _Row, survivor: _Row) -> str:
    is_same = row.image is not None and survivor.image is not None and row.image.pixels == survivor.image.pixels
    return "pixel_duplicate" if is_same else "near_duplicate"


def _labels(hashes: Sequence[int]) -> dict[int, int]:
    """Return the connected component of each hash, joined where they differ in at most NEAR_BITS."""
    values = np.array(hashes, np.uint64)
    label: dict[int, int] = {}
    for number, value in enumerate(hashes):
        waiting = [] if value in label else [value]
        while waiting:
            one = waiting.pop()
            label[one] = number
            near = np.flatnonzero(np.bitwise_count(values ^ np.uint64(one)) <= NEAR_BITS)
            waiting += [hashes[n] for n in near.tolist() if hashes[n] not in label]
    return label


# Writing.


def _size_px(rng: random.Random, row: _Row) -> tuple[int, int]:
    return (
        (row.image.width_px, row.image.height_px) if row.image else (rng.randrange(200, 2000), rng.randrange(200, 2000))
    )


def _laion_table(rows: Sequence[_Row], rng: random.Random) -> pa.Table:
    sizes = [_size_px(rng, row) for row in rows]
    licences = ("?", "?", "", "https://creativecommons.org/licenses/by/2.0/", None)
    columns = {
        "SAMPLE_ID": pa.array([rng.randrange(10**12) if rng.random() < 0.95 else None for _ in rows], pa.int64()),
        "URL": pa.array([row.url for row in rows], pa.string()),
        "TEXT": pa.array([row.caption for row in rows], pa.string()),
        # Swapped, as in the published base files.
        "WIDTH": pa.array([height for _, height in sizes], pa.int32()),
        "HEIGHT": pa.array([width for width, _ in sizes], pa.int32()),
        "LICENSE": pa.array([rng.choice(licences) for _ in rows], pa.string()),
        "NSFW": pa.array([rng.choice(("UNLIKELY", "UNLIKELY", "UNSURE", None)) for _ in rows], pa.string()),
        "similarity": pa.array([rng.uniform(0.28, 0.45) for _ in rows], pa.float64()),
    }
    return pa.table(columns)


def _coyo_table(rows: Sequence[_Row], rng: random.Random) -> pa.Table:
    sizes = [_size_px(rng, row) for row in rows]
    texts = [row.caption or "" for row in rows]
    hashes = [f"{row.image.phash if row.image else rng.getrandbits(64):016x}" for row in rows]
    counts = {"text_length": [len(text) for text in texts], "word_count": [len(text.split()) for text in texts]}
    counts |= {name: [1 + len(text) // 4 for text in texts] for name in ("num_tokens_bert", "num_tokens_gpt")}
    scores = {
        "clip_similarity_vitb32": (0.15, 0.45), "clip_similarity_vitl14": (0.1, 0.4), "nsfw_score_opennsfw2": (0, 0.4),
        "nsfw_score_gantman": (0, 0.9), "watermark_score": (0, 1), "aesthetic_score_laion_v2": (3, 7),
    }  # fmt: skip
    columns = {
        "id": pa.array([(rng.randrange(131, 869) << 33) + n for n in range(len(rows))], pa.int64()),
        "url": pa.array([row.url for row in rows], pa.string()),
        "text": pa.array([row.caption for row in rows], pa.string()),
        "width": pa.array([width for width, _ in sizes], pa.int32()),
        "height": pa.array([height for _, height in sizes], pa.int32()),
        "image_phash": pa.array(hashes, pa.string()),
        **{name: pa.array(values, pa.int32()) for name, values in counts.items()},
        "num_faces": pa.array([rng.choice((0, 0, 0, 1)) for _ in rows], pa.int32()),
        **{name: pa.array([rng.uniform(*span) for _ in rows], pa.float32()) for name, span in scores.items()},
    }
    return pa.table(columns)


def _write_sources(folder: Path, placed: dict[tuple[str, int], list[_Row]], seed: int) -> None:
    for (corpus, part), rows in placed.items():
        path = folder / corpus / FILE_NAMES[corpus].format(part)
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = random.Random(f"columns {seed} {corpus} {part}")
        if corpus == CC3M:
            lines = [row.line if row.line is not None else f"{row.caption}\t{row.url}".encode() for row in rows]
            path.write_bytes(b"".join(line + b"\n" for line in lines))
        else:
            table = _laion_table(rows, rng) if corpus == LAION else _coyo_table(rows, rng)
            pq.write_table(table, path, row_group_size=ROW_GROUP_ROWS, compression="snappy")


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=True) + "\n")


def _write_fates(path: Path, fates: Sequence[Fate]) -> None:
    names = [field.name for field in fields(Fate)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([getattr(fate, name) for name in names] for fate in fates)


def _check_room(out: Path) -> None:
    """Refuse a folder with anything in it but a world, whole or half-made."""
    foreign = sorted(path.name for path in out.iterdir() if path.name not in _WORLD_NAMES) if out.exists() else []
    if foreign:
        raise FileExistsError(f"{out} holds {foreign[0]}, which is no part of a world: give a new or empty folder")


def _clear(out: Path) -> None:
    """Remove an older world; world.json goes first and comes last, so that what has one is whole."""
    for name in ("world.json", "routes.json", "fates.csv"):
        (out / name).unlink(missing_ok=True)
    for name in ("sources", "www"):
        shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)


def make_world(out: Path, *, n_rows: int = 3000, seed: int = 5, port: int = 18431) -> World:
    """Write a world and return it; an older world in the same folder is replaced.

    Raises:
        FileExistsError: the folder holds something else.
        ValueError: too few rows for every fate to occur.
    """
    if n_rows < MIN_ROWS:
        raise ValueError(f"a world of {n_rows} rows cannot hold every fate: ask for at least {MIN_ROWS}")
    _check_room(out)
    plan = _Plan(n_rows, seed, port)
    placed = _place(plan)
    _mark_duplicates(plan.rows)
    fates = tuple(
        Fate(
            row.sample_id, row.corpus, row.url or "", row.stage, "rejected" if row.reason else "kept", row.reason,
            row.survivor,
        )
        for rows in placed.values()
        for row in rows
    )  # fmt: skip
    world = World(out, len(fates), seed, port, fates)
    _clear(out)
    _write_sources(world.sources, placed, seed)
    for name, body in plan.files.items():
        path = out / "www" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    _write_json(out / "routes.json", plan.routes)
    _write_fates(out / "fates.csv", fates)
    _write_json(out / "world.json", {"rows": n_rows, "seed": seed, "port": port, "counts": world.counts()})
    return world


def load_world(out: Path) -> World:
    """Return the world that `make_world` wrote into a folder."""
    about = json.loads((out / "world.json").read_text())
    with (out / "fates.csv").open(encoding="utf-8", newline="") as file:
        fates = tuple(Fate(**row) for row in csv.DictReader(file))
    return World(out, about["rows"], about["seed"], about["port"], fates)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a world or serve one; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.world", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="write a world into a folder")
    make.add_argument("out", type=Path)
    make.add_argument("--rows", type=int, default=3000)
    make.add_argument("--seed", type=int, default=5)
    make.add_argument("--port", type=int, default=18431)
    server = commands.add_parser("serve", help="serve a world's images on loopback")
    server.add_argument("out", type=Path)
    server.add_argument("--pass", dest="pass_number", type=int, default=0, help="the pass whose faults are shown")
    server.add_argument("--until-eof", action="store_true", help="stop when standard input closes")
    options = parser.parse_args(arguments)
    if options.command == "serve":
        return serve(options.out, options.pass_number, until_eof=options.until_eof)
    if options.rows < MIN_ROWS:
        parser.error(f"--rows {options.rows}: every fate must occur, which takes at least {MIN_ROWS}")
    start = time.monotonic()
    try:
        world = make_world(options.out, n_rows=options.rows, seed=options.seed, port=options.port)
    except FileExistsError as error:
        print(error, file=sys.stderr)
        return 1
    for name, n_rows in world.counts().items():
        print(f"{n_rows:6d}  {name}")
    print(f"{world.n_rows:6d}  rows in {options.out}, made in {time.monotonic() - start:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
