"""Writers of the generated world's corpora with one row per line: CC3M with its machine tags, and CC12M."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from flows.demo.world.rows import Row

CC3M_NAME, CC12M_NAME = "Train_GCC-training.tsv", "cc12m.tsv"
LABEL_FILE_NAME = "Image_Labels_Subset_Train_GCC-Labels-training.tsv"
_LABELS = (
    ("aerial photography", "/m/0pl0s"), ("bird's-eye view", "/m/01h0fj"), ("landscape", "/m/025s3q0"),
    ("water", "/m/0838f"), ("road", "/m/06gfj"), ("field", "/m/0cblv"), ("map", "/m/04_tb"), ("city", "/m/01n32"),
)  # fmt: skip


def write_cc3m(folder: Path, parts: Mapping[int, Sequence[Row]], seed: str) -> None:
    """Write one file, caption first, and the machine tags of some rows."""
    rows = parts[0]
    lines = [row.line if row.line is not None else f"{row.caption}\t{row.url}".encode() for row in rows]
    (folder / CC3M_NAME).write_bytes(b"".join(line + b"\n" for line in lines))
    labels = _label_lines(rows, random.Random(f"columns {seed}"))
    (folder / LABEL_FILE_NAME).write_text("".join(labels), encoding="utf-8")


def write_cc12m(folder: Path, parts: Mapping[int, Sequence[Row]], seed: str) -> None:
    """Write one file, URL first; captions may contain tabs, and quotes are literal."""
    lines = [row.line if row.line is not None else f"{row.url}\t{row.caption}".encode() for row in parts[0]]
    (folder / CC12M_NAME).write_bytes(b"".join(line + b"\n" for line in lines))


def _label_lines(rows: Sequence[Row], rng: random.Random) -> list[str]:
    """Return tag lines of a third of the rows, shuffled; some have no tags, and some match no row."""
    chosen = [(row.caption, row.url) for row in rows if row.line is None and row.url and rng.random() < 1 / 3]
    chosen += [(f"a cat {n}", f"http://127.0.0.1:9/{n}.jpg") for n in range(5)]
    rng.shuffle(chosen)
    lines = []
    for caption, url in chosen:
        labels = rng.sample(_LABELS, rng.randrange(1, len(_LABELS))) if rng.random() < 0.9 else []
        probs = sorted((rng.uniform(0.8, 0.99) for _ in labels), reverse=True)
        lists = ([name for name, _ in labels], [code for _, code in labels], [str(prob) for prob in probs])
        lines.append("\t".join((str(caption), str(url), *map(",".join, lists))) + "\n")
    return lines
