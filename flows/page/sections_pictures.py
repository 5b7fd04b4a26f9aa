"""Sections of pictures: seeded samples of what was kept and of what each decision removed.

Withdrawn pictures are never shown, nor those that their corpus marks as unsafe.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.ledger.store import Store
from flows.page.section import Figure, Picture, Section
from stages.contract import InputError
from stages.images.not_decoded import NotDecoded
from stages.images.rgb import open_rgb

if TYPE_CHECKING:
    import duckdb

_PER_CORPUS = 8
_PER_REASON = 24
_PAIRS = 12
_SIDE_PX = 128
_QUALITY = 70

# A sample's picture is where its half keeps it: a download's tar, the corpus's own file, or a tar of rendered patches.
_LOCATED = """
    SELECT s.sample_id, s.corpus, s.image_id, i.image_format,
           coalesce(f.body_file, l.body_file) AS body_file, coalesce(f.body_offset, l.body_offset) AS body_offset,
           coalesce(f.n_bytes, l.n_bytes) AS n_bytes
    FROM chosen JOIN sample s USING (sample_id) JOIN image i ON i.image_id = s.image_id
    LEFT JOIN fetched f ON f.fetch_id = s.image_id LEFT JOIN labelled_image l ON l.sample_id = s.sample_id
    WHERE s.sample_id NOT IN (SELECT sample_id FROM shard_plan_rejects WHERE reason = 'withdrawn')
      AND s.sample_id NOT IN (SELECT sample_id FROM candidate
                              WHERE punsafe > 0.5 OR upper(nsfw) IN ('NSFW', 'UNSURE', 'TRUE', '1'))
"""


@dataclass(frozen=True)
class Album:
    """Small pictures of samples of one build.

    Attributes:
        store: of the build.
        sources: the SOURCES folder, where files of labelled corpora are.
    """

    store: Store
    sources: Path

    def picture(self, row: Mapping[str, Any], lines: Sequence[str]) -> Picture:
        """Return a picture of at most 128 px; one that cannot be read has no image, and a line that says so."""
        try:
            data = self.store.read_located(row["body_file"], row["body_offset"], row["n_bytes"], self.sources)
            image = open_rgb(data, row["image_format"], longest_px=_SIDE_PX)
        except (InputError, NotDecoded) as error:
            return Picture("", [*lines, f"cannot be read: {str(error)[:80]}"])
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=_QUALITY)
        return Picture(f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}", lines)


def kept(db: duckdb.DuckDBPyConnection, album: Album) -> Section:
    """Return a sheet of published pictures per corpus, chosen by the hash of the sample's name."""
    rows = _rows(
        db,
        f"""WITH chosen AS (SELECT sample_id, published_text FROM metafile
            QUALIFY row_number() OVER (PARTITION BY corpus ORDER BY md5(sample_id)) <= {_PER_CORPUS})
            SELECT located.*, published_text FROM ({_LOCATED}) located JOIN chosen USING (sample_id)
            ORDER BY corpus, md5(sample_id)""",
    )
    figures = []
    for corpus in dict.fromkeys(row["corpus"] for row in rows):
        of = [row for row in rows if row["corpus"] == corpus]
        pictures = [album.picture(row, (row["sample_id"], _short(row["published_text"]))) for row in of]
        figures.append(Figure(f"{corpus}: {len(of)} published samples, chosen by hash.", "metafile", pictures=pictures))
    return Section("kept", "Published pictures", figures)


def removed(db: duckdb.DuckDBPyConnection, album: Album) -> Section:
    """Return a sheet of the pictures that outlier filtering removed, per reason, with their scores."""
    rows = _rows(
        db,
        f"""WITH chosen AS (SELECT sample_id, reason, detail FROM relevant_rejects
            QUALIFY row_number() OVER (PARTITION BY reason ORDER BY md5(sample_id)) <= {_PER_REASON})
            SELECT located.*, reason, detail FROM ({_LOCATED}) located JOIN chosen USING (sample_id)
            ORDER BY reason, md5(sample_id)""",
    )
    figures = []
    for reason in dict.fromkeys(row["reason"] for row in rows):
        of = [row for row in rows if row["reason"] == reason]
        pictures = [album.picture(row, (row["sample_id"], _short(row["detail"]))) for row in of]
        figures.append(Figure(f"{reason}: {len(of)} samples, chosen by hash.", "relevant", pictures=pictures))
    return Section("removed", "Pictures removed as outliers", figures)


def near_duplicates(db: duckdb.DuckDBPyConnection, album: Album) -> Section:
    """Return pairs of a removed picture and the one that was kept for it, and the largest clusters."""
    pairs = _rows(
        db,
        f"""WITH pair AS (SELECT r.sample_id, m.survivor_id, m.phash_distance FROM survivor_rejects r
                JOIN cluster_member m USING (sample_id) WHERE r.reason = 'near_duplicate'
                ORDER BY md5(r.sample_id) LIMIT {_PAIRS}),
            chosen AS (SELECT sample_id FROM pair UNION SELECT survivor_id FROM pair),
            located AS ({_LOCATED})
            SELECT located.*, pair.sample_id AS of, phash_distance,
                   located.sample_id = pair.sample_id AS is_removed
            FROM pair JOIN located ON located.sample_id IN (pair.sample_id, pair.survivor_id)
            ORDER BY md5(of), is_removed DESC""",
    )
    pictures = [
        album.picture(
            row, (row["sample_id"], f"removed, distance {row['phash_distance']}" if row["is_removed"] else "kept")
        )
        for row in pairs
    ]
    largest = db.execute(
        "SELECT survivor_id, max(cluster_n_samples) AS n FROM cluster_member GROUP BY ALL HAVING n > 1"
        " ORDER BY n DESC, survivor_id LIMIT 12"
    ).fetchall()
    n_of = dict(largest)
    db.execute("CREATE OR REPLACE TEMP TABLE largest AS SELECT unnest(?::VARCHAR[]) AS sample_id", [list(n_of)])
    rows = _rows(db, f"WITH chosen AS (FROM largest) {_LOCATED}")
    rows.sort(key=lambda row: (-n_of[row["sample_id"]], row["sample_id"]))
    return Section(
        "clusters",
        "Near duplicates",
        (
            Figure(f"{len(pairs) // 2} pairs, chosen by hash: the removed picture, then the kept.", "cluster_member",
                   pictures=pictures),
            Figure(
                "The pictures with the largest clusters.",
                "cluster_member",
                pictures=[album.picture(row, (row["sample_id"], f"{n_of[row['sample_id']]} samples")) for row in rows],
            ),
        ),
    )  # fmt: skip


def _rows(db: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    found = db.execute(query)
    names = [one[0] for one in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _short(text: str | None) -> str:
    text = text or ""
    return text if len(text) <= 80 else text[:79] + "…"
