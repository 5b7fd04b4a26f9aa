"""Writers of the generated world's source files, each corpus in the columns it is published with."""

import random
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.world_rows import CC3M, COYO, LAION, Row

FILE_NAMES = {
    LAION: "part-{:05d}-5114fd87-297e-42b0-9d11-50f1df323dfa-c000.snappy.parquet",
    COYO: "part-{:05d}-17da4908-939c-46e5-91d0-15f256041956-c000.snappy.parquet",
    CC3M: "Train_GCC-training.tsv",
}
ROW_GROUP_ROWS = 200


def write_sources(folder: Path, placed: dict[tuple[str, int], list[Row]], seed: int) -> None:
    """Write every part of every corpus under the folder."""
    for (corpus, part), rows in placed.items():
        path = folder / corpus / FILE_NAMES[corpus].format(part)
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = random.Random(f"columns {seed} {corpus} {part}")
        if corpus == CC3M:
            lines = [row.line if row.line is not None else f"{row.caption}\t{row.url}".encode() for row in rows]
            path.write_bytes(b"".join(line + b"\n" for line in lines))
        else:
            table = _laion_table(rows, rng) if corpus == LAION else _coyo_table(rows, rng)
            pq.write_table(table, path, row_group_size=ROW_GROUP_ROWS, compression="snappy")


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
