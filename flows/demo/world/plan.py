"""Plans the generated world: rows with their fates, the answers of their URLs, and the served files.

Not for a row's source file (places.py) or the survivor of a cluster (rows.py); nothing is written here.
"""

import random
from collections.abc import Iterable, Iterator
from itertools import cycle

from flows.demo.world.corpora import COCO, COPY_SHARES, LAION, LARGE, OTHERS, SHARES, WEB
from flows.demo.world.damage import damaged
from flows.demo.world.faults import DELIVERIES, FAILING, FILE, NOT_A_URL, PUBLISHED_PRIVATE, UNSUPPORTED, Web
from flows.demo.world.images import Gallery, ImageFile
from flows.demo.world.rows import Row
from flows.demo.world.server import Answer
from flows.demo.world.texts import Texts
from flows.demo.world.unmatched import plan_unmatched

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "localhost")
# Rows rejected after the filter, by reason, in a world of 3,000 rows; smaller worlds have at least 3 of each.
_N_ROWS = {
    "not_a_url": 12, "unsupported_scheme": 9,
    "http_not_found": 40, "http_forbidden": 15, "http_client_error": 6, "http_throttled": 9, "http_server_error": 12,
    "timeout": 6, "connection_failed": 9, "truncated_body": 9, "private_address": 10, "bad_redirect": 8,
    "opted_out": 10, "body_too_large": 5, "invalid_response": 4,
    "empty_file": 8, "not_an_image": 20, "format_not_allowed": 9, "truncated_image": 12, "corrupt_image": 9,
    "too_many_pixels": 5,
}  # fmt: skip
_DAMAGED = ("empty_file", "not_an_image", "format_not_allowed", "truncated_image", "corrupt_image", "too_many_pixels")
_FORMATS = (
    "jpeg_exif", "png", "jpeg_progressive", "webp", "gif", "jpeg_cmyk", "png_palette", "bmp", "tiff", "png_alpha",
    "jpeg_grey", "png_grey", "png_grey16", "gif_two_frames", "mpo",
)  # fmt: skip
# Clusters of copies: for each file its recipe, its number of paths, and the number of rows that name each path.
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
# LAION-COCO's URLs are from LAION-2B: these two corpora name the file of this cluster.
_COCO_PAIR = (("jpeg", 1, 2),)


class Plan:
    """Rows, routes and files of a world, before they are written."""

    def __init__(self, n_rows: int, seed: int, port: int) -> None:
        self.n_rows, self.seed, self.port = n_rows, seed, port
        self.rows: list[Row] = []
        self.web = Web(seed, port)
        self._rng = random.Random(seed)
        self._texts = Texts(seed)
        self.gallery = Gallery(seed)
        self._n_images = self._n_turns = 0
        self._large, self._others, self._detours = cycle(LARGE), cycle(OTHERS), cycle(DELIVERIES[1:])
        self.rows += plan_unmatched(n_rows, self._texts, lambda folder: self._fresh_url(folder, "jpg"))
        self._plan_urls()
        self._plan_failures()
        self._plan_damage()
        self._plan_clusters()
        self._plan_root()
        n_needed = max(self.n_rows // 4 - sum(self._is_matching(row) for row in self.rows), self.n_rows // 7)
        for _ in range(n_needed):
            self._plan_single()
        while len(self.rows) < self.n_rows:
            corpus = self._rng.choices(WEB, SHARES)[0]
            text = self._texts.other(corpus)
            url = self._fresh_url("other", "jpg")
            self.rows.append(Row(corpus, text.caption, url, "filter", "no_keyword", texts=text.columns))

    def _is_matching(self, row: Row) -> bool:
        return row.stage != "filter" or row.reason == "no_url"

    def _times(self, reason: str) -> range:
        return range(max(3, round(_N_ROWS[reason] * self.n_rows / 3000)))

    def _next_corpus(self) -> str:
        """Return the next corpus: a large one in every third call, else a small one, each in turn."""
        n, self._n_turns = self._n_turns, self._n_turns + 1
        return next(self._large if n % 3 == n // 3 % 3 else self._others)

    def _add(self, url: str, stage: str, reason: str) -> None:
        self._add_row(self._next_corpus(), url, stage, reason)

    def _add_row(
        self, corpus: str, url: str, stage: str = "write_shards", reason: str = "", image: ImageFile | None = None
    ) -> None:
        text = self._texts.matching(corpus)
        self.rows.append(Row(corpus, text.caption, url, stage, reason, image=image, texts=text.columns))

    def _fresh_url(self, folder: str, extension: str) -> str:
        return f"http://{self._rng.choice(HOSTS)}:{self.port}/{folder}/{self.web.next_number():05d}.{extension}"

    def _plan_urls(self) -> None:
        for reason, urls in (("not_a_url", NOT_A_URL), ("unsupported_scheme", UNSUPPORTED)):
            for n in self._times(reason):
                self._add(urls[n % len(urls)].replace("{n}", str(n)), "plan", reason)

    def _plan_failures(self) -> None:
        for reason, variants in FAILING.items():
            url = ""
            for n in self._times(reason):
                if reason == "private_address" and n % 2:
                    url = PUBLISHED_PRIVATE[n // 2 % len(PUBLISHED_PRIVATE)].replace("{n}", str(n))
                elif n and n % 5 == 0:
                    url += "#again"  # the same failing URL again: both rows are rejected
                else:
                    variant = n // 2 if reason == "private_address" else n
                    url = self._fresh_url(reason, "jpg")
                    self.web.route(url, variants[variant % len(variants)], None)
                self._add(url, "reduce_attempts", reason)

    def _plan_damage(self) -> None:
        for reason in _DAMAGED:
            url = ""
            for n in self._times(reason):
                if n and n % 5 == 0:
                    url += "#again"
                else:
                    body, extension, content_type = damaged(reason, self.seed, n)
                    url = self._fresh_url(reason, extension)
                    name = self.web.path(url)[1:]
                    self.web.files[name] = body
                    self.web.routes[self.web.path(url)] = [{"kind": "file", "file": name, "type": content_type}]
                self._add(url, "screen", reason)

    def _plan_clusters(self) -> None:
        for _ in range(max(1, round(6 * self.n_rows / 3000))):
            for shape in _CLUSTERS:
                images = self.gallery.draw([recipe for recipe, _, _ in shape])
                for image, (_, n_paths, n_rows) in zip(images, shape, strict=True):
                    name = self._keep(image)
                    for _ in range(n_paths):
                        url = self._image_url(image, "localhost" if n_rows > 2 else self._rng.choice(HOSTS))
                        self.web.route(url, self._delivery(0.8), name)
                        pair = (LAION, COCO) if shape == _COCO_PAIR else self._rng.choices(WEB, COPY_SHARES, k=n_rows)
                        self._add_images(zip(pair, _spellings(url), strict=False), image)

    def _plan_root(self) -> None:
        """Plan an image at a host's root: the empty path equals "/", and a query makes a different URL."""
        image = self.gallery.draw(["jpeg"])[0]
        name = self._keep(image)
        root = f"http://127.0.0.4:{self.port}"
        for path in ("/", "/?v=2"):
            self.web.route(root + path, (FILE,), name)
        urls = (root, f"{root}/", f"{root}/?v=2", f"{root}/#top")
        self._add_images(zip(self._rng.choices(WEB, COPY_SHARES, k=len(urls)), urls, strict=True), image)

    def _plan_single(self) -> None:
        n = self._n_images
        image = self.gallery.draw([_FORMATS[n // 3 % len(_FORMATS)] if n % 3 == 0 else "jpeg"])[0]
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
        self.web.route(url, self._delivery(0.9), self._keep(image))
        self._add_images([(self._next_corpus(), url)], image)

    def _image_url(self, image: ImageFile, host: str) -> str:
        return f"http://{host}:{self.port}/image/{self.web.next_number():05d}-{image.kind}.{image.extension}"

    def _keep(self, image: ImageFile) -> str:
        self._n_images += 1
        name = f"image/{self._n_images:05d}-{image.kind}-{image.recipe}.{image.extension}"
        self.web.files[name] = image.body
        return name

    def _add_images(self, urls: Iterable[tuple[str, str]], image: ImageFile) -> None:
        for corpus, url in urls:
            self._add_row(corpus, url, image=image)

    def _delivery(self, plain_share: float) -> tuple[Answer, ...]:
        if self._rng.random() < plain_share:
            return DELIVERIES[0]
        return next(self._detours)


def _spellings(url: str) -> Iterator[str]:
    """Yield different spellings of a URL that normalise to the same URL."""
    host = url.split("/")[2]
    yield url
    yield f"{url}#x"
    yield url.replace(f"http://{host}", f"HTTP://{host.upper()}")
    yield f"  {url} "
