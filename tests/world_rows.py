"""Rows of the generated world: the corpora they belong to, where each one lies, and which of a cluster survives."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tests.world_drawings import FROM_ABOVE
from tests.world_images import NEAR_BITS, ImageFile

LAION, COYO, CC3M, YFCC = CORPORA = ("laion2b", "coyo700m", "cc3m", "yfcc15m")
SHARES = (38, 33, 24, 5)
# Part numbers have gaps, so that a position in a listing cannot pass for the number in the name.
PARTS = {LAION: (0, 1, 17), COYO: (0, 3, 127), CC3M: (0,), YFCC: (0, 7)}
_ENDS = {1: (0, 1), 2: (0, 0.6, 1), 3: (0, 0.5, 0.85, 1)}  # uneven, and not a multiple of the row group
_PHOTO_IDS = range(10**6, 7 * 10**9)


OUTLIER = "outlier"  # stands for any of the reasons that a score gives


@dataclass
class Row:
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


def place(planned: Sequence[Row], seed: int) -> dict[tuple[str, int], list[Row]]:
    """Deal the rows out to the source files in a seeded order, and name them."""
    rng = random.Random(f"order {seed}")
    placed = {}
    for corpus in CORPORA:
        rows = [row for row in planned if row.corpus == corpus]
        rng.shuffle(rows)
        parts = PARTS[corpus]
        photos = rng.sample(_PHOTO_IDS, len(rows)) if corpus == YFCC else []
        ends = [round(len(rows) * share) for share in _ENDS[len(parts)]]
        for part, (start, end) in zip(parts, pairwise(ends), strict=True):
            placed[corpus, part] = rows[start:end]
            for number, row in enumerate(rows[start:end]):
                row.sample_id = f"{corpus}_{photos.pop()}" if photos else f"{corpus}_{part}_{number}"
    return placed


def normalise(url: str) -> str:
    """Return what equal URLs have in common: the rule as the design states it, for the URLs of this world."""
    scheme, _, rest = url.strip().partition("#")[0].partition("://")
    host, _, path = rest.partition("/")
    scheme, host = scheme.lower(), host.lower()
    return f"{scheme}://{host.removesuffix(':80' if scheme == 'http' else ':443')}/{path}"


def mark_duplicates(rows: Sequence[Row]) -> None:
    """Leave one row of each cluster kept, and say why each of the others is not."""
    with_image = [row for row in rows if row.image is not None]
    images = {row.image.phash: row.image for row in with_image if row.image is not None}
    label = _labels(list(images))
    clusters: dict[int, list[Row]] = {}
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


def mark_outliers(rows: Sequence[Row]) -> None:
    """Let the survivors fall that show no view from above; which of two scores refuses them is open."""
    for row in rows:
        if row.image is not None and row.stage == "write_shards" and row.image.kind not in FROM_ABOVE:
            row.stage, row.reason = "drop_outliers", OUTLIER


def _image_reason(row: Row, survivor: Row) -> str:
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
