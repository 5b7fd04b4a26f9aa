"""Writes the generated world's source files, each corpus with its published names, formats and compression."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from flows.demo.world.corpora import CC3M, CC12M, COCO, COYO, LAION, LAION400M, REDCAPS, SBU, VG, WIT, YFCC
from flows.demo.world.json import write_captioned_photos, write_described_images, write_posts
from flows.demo.world.lines import write_cc3m, write_cc12m
from flows.demo.world.parquet import coco_table, coyo_table, laion400m_table, laion_table, write_tables
from flows.demo.world.rows import Row
from flows.demo.world.wit import write_pages
from flows.demo.world.yfcc import write_photos

Parts = Mapping[int, Sequence[Row]]

# Arguments: the corpus's folder, its rows by part number, and the seed of all columns that the rows do not set.
WRITERS: dict[str, Callable[[Path, Parts, str], None]] = {
    LAION: write_tables("part-{:05d}-5114fd87-297e-42b0-9d11-50f1df323dfa-c000.snappy.parquet", laion_table),
    LAION400M: write_tables("part-{:05d}-5b54c5d5-bbcf-484d-a2ce-0d6f73df1a36-c000.snappy.parquet", laion400m_table),
    COCO: write_tables("part-{:05d}-2256f782-126f-4dc6-b9c6-e6757637749d-c000.snappy.parquet", coco_table),
    COYO: write_tables("part-{:05d}-17da4908-939c-46e5-91d0-15f256041956-c000.snappy.parquet", coyo_table),
    WIT: write_pages,
    YFCC: write_photos,
    CC12M: write_cc12m,
    CC3M: write_cc3m,
    REDCAPS: write_posts,
    SBU: write_captioned_photos,
    VG: write_described_images,
}


def write_sources(folder: Path, placed: Mapping[tuple[str, int], Sequence[Row]], seed: int) -> None:
    """Write all files of all corpora under the folder."""
    for corpus, write in WRITERS.items():
        path = folder / corpus
        path.mkdir(parents=True)
        write(path, {part: rows for (owner, part), rows in placed.items() if owner == corpus}, f"{seed} {corpus}")
