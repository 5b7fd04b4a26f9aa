"""Writers of the generated world's source files, each corpus in the columns it is published with."""

import random
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.world_rows import CC3M, COYO, LAION, YFCC, Row
from tests.world_yfcc import write_photos

FILE_NAMES = {
    LAION: "part-{:05d}-5114fd87-297e-42b0-9d11-50f1df323dfa-c000.snappy.parquet",
    COYO: "part-{:05d}-17da4908-939c-46e5-91d0-15f256041956-c000.snappy.parquet",
    CC3M: "Train_GCC-training.tsv",
}
LABEL_FILE_NAME = "Image_Labels_Subset_Train_GCC-Labels-training.tsv"
ROW_GROUP_ROWS = 200
_LABELS = (
    ("aerial photography", "/m/0pl0s"), ("bird's-eye view", "/m/01h0fj"), ("landscape", "/m/025s3q0"),
    ("water", "/m/0838f"), ("road", "/m/06gfj"), ("field", "/m/0cblv"), ("map", "/m/04_tb"), ("city", "/m/01n32"),
)  # fmt: skip


def write_sources(folder: Path, placed: dict[tuple[str, int], list[Row]], seed: int) -> None:
    """Write every part of every corpus under the folder."""
    write_photos(folder / YFCC, {part: rows for (corpus, part), rows in placed.items() if corpus == YFCC}, seed)
    for (corpus, part), rows in placed.items():
        if corpus == YFCC:
            continue
        path = folder / corpus / FILE_NAMES[corpus].format(part)
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = random.Random(f"columns {seed} {corpus} {part}")
        if corpus == CC3M:
            lines = [row.line if row.line is not None else f"{row.caption}\t{row.url}".encode() for row in rows]
            path.write_bytes(b"".join(line + b"\n" for line in lines))
            (path.parent / LABEL_FILE_NAME).write_text("".join(_label_lines(rows, rng)), encoding="utf-8")
        else:
            table = _laion_table(rows, rng) if corpus == LAION else _coyo_table(rows, rng)
            pq.write_table(table, path, row_group_size=ROW_GROUP_ROWS, compression="snappy")


def _label_lines(rows: Sequence[Row], rng: random.Random) -> list[str]:
    """Return machine tags of a third of the rows, in another order; some rows have none, and some belong to no row."""
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


def _size_px(rng: random.Random, row: Row) -> tuple[int, int]:
    return (
        (row.image.width_px, row.image.height_px) if row.image else (rng.randrange(200, 2000), rng.randrange(200, 2000))
    )


def _laion_table(rows: Sequence[Row], rng: random.Random) -> pa.Table:
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


def _coyo_table(rows: Sequence[Row], rng: random.Random) -> pa.Table:
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
