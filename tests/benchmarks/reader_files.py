"""Source files for the benchmark of the readers: large, deterministic, written once."""

from __future__ import annotations

import csv
import gzip
import random
from pathlib import Path

from tests.benchmarks.harness import sized

N_TSV_ROWS = sized(400_000, 2_000)
N_WIT_ROWS = sized(40_000, 500)
_TEXT = (
    'the of a view map river "old" town church and house Fluss montaña río снимок город 地図 satellite (1998) from'
    " north coast building in mountain lake image quartier L'île"
)
_WORDS = _TEXT.split(" ")
_WIT_COLUMNS = (
    "language", "page_url", "image_url", "page_title", "section_title", "hierarchical_section_title",
    "caption_reference_description", "caption_attribution_description", "caption_alt_text_description", "mime_type",
    "original_height", "original_width", "is_main_image", "attribution_passes_lang_id", "page_changed_recently",
    "context_page_description", "context_section_description",
)  # fmt: skip


def cc12m_file(folder: Path) -> Path:
    """Return a file in CC12M's format: URL, caption."""
    path = folder / "cc12m.tsv"
    if not path.exists():
        draw = random.Random(1)
        lines = (f"https://host.example/images/{n:09d}/picture.jpg\t{_text(draw, 14)}\n" for n in range(N_TSV_ROWS))
        path.write_text("".join(lines), encoding="utf-8", newline="\n")
    return path


def cc3m_file(folder: Path) -> Path:
    """Return a file in CC3M's format: caption, URL."""
    path = folder / "GCC-training.tsv"
    if not path.exists():
        lines = cc12m_file(folder).read_text(encoding="utf-8").splitlines()
        swapped = ("\t".join(reversed(line.split("\t"))) + "\n" for line in lines)
        path.write_text("".join(swapped), encoding="utf-8", newline="\n")
    return path


def wit_file(folder: Path) -> Path:
    """Return an uncompressed file in WIT's format: 1.7 KB per record, most with quotes, a third with line ends."""
    path = folder / "wit_v1.train.all-00000-of-00010.tsv"
    if not path.exists():
        draw = random.Random(2)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            writer.writerow(_WIT_COLUMNS)
            writer.writerows(_wit_record(draw, n) for n in range(N_WIT_ROWS))
    return path


def packed_wit_file(folder: Path) -> Path:
    """Return the same file, gzipped."""
    path = folder / "wit_v1.train.all-00001-of-00010.tsv.gz"
    if not path.exists():
        path.write_bytes(gzip.compress(wit_file(folder).read_bytes(), 6))
    return path


def _wit_record(draw: random.Random, n: int) -> list[str]:
    attribution = f"English: {_text(draw, 10)}" if n % 3 else ""
    section = _text(draw, 120) + (f"\n{_text(draw, 50)}" if n % 3 == 0 else "")
    return [
        draw.choice(("en", "de", "ru")), f"https://en.wikipedia.org/wiki/Page_{n}",
        f"https://upload.wikimedia.org/wikipedia/commons/a/a0/{n}.jpg", _text(draw, 3), _text(draw, 2), _text(draw, 5),
        _text(draw, 8) if n % 2 else "", attribution, _text(draw, 4) if n % 5 == 0 else "", "image/jpeg",
        str(draw.randrange(4000)), str(draw.randrange(4000)), "true", "true", "false", _text(draw, 60), section,
    ]  # fmt: skip


def _text(draw: random.Random, n_words: int) -> str:
    return " ".join(draw.choices(_WORDS, k=n_words))
