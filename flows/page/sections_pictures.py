"""Sections of pictures: seeded samples of kept pictures and of those that each decision removed.

Samples are chosen by a hash of sample_id. The query that locates pictures (flows/ask/picture.py) excludes those that
must not be shown.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flows.page.album import Album, located
from flows.page.drawings import count
from flows.page.section import Figure, Picture, Section
from schemas.reasons import REASON
from stages.plurals import counted

if TYPE_CHECKING:
    import duckdb

_PER_CORPUS = 8
_PER_REASON = 24
_PAIRS = 12
_CLUSTERS = 6
_PER_CLUSTER = 12
_SCORE = re.compile(r"-?\b\d+\.\d{5,}(?:e-?\d+)?\b|-?\b\d(?:\.\d+)?e-\d+\b")


def kept(db: duckdb.DuckDBPyConnection, album: Album) -> Section:
    """Return a sheet of published pictures per corpus."""
    chosen = "SELECT sample_id, corpus AS sheet, published_text AS line FROM metafile"
    return Section("kept", "Published pictures", _sheets(db, album, chosen, "metafile", _PER_CORPUS))


def duplicates(db: duckdb.DuckDBPyConnection, album: Album) -> Section:
    """Return a sheet of the pictures that were removed as duplicates, per reason."""
    return Section("removed-duplicates", "Pictures removed as duplicates", _refused(db, album, "survivor"))


def outliers(db: duckdb.DuckDBPyConnection, album: Album) -> Section:
    """Return a sheet of the pictures that outlier filtering removed, per reason, with their scores."""
    return Section("removed", "Pictures removed as outliers", _refused(db, album, "relevant"))


def uncaptioned(db: duckdb.DuckDBPyConnection, album: Album) -> Section:
    """Return a sheet of the labelled pictures for which no caption was generated or chosen, per reason."""
    return Section(
        "uncaptioned",
        "Labelled pictures without a caption",
        _refused(db, album, "caption_candidate", "caption_score", "caption"),
    )


def unpublished(db: duckdb.DuckDBPyConnection, album: Album) -> Section:
    """Return a sheet per reason of the pictures rejected at the end, without withdrawn ones."""
    return Section("unpublished", "Pictures refused for publication", _refused(db, album, "shard_plan", "shard"))


def unread(db: duckdb.DuckDBPyConnection) -> Section:
    """Return the reasons for which screen rejected images, with examples, which are not decoded for the page."""
    rows = db.execute(
        "SELECT reason, count(*) AS n, min_by(detail, md5(image_id)) FROM image_rejects GROUP BY reason"
        " ORDER BY n DESC, reason"
    ).fetchall()
    shown = [(reason, n, REASON[reason].meaning, detail or "") for reason, n, detail in rows]
    figure = Figure(
        f"{count(sum(n for _, n, *_ in shown))} downloaded or labelled images that are not valid.",
        "image",
        columns=("reason", "images", "meaning", "for example"),
        rows=shown,
    )
    return Section("unread", "Images refused by screen", (figure,) if shown else ())


def near_duplicates(db: duckdb.DuckDBPyConnection, album: Album) -> Section:
    """Return pairs of a removed picture and its survivor, and the members of the largest clusters."""
    pairs = db.execute(
        "SELECT sample_id, survivor_id, r.reason, phash_distance FROM survivor_rejects r"
        " JOIN cluster_member USING (sample_id)"
        f" WHERE r.reason NOT IN ('url_duplicate', 'pixel_duplicate') ORDER BY md5(sample_id) LIMIT {_PAIRS}"
    ).fetchall()
    found = located(db, [sample_id for removed, kept, *_ in pairs for sample_id in (removed, kept)])
    pictures: list[Picture] = []
    for removed, survivor, reason, distance in pairs:
        if removed in found and survivor in found:
            pictures.append(album.picture(found[removed], (removed, f"{reason}, distance {distance}")))
            pictures.append(album.picture(found[survivor], (survivor, "kept")))
    figures = [
        Figure(
            f"{len(pictures) // 2} pairs, chosen by hash: the removed picture, then the kept.",
            "cluster_member",
            pictures=pictures,
        )
    ]
    return Section("clusters", "Near duplicates", (*figures, *_clusters(db, album)))


def _clusters(db: duckdb.DuckDBPyConnection, album: Album) -> list[Figure]:
    """Return the members of the largest clusters, with the survivor first if it may be shown."""
    largest = db.execute(
        f"""WITH big AS (SELECT survivor_id, count(*) AS n FROM cluster_member GROUP BY survivor_id HAVING n > 1
                         ORDER BY n DESC, survivor_id LIMIT {_CLUSTERS})
            SELECT survivor_id, n, min_by({{'sample_id': sample_id, 'why': duplicate_reason}},
                                          (sample_id <> survivor_id)::INT || md5(sample_id), {_PER_CLUSTER})
            FROM cluster_member JOIN big USING (survivor_id) GROUP BY ALL ORDER BY n DESC, survivor_id"""
    ).fetchall()
    found = located(db, [member["sample_id"] for _, _, members in largest for member in members])
    figures = []
    for kept_id, n, members in largest:
        shown = [member for member in members if member["sample_id"] in found]
        order = "the kept picture first" if kept_id in found else "the kept one is not shown"
        chosen = ", others chosen by hash" if n > len(members) else ""
        pictures = [
            album.picture(
                found[member["sample_id"]],
                (member["sample_id"], "kept" if member["sample_id"] == kept_id else str(member["why"] or "marked")),
            )
            for member in shown
        ]
        caption = f"A cluster of {count(n)} samples: {order}{chosen}{_hidden(len(members) - len(shown))}."
        figures.append(Figure(caption, "cluster_member", pictures=pictures))
    return figures


def _refused(db: duckdb.DuckDBPyConnection, album: Album, *tables: str) -> list[Figure]:
    """Return one sheet per reject reason of some tables."""
    figures: list[Figure] = []
    for table in tables:
        chosen = f"SELECT sample_id, reason AS sheet, min(detail) AS line FROM {table}_rejects GROUP BY ALL"
        figures += _sheets(db, album, chosen, table, _PER_REASON)
    return figures


def _sheets(db: duckdb.DuckDBPyConnection, album: Album, chosen: str, source: str, n_pictures: int) -> list[Figure]:
    """Return one sheet of pictures per value of `sheet`, the largest first.

    Args:
        db: a database with views of the build's tables.
        album: reads the pictures.
        chosen: SQL for the samples: sample_id, sheet, and the line below the picture.
        source: table named below the sheet.
        n_pictures: maximum number of pictures per sheet.
    """
    sheets = db.execute(
        f"""SELECT sheet, count(*) AS n, min_by({{'sample_id': sample_id, 'line': line}}, md5(sample_id), {n_pictures})
            FROM ({chosen}) GROUP BY sheet ORDER BY n DESC, sheet"""
    ).fetchall()
    found = located(db, [one["sample_id"] for _, _, few in sheets for one in few])
    figures = []
    for sheet, n, few in sheets:
        pictures = [
            album.picture(found[one["sample_id"]], (one["sample_id"], _short(one["line"], sheet in REASON)))
            for one in few
            if one["sample_id"] in found
        ]
        meaning = f" {REASON[sheet].meaning}" if sheet in REASON else ""
        chosen_by = ", chosen by hash" if len(few) < n else ""
        shown = f"{len(few)} of {counted(n, 'sample')}{chosen_by}{_hidden(len(few) - len(pictures))}"
        if not pictures:
            shown = f"{counted(n, 'sample')}; none shown, since unsafe, withdrawn or without a valid image"
        caption = f"{sheet}: {shown}.{meaning}"
        figures.append(Figure(caption, source, pictures=pictures))
    return figures


def _hidden(n: int) -> str:
    """Return why pictures are missing, as the end of a sentence."""
    return f"; {n} unsafe, withdrawn or without a valid image, so not shown" if n else ""


def _short(value: object, is_detail: bool) -> str:
    """Return the beginning of a caption, or of the detail of a reject, whose scores are rounded."""
    text = str(value or "")
    if is_detail:
        text = _SCORE.sub(lambda found: f"{float(found[0]):.4f}".rstrip("0").removesuffix("."), text)
    return text if len(text) <= 80 else text[:79] + "…"
