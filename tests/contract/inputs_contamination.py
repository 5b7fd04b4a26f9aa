"""Handmade inputs of contamination."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.contract.handmade import BODIES, Handmade, samples_of, tables
from tests.evaluation_files import MTIME_NS, write_evaluation_files

_SPINE = samples_of({"cc3m_0_0": "image 0", "cc3m_0_1": "image 1", "laion2b_0_0": "image 2", "ben_7": "image 3"})
_HASHES = (1 << 63, 255 << 20, 9 << 40, 9 << 40 | 7)
_IMAGES = [
    {"image_id": f"image {n}", "pixel_sha256": f"pixels {n}", "phash": phash, "phash_detail": 1.0 - n / 3}
    for n, phash in enumerate(_HASHES)
]
_EVALUATION = [
    {
        "evaluation_set": name,
        "evaluation_path": f"{n}.png",
        "evaluation_split": split,
        "pixel_sha256": pixels,
        "phash": hashes[0],
        "phash_detail": 1.0,
        "variant_names": ["upright", "mirrored"],
        "variant_hashes": hashes,
        "variant_details": [1.0, 0.01 if n == 2 else 1.0],
    }
    for n, (name, split, pixels, hashes) in enumerate(
        (
            ("alpha", "train", "pixels 0", [1 << 63, 0xFFFF]),
            ("alpha", "test", "other pixels", [0xFFFF << 24, 255 << 20 | 1]),
            ("beta", "all", "pixels 2", [9 << 40 | 1, 1 << 63]),
        )
    )
]
_MARKS = [
    {"sample_id": "cc3m_0_0", "evaluation_set": "alpha", "evaluation_split": "train", "measure": "pixels"},
    {"sample_id": "cc3m_0_0", "evaluation_set": "alpha", "evaluation_split": "test", "measure": "phash"},
    {"sample_id": "laion2b_0_0", "evaluation_set": "beta", "evaluation_split": "all", "measure": "phash"},
]
_OVERLAP = [{**_EVALUATION[0], "other_set": "beta", "other_split": "all", "measure": "phash"}]


def _body(number: int, kind: str) -> bytes:
    # Formats whose bytes do not depend on a codec's version, whatever the file's extension.
    return BODIES[number % 2]


@contextmanager
def _listing(folder: Path) -> Iterator[Handmade]:
    yield Handmade({}, params={"evaluation": str(write_evaluation_files(folder / "evaluation", _body))})


@contextmanager
def _hashing(folder: Path) -> Iterator[Handmade]:
    rows: list[dict[str, Any]] = []
    for n, body in enumerate(BODIES):
        path = folder / f"{n}.png"
        path.write_bytes(body)
        about = {"evaluation_set": "alpha", "evaluation_path": path.name, "evaluation_split": "test"}
        where = {"size_bytes": len(body), "mtime_ns": MTIME_NS, "evaluation_file": str(path)}
        rows.append({**about, **where, "evaluation_licence": None})
    yield Handmade({"evaluation_file": rows}, "evaluation-alpha-test-0000")


HANDMADE: dict[str, Callable[[Path], Any]] = {
    "list_evaluation": _listing,
    "list_evaluation_captions": _listing,
    "hash_evaluation": _hashing,
    "find_contaminated": tables(sample=_SPINE, image=_IMAGES, evaluation_image=_EVALUATION),
    "find_overlap": tables(evaluation_image=_EVALUATION),
    "find_captions": tables(
        sample=_SPINE,
        image=_IMAGES,
        candidate=[
            {"sample_id": "cc3m_0_0", "caption": "An Aerial  view."},
            {"sample_id": "cc3m_0_1", "caption": "A lake"},
        ],
        evaluation_caption=[
            {"evaluation_set": "alpha", "evaluation_split": split, "evaluation_caption": "an aerial view"}
            for split in ("train", "test")
        ],
    ),
    "count_contamination": tables(
        evaluation_file=_EVALUATION,
        evaluation_image=_EVALUATION,
        sample=_SPINE,
        contaminated=_MARKS,
        evaluation_overlap=_OVERLAP,
        contaminated_caption=[{"sample_id": "cc3m_0_1", "evaluation_set": "beta"}],
    ),
}
