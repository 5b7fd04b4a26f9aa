"""Rows of the generated world, and the survivors of clusters; not for source files (flows/demo/world/places.py)."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flows.demo.world.corpora import tier
from flows.demo.world.drawings import FROM_ABOVE
from flows.demo.world.images import NEAR_BITS, ImageFile

OUTLIER = "outlier"  # stands for any reason of drop_outliers
# Values of the corpora's own columns that mark a row as unsafe.
UNSAFE: Mapping[str, Mapping[str, Any]] = {
    "laion400m": {"NSFW": "NSFW"},
    "laioncoco": {"punsafe": 0.97},
    "coyo700m": {"nsfw_score_opennsfw2": 0.45},
}


@dataclass
class Row:
    """A planned source row.

    Attributes:
        caption: the caption; of a corpus with several per row, all of them joined by line ends.
        line: the bytes of an unreadable line of cc3m or cc12m; caption and URL are then unused.
        image: the image that is finally downloaded, if it is valid.
        texts: values of the corpus's own columns, beside or instead of the caption.
        sample_id: for a row with reason listed_again, the first row's.
    """

    corpus: str
    caption: str | None
    url: str | None
    stage: str = "write_shards"
    reason: str = ""
    line: bytes | None = None
    image: ImageFile | None = None
    texts: Mapping[str, Any] = field(default_factory=dict)
    sample_id: str = ""
    survivor: str = ""

    @property
    def rank(self) -> tuple[int, str]:
        """Sort key within a cluster; the lowest row survives."""
        return tier(self.corpus), hashlib.sha256(f"dedup:{self.sample_id}".encode()).hexdigest()


def normalise(url: str) -> str:
    """Return a URL normalised by the design's rule, as far as this world's URLs need it."""
    scheme, _, rest = url.strip().partition("#")[0].partition("://")
    host, _, path = rest.partition("/")
    scheme, host = scheme.lower(), host.lower()
    return f"{scheme}://{host.removesuffix(':80' if scheme == 'http' else ':443')}/{path}"


def mark_duplicates(rows: Sequence[Row]) -> None:
    """Set the fate of all rows of a cluster but the survivor, with the reason."""
    with_image = sorted((row for row in rows if row.image is not None), key=lambda row: row.rank)
    images = {row.image.phash: row.image for row in with_image if row.image is not None}
    label = _labels(list(images))
    clusters: dict[int, list[Row]] = {}
    for row in with_image:
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


def mark_outliers(rows: Sequence[Row]) -> None:
    """Mark survivors that are not views from above as outliers; either of two scores may reject them."""
    for row in rows:
        if row.image is not None and row.stage == "write_shards" and row.image.kind not in FROM_ABOVE:
            row.stage, row.reason = "drop_outliers", OUTLIER


def mark_unsafe(rows: Sequence[Row]) -> None:
    """Mark every fifth kept row of the corpora with an NSFW tag or score as unsafe."""
    for corpus, marks in UNSAFE.items():
        kept = [row for row in rows if row.corpus == corpus and row.image is not None and row.stage == "write_shards"]
        for row in kept[::5]:
            row.stage, row.reason, row.texts = "plan_shards", "nsfw", {**row.texts, **marks}


def _image_reason(row: Row, survivor: Row) -> str:
    is_same = row.image is not None and survivor.image is not None and row.image.pixels == survivor.image.pixels
    return "pixel_duplicate" if is_same else "near_duplicate"


def _labels(hashes: Sequence[int]) -> dict[int, int]:
    """Return a cluster label per hash: each unlabelled hash in turn takes all unlabelled ones within NEAR_BITS.

    Args:
        hashes: 64-bit hashes, sorted by rank: likely survivors first.
    """
    values = np.array(hashes, np.uint64)
    label: dict[int, int] = {}
    for number, value in enumerate(hashes):
        if value not in label:
            near = np.flatnonzero(np.bitwise_count(values ^ np.uint64(value)) <= NEAR_BITS)
            label |= {hashes[n]: number for n in near.tolist() if hashes[n] not in label}
    return label
