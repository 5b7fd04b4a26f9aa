"""Writers of the generated world's parquet corpora: LAION-2B-en, LAION-400M, LAION-COCO and COYO-700M."""

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from flows.demo.world.rows import Row

ROW_GROUP_ROWS = 200
_LICENCES = ("?", "?", "", "https://creativecommons.org/licenses/by/2.0/", None)

Table = Callable[[Sequence[Row], random.Random], pa.Table]


def write_tables(name: str, make_table: Table) -> Callable[[Path, Mapping[int, Sequence[Row]], str], None]:
    """Return a writer of one file per part.

    Args:
        name: file name with a placeholder for the part number.
        make_table: returns the table of a file's rows.
    """

    def write(folder: Path, parts: Mapping[int, Sequence[Row]], seed: str) -> None:
        for part, rows in parts.items():
            table = make_table(rows, random.Random(f"columns {seed} {part}"))
            pq.write_table(table, folder / name.format(part), row_group_size=ROW_GROUP_ROWS, compression="snappy")

    return write


def _sizes_px(rows: Sequence[Row], rng: random.Random) -> tuple[list[int], list[int]]:
    """Return the widths and heights of the rows' images; random ones for rows without an image."""
    sizes = [
        (row.image.width_px, row.image.height_px) if row.image else (rng.randrange(200, 2000), rng.randrange(200, 2000))
        for row in rows
    ]
    return [width for width, _ in sizes], [height for _, height in sizes]


def laion_table(rows: Sequence[Row], rng: random.Random) -> pa.Table:
    """Return rows in the columns of LAION-2B-en."""
    widths, heights = _sizes_px(rows, rng)
    columns = {
        "SAMPLE_ID": pa.array([rng.randrange(10**12) if rng.random() < 0.95 else None for _ in rows], pa.int64()),
        "URL": pa.array([row.url for row in rows], pa.string()),
        "TEXT": pa.array([row.caption for row in rows], pa.string()),
        # Swapped, as in the published base files.
        "WIDTH": pa.array(heights, pa.int32()),
        "HEIGHT": pa.array(widths, pa.int32()),
        "LICENSE": pa.array([rng.choice(_LICENCES) for _ in rows], pa.string()),
        "NSFW": pa.array(
            [row.texts.get("NSFW", rng.choice(("UNLIKELY", "UNLIKELY", "UNSURE", None))) for row in rows], pa.string()
        ),
        "similarity": pa.array([rng.uniform(0.28, 0.45) for _ in rows], pa.float64()),
    }
    return pa.table(columns)


def laion400m_table(rows: Sequence[Row], rng: random.Random) -> pa.Table:
    """Return rows in the columns of LAION-400M, LAION-2B's in another order; shifted rows have wrong values."""
    table = laion_table(rows, rng)
    columns = {}
    for name in ("SAMPLE_ID", "URL", "TEXT", "HEIGHT", "WIDTH", "LICENSE", "NSFW", "similarity"):
        values = [row.texts.get(name, value) for row, value in zip(rows, table[name].to_pylist(), strict=True)]
        columns[name] = pa.array(values, table.schema.field(name).type)
    return pa.table(columns)


def coco_table(rows: Sequence[Row], rng: random.Random) -> pa.Table:
    """Return rows in the columns of LAION-COCO."""
    widths, heights = _sizes_px(rows, rng)
    captions = [row.texts["all_captions"] for row in rows]
    likeness = [captions and sorted((rng.uniform(0.2, 0.4) for _ in captions), reverse=True) for captions in captions]
    was_fetched = [rng.random() < 0.9 for _ in rows]
    columns = {
        "URL": pa.array([row.url for row in rows], pa.string()),
        **{name: pa.array([row.texts[name] for row in rows], pa.string()) for name in ("TEXT", "top_caption")},
        "all_captions": pa.array(captions, pa.list_(pa.string())),
        "all_similarities": pa.array(likeness, pa.list_(pa.float64())),
        "WIDTH": pa.array(widths, pa.int64()),
        "HEIGHT": pa.array(heights, pa.int64()),
        "similarity": pa.array([rng.uniform(0.28, 0.45) for _ in rows], pa.float64()),
        "hash": pa.array([rng.getrandbits(64) - 2**63 for _ in rows], pa.int64()),
        "pwatermark": pa.array([rng.random() if known else None for known in was_fetched], pa.float64()),
        "punsafe": _scores(rows, [rng.uniform(0, 0.45) if known else None for known in was_fetched], "punsafe"),
    }
    return pa.table(columns)


def _scores(rows: Sequence[Row], drawn: Sequence[float | None], name: str) -> pa.Array:
    """Return a column of drawn scores, but for rows whose score is planned."""
    return pa.array([row.texts.get(name, score) for row, score in zip(rows, drawn, strict=True)], pa.float64())


def coyo_table(rows: Sequence[Row], rng: random.Random) -> pa.Table:
    """Return rows in the columns of COYO-700M."""
    widths, heights = _sizes_px(rows, rng)
    texts = [row.caption or "" for row in rows]
    hashes = [f"{row.image.phash if row.image else rng.getrandbits(64):016x}" for row in rows]
    counts = {"text_length": [len(text) for text in texts], "word_count": [len(text.split()) for text in texts]}
    counts |= {name: [1 + len(text) // 4 for text in texts] for name in ("num_tokens_bert", "num_tokens_gpt")}
    scores = {
        "clip_similarity_vitb32": (0.15, 0.45), "clip_similarity_vitl14": (0.1, 0.4), "nsfw_score_opennsfw2": (0, 0.2),
        "nsfw_score_gantman": (0, 0.9), "watermark_score": (0, 1), "aesthetic_score_laion_v2": (3, 7),
    }  # fmt: skip
    columns = {
        "id": pa.array([(rng.randrange(131, 869) << 33) + n for n in range(len(rows))], pa.int64()),
        "url": pa.array([row.url for row in rows], pa.string()),
        "text": pa.array([row.caption for row in rows], pa.string()),
        "width": pa.array(widths, pa.int32()),
        "height": pa.array(heights, pa.int32()),
        "image_phash": pa.array(hashes, pa.string()),
        **{name: pa.array(values, pa.int32()) for name, values in counts.items()},
        "num_faces": pa.array([rng.choice((0, 0, 0, 1)) for _ in rows], pa.int32()),
        **{
            name: _scores(rows, [rng.uniform(*span) for _ in rows], name).cast(pa.float32())
            for name, span in scores.items()
        },
    }
    return pa.table(columns)
