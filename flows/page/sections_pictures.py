"""Sections of pictures: seeded samples of kept pictures and of those that each decision removed.

Pictures that nobody is to see are left out by the query that locates them (flows/ask/picture.py).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.ask.picture import LOCATED
from flows.ask.report import Row, query_report
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

_LOCATED = LOCATED.format(samples="(FROM sample SEMI JOIN chosen USING (sample_id))")  # of the samples in `chosen`


@dataclass(frozen=True)
class Album:
    """Reads small pictures of a build's samples.

    Attributes:
        store: the build's store.
        sources: the SOURCES folder, where files of labelled corpora are.
    """

    store: Store
    sources: Path

    def picture(self, row: Mapping[str, Any], lines: Sequence[str]) -> Picture:
        """Return a picture of at most 128 px; an unreadable one has no image and a line that says so."""
        try:
            data = self.store.read_located(row["body_file"], row["body_offset"], row["n_bytes"], self.sources)
            image = open_rgb(data, row["image_format"], longest_px=_SIDE_PX)
        except (InputError, NotDecoded) as error:
            return Picture("", [*lines, f"cannot be read: {str(error)[:80]}"])
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=_QUALITY)
        return Picture(f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}", lines)


def kept(db: duckdb.DuckDBPyConnection, album: Album) -> Section:
    """Return a sheet of published pictures per corpus, chosen by a hash of sample_id."""
    chosen = f"""SELECT sample_id, corpus AS sheet, published_text AS line FROM metafile
                 QUALIFY row_number() OVER (PARTITION BY sheet ORDER BY md5(sample_id)) <= {_PER_CORPUS}"""
    sheets = _sheets(db, album, chosen, "{}: {} published samples, chosen by hash.", "metafile")
    return Section("kept", "Published pictures", sheets)


def removed(db: duckdb.DuckDBPyConnection, album: Album) -> Section:
    """Return a sheet per reason of the pictures that outlier filtering removed, with their scores."""
    chosen = f"""SELECT sample_id, reason AS sheet, detail AS line FROM relevant_rejects
                 QUALIFY row_number() OVER (PARTITION BY sheet ORDER BY md5(sample_id)) <= {_PER_REASON}"""
    sheets = _sheets(db, album, chosen, "{}: {} samples, chosen by hash.", "relevant")
    return Section("removed", "Pictures removed as outliers", sheets)


def _sheets(db: duckdb.DuckDBPyConnection, album: Album, chosen: str, caption: str, source: str) -> list[Figure]:
    """Return one sheet of pictures per value of `sheet`.

    Args:
        db: a database with views of the build's tables.
        album: reads the pictures.
        chosen: SQL for the samples: sample_id, sheet, and the line below the picture.
        caption: template with placeholders for the sheet and its number of pictures.
        source: table named below the sheet.
    """
    rows = query_report(
        db,
        source,
        f"""WITH chosen AS ({chosen}) SELECT located.*, sheet, line
            FROM ({_LOCATED}) located JOIN chosen USING (sample_id) ORDER BY sheet, md5(sample_id)""",
    ).rows
    by_sheet: dict[str, list[Row]] = {}
    for row in rows:
        by_sheet.setdefault(str(row["sheet"]), []).append(row)
    return [
        Figure(
            caption.format(sheet, len(of)),
            source,
            pictures=[album.picture(row, (str(row["sample_id"]), _short(row["line"]))) for row in of],
        )
        for sheet, of in by_sheet.items()
    ]


def near_duplicates(db: duckdb.DuckDBPyConnection, album: Album) -> Section:
    """Return pairs of a removed picture and its survivor, and the largest clusters."""
    pairs = query_report(
        db,
        "pairs",
        f"""WITH pair AS (SELECT r.sample_id, m.survivor_id, m.phash_distance FROM survivor_rejects r
                JOIN cluster_member m USING (sample_id) WHERE r.reason = 'near_duplicate'
                ORDER BY md5(r.sample_id) LIMIT {_PAIRS}),
            chosen AS (SELECT sample_id FROM pair UNION SELECT survivor_id FROM pair),
            located AS ({_LOCATED})
            SELECT located.*, pair.sample_id AS of, phash_distance,
                   located.sample_id = pair.sample_id AS is_removed
            FROM pair JOIN located ON located.sample_id IN (pair.sample_id, pair.survivor_id)
            ORDER BY md5(of), is_removed DESC""",
    ).rows
    pictures = [
        album.picture(
            row, (str(row["sample_id"]), f"removed, distance {row['phash_distance']}" if row["is_removed"] else "kept")
        )
        for row in pairs
    ]
    largest = db.execute(
        "SELECT survivor_id, max(cluster_n_samples) AS n FROM cluster_member GROUP BY ALL HAVING n > 1"
        " ORDER BY n DESC, survivor_id LIMIT 12"
    ).fetchall()
    n_of = dict(largest)
    db.execute("CREATE OR REPLACE TEMP TABLE largest AS SELECT unnest(?::VARCHAR[]) AS sample_id", [list(n_of)])
    found = query_report(db, "largest", f"WITH chosen AS (FROM largest) {_LOCATED}").rows
    rows = sorted(found, key=lambda row: (-n_of[row["sample_id"]], row["sample_id"]))
    sizes = [album.picture(row, (str(row["sample_id"]), f"{n_of[row['sample_id']]} samples")) for row in rows]
    return Section(
        "clusters",
        "Near duplicates",
        (
            Figure(f"{len(pairs) // 2} pairs, chosen by hash: the removed picture, then the kept.", "cluster_member",
                   pictures=pictures),
            Figure("The pictures with the largest clusters.", "cluster_member", pictures=sizes),
        ),
    )  # fmt: skip


def _short(value: object) -> str:
    text = str(value or "")
    return text if len(text) <= 80 else text[:79] + "…"
