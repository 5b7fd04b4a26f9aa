"""Building blocks of handmade inputs: bodies, files without a store, rows by table, fake tools."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from schemas.corpora import LABELLED_CODES
from schemas.manifests import (
    CaptionWords,
    FunnelRow,
    KeywordGroup,
    Keywords,
    OutlierCell,
    Published,
    PublishedMetadata,
    SizeBin,
    StrictRule,
)

Floats = npt.NDArray[np.float32]
PATTERNS = ("aerial view", "satellite imag", "Landsat")
FUNNEL = {"rows": 100, "keyword": 50, "downloaded": 40, "invalid": 3, "duplicate": 7, "outlier": 5, "remain": 25}


class ColourScorer:
    """Uses an image's mean colour and a text's bytes as features; one image gives NaN."""

    dim = 3

    def prepare(self, image: Image.Image) -> Image.Image:
        return image

    def image_features(self, images: Sequence[Image.Image]) -> Floats:
        features = np.array([np.asarray(image, np.float32).mean((0, 1)) for image in images])
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        return np.where(features[:, :1] > 0.68, np.nan, features).astype(np.float32)

    def text_features(self, texts: Sequence[str], *, is_normalised: bool = True) -> Floats:
        features = np.array([[len(text), text.count("a") + 1, text.count("e") + 1] for text in texts], np.float32)
        norms = np.linalg.norm(features, axis=1, keepdims=True)
        return np.asarray(features / norms if is_normalised else features, np.float32)


class BrightnessDetector:
    """Classifies bright images as remote sensing; one image gives NaN."""

    def prepare(self, image: Image.Image) -> Image.Image:
        return image

    def probabilities(self, images: Sequence[Image.Image]) -> Floats:
        found = np.array([np.asarray(image, np.float32).mean() / 255 for image in images], np.float32)
        return np.where(found > 0.55, np.nan, found).astype(np.float32)


# Models are fakes: the output of a real one depends on the machine's arithmetic.
# Tools independent of the manifests: a manifest changes the fingerprint, not the version.
TOOLS: Mapping[str, Any] = {
    "keywords": Keywords(
        reference="handmade",
        group=[
            KeywordGroup(name="all", is_on=True, patterns=PATTERNS),
            KeywordGroup(name="spaced_sentinel", is_on=False, patterns=("Sentinel 1",)),
        ],
        strict=(StrictRule(patterns=("Landsat",), needs="{pattern} ?[0-9]"),),
    ),
    "published": Published(
        reference="handmade",
        funnel=(FunnelRow(source="cc3m", **FUNNEL), FunnelRow(source="Total", **FUNNEL)),
        metadata=(
            PublishedMetadata(source="fmow", remain=9, with_position=8, with_meta_caption=7),
            PublishedMetadata(source="Total", with_place=5),
        ),
        outlier_cells=(OutlierCell(top_vlm=90, top_detector=80, remain=3),),
        image_sizes=(SizeBin(side="width", least_px=0, share=0.4), SizeBin(side="height", least_px=128, share=0.6)),
        caption_words=CaptionWords(mean=4.5, max=9),
    ),
    "scorer": ColourScorer(),
    "detector": BrightnessDetector(),
    "prompts": None,
}


def fetch_id(n: int) -> str:
    return f"{n:032x}"


def picture(seed: int, kind: str) -> bytes:
    """Return a coarse picture of 32 x 24 px as uncompressed PNG, BMP or TIFF."""
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    drawn = Image.fromarray(np.kron(coarse, np.ones((8, 8, 1), np.uint8)))
    out = io.BytesIO()
    drawn.save(out, kind, **({"compress_level": 0} if kind == "PNG" else {}))
    return out.getvalue()


BODIES = (
    picture(1, "PNG"),
    picture(2, "BMP"),
    picture(3, "TIFF"),
    b"",
    b"no picture at all",
    picture(4, "PNG")[:900],
    picture(5, "PPM"),
    picture(1, "BMP"),
)
FORMATS = ("PNG", "BMP", "TIFF", "", "", "PNG", "PPM", "BMP")  # formats of the bodies, by number


@dataclass
class HandmadeFiles:
    """Stands in for the store's files when a stage is called without a store."""

    folder: Path
    made: list[Path] = field(default_factory=list)

    def new_file(self, name: str) -> Path:
        self.made.append(self.folder / name)
        return self.made[-1]

    def address(self, path: Path) -> str:
        return path.name

    def work(self) -> Path:
        return self._folder("work")

    def shared(self, name: str) -> Path:
        return self._folder(f"shared-{name}")

    def read(self, address: str, offset: int, n_bytes: int) -> bytes:
        return BODIES[offset]

    def _folder(self, name: str) -> Path:
        (self.folder / name).mkdir(exist_ok=True)
        return self.folder / name


@dataclass
class Handmade:
    """A stage's inputs by table, its SOURCES folder and settings that differ from the defaults."""

    rows: dict[str, list[dict[str, Any]]]
    partition: str = "whole"
    params: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, Any] = field(default_factory=dict)
    sources: Path = Path()


def samples_of(images: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """Return rows of the table sample from image_id by sample_id; None for a sample that was rejected."""
    rows = []
    for sample_id, image_id in images.items():
        corpus = sample_id.partition("_")[0]
        half = "rs3" if corpus in LABELLED_CODES else "pub11"
        rows.append({"sample_id": sample_id, "corpus": corpus, "half": half, "image_id": image_id})
    return rows


def tables(**rows: list[dict[str, Any]]) -> Callable[[Path], Any]:
    @contextmanager
    def handmade(folder: Path) -> Iterator[Handmade]:
        yield Handmade(dict(rows))

    return handmade
