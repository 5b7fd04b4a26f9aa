"""Handmade inputs of the gpe stages; always tagged by the small NLTK packages, whatever NLTK_DATA is."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.contract.handmade import Handmade

CAPTIONS = {
    "cc3m_0_0": "Aerial view of Rotterdam, Netherlands",
    "cc3m_0_1": "satellite image of old houses, high-resolution",
    "coyo700m_0_0": "Aerial view of Rotterdam, Netherlands",
    "laion2b_0_0": "Paris from above, aerial photo of Paris, France",
    "laion2b_0_1": "1234 - 5678",
    "laion2b_0_2": "satellite map of Lima, Peru",
}
_CANDIDATES = [{"sample_id": sample_id, "caption": caption} for sample_id, caption in CAPTIONS.items()]
_RELEVANT = [{"sample_id": sample_id} for sample_id in list(CAPTIONS)[:5]]


def caption_id(caption: str) -> str:
    return hashlib.sha256(caption.encode()).hexdigest()[:32]


def _texts() -> list[dict[str, Any]]:
    captions = {CAPTIONS[row["sample_id"]] for row in _RELEVANT}
    return [{"caption_id": caption_id(c), "caption": c} for c in sorted(captions, key=caption_id)]


def _tables(**rows: list[dict[str, Any]]) -> Callable[[Path], Any]:
    @contextmanager
    def handmade(folder: Path) -> Iterator[Any]:
        yield Handmade(dict(rows))

    return handmade


@contextmanager
def _tag_places(folder: Path) -> Iterator[Any]:
    named = os.environ.pop("NLTK_DATA", None)
    try:
        yield Handmade({"place_text": _texts()}, "text-00")
    finally:
        if named is not None:
            os.environ["NLTK_DATA"] = named


HANDMADE: Mapping[str, Callable[[Path], Any]] = {
    "list_texts": _tables(relevant=_RELEVANT, candidate=_CANDIDATES),
    "tag_places": _tag_places,
    "name_places": _tables(
        relevant=_RELEVANT,
        candidate=_CANDIDATES,
        named_place=[
            {"caption_id": row["caption_id"], "n": n, "place": place}
            for row in _texts()
            for n, place in enumerate(["Paris", "France"] if "Paris" in row["caption"] else [None])
        ],
    ),
}
