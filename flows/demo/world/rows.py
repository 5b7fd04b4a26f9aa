"""Rows of the generated world, and which of a cluster survives; not for their files (flows/demo/world/places.py)."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flows.demo.world.corpora import tier
from flows.demo.world.drawings import FROM_ABOVE
from flows.demo.world.images import NEAR_BITS, ImageFile

OUTLIER = "outlier"  # any of the reasons that a score gives
# What marks a row as unsafe in its corpus's own columns.
UNSAFE: Mapping[str, Mapping[str, Any]] = {
    "laion400m": {"NSFW": "NSFW"},
    "laioncoco": {"punsafe": 0.97},
    "coyo700m": {"nsfw_score_opennsfw2": 0.45},
}


@dataclass
class Row:
    """A source row while it is planned.

    Attributes:
        caption: the text that counts; where a corpus has several, all of them with a line end between two.
        line: the bytes of a line of cc3m or cc12m that cannot be read; caption and URL are then not used.
        image: what arrives at the end, if it is valid.
        texts: what the corpus's own columns hold beside, or instead of, the caption.
        sample_id: of a row that is listed again it is the first one's.
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
        """The order in which rows of a cluster survive."""
        return tier(self.corpus), hashlib.sha256(f"dedup:{self.sample_id}".encode()).hexdigest()


def normalise(url: str) -> str:
    """Return what equal URLs have in common: the rule as the design states it, for the URLs of this world."""
    scheme, _, rest = url.strip().partition("#")[0].partition("://")
    host, _, path = rest.partition("/")
    scheme, host = scheme.lower(), host.lower()
    return f"{scheme}://{host.removesuffix(':80' if scheme == 'http' else ':443')}/{path}"


def mark_duplicates(rows: Sequence[Row]) -> None:
    """Leave one row of each cluster kept, and say why each of the others is not."""
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
    """Let the survivors fall that show no view from above; which of two scores refuses them is open."""
    for row in rows:
        if row.image is not None and row.stage == "write_shards" and row.image.kind not in FROM_ABOVE:
            row.stage, row.reason = "drop_outliers", OUTLIER


def mark_unsafe(rows: Sequence[Row]) -> None:
    """Let corpora that state a tag or score mark every fifth of their remaining rows as unsafe."""
    for corpus, marks in UNSAFE.items():
        kept = [row for row in rows if row.corpus == corpus and row.image is not None and row.stage == "write_shards"]
        for row in kept[::5]:
            row.stage, row.reason, row.texts = "plan_shards", "nsfw", {**row.texts, **marks}


def _image_reason(row: Row, survivor: Row) -> str:
    is_same = row.image is not None and survivor.image is not None and row.image.pixels == survivor.image.pixels
    return "pixel_duplicate" if is_same else "near_duplicate"


def _labels(hashes: Sequence[int]) -> dict[int, int]:
    """Return a label per hash: the first one takes all that differ from it in at most NEAR_BITS, then the next one.

    Args:
        hashes: in the order in which their pictures survive.
    """
    values = np.array(hashes, np.uint64)
    label: dict[int, int] = {}
    for number, value in enumerate(hashes):
        if value not in label:
            near = np.flatnonzero(np.bitwise_count(values ^ np.uint64(value)) <= NEAR_BITS)
            label |= {hashes[n]: number for n in near.tolist() if hashes[n] not in label}
    return label
