"""Write the image file of one sample, as fetched or as in its corpus.

The file is copied without decoding.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from flows.ask.spine import names_of, samples_query
from flows.ask.views import open_views
from flows.ledger.ledger import Ledger
from stages.contract import InputError
from stages.safety.hash_lists import HASH_LISTED, listed_sql
from stages.safety.unsafe import marks
from stages.shard.dealing import ShardParams
from stages.withdraw.matching import withdrawn_query

if TYPE_CHECKING:
    import duckdb

# A sample's accepted picture is in a download's tar, a file of its corpus, or a tar of patches. Pictures that must not
# be shown are excluded: `bar_pictures` must list them first, or the query fails.
# `{samples}` is a table or query of samples, with sample_id, corpus and image_id.
LOCATED = """
    SELECT s.sample_id, s.corpus, i.image_format,
           coalesce(f.body_file, l.body_file) AS body_file, coalesce(f.body_offset, l.body_offset) AS body_offset,
           coalesce(f.n_bytes, l.n_bytes) AS n_bytes
    FROM {samples} s JOIN image i USING (image_id)
    LEFT JOIN fetched f ON f.fetch_id = s.image_id LEFT JOIN labelled_image l ON l.sample_id = s.sample_id
    WHERE s.sample_id NOT IN (FROM barred)
"""
# Tables read by `LOCATED` and `bar_pictures`.
PICTURE_TABLES = (
    "candidate", "planned", "sample", "image", "fetched", "labelled_image", "withdrawal", "listed_hash",
)  # fmt: skip
BARRED = "is withdrawn, on a hash list or marked as unsafe by a corpus"
# The tables with the location of an image's bytes, one per half, and their keys.
_LOCATED = (("fetched", "fetch_id"), ("labelled_image", "sample_id"))
_UNSAFE = re.compile(r"[^\w.-]")  # a sample_id may come from a corpus, so it is not used unchanged in a path


def bar_pictures(ledger: Ledger, db: duckdb.DuckDBPyConnection, samples: str = "sample") -> None:
    """Add a table `barred` of the sample_ids whose pictures must not be shown.

    They are withdrawn, on a hash list, or marked as unsafe by a corpus (by the thresholds of `shard`, whether or not
    such pictures are published). The current records count, not earlier decisions of stages.

    Args:
        ledger: the build.
        db: a database with views of `PICTURE_TABLES`.
        samples: a table or query of samples, with sample_id and image_id.
    """
    params = ledger.settings.params(ledger.writer["shard_plan"])
    if not isinstance(params, ShardParams):
        raise TypeError(f"the parameters of plan_shards are ShardParams, found {type(params).__name__}")
    db.execute(f"""
        CREATE OR REPLACE TEMP TABLE barred AS
        WITH sample AS (FROM {samples}), {_hash_listed()}, marked AS ({marks(params)}), unsafe AS (
            SELECT pixel_sha256 FROM marked JOIN planned USING (sample_id) JOIN image ON image_id = fetch_id
        )
        {withdrawn_query()} UNION SELECT sample_id FROM hash_listed UNION SELECT sample_id FROM marked
        UNION SELECT sample_id FROM sample JOIN image USING (image_id)
              WHERE image_id NOT IN (SELECT sample_id FROM labelled_image)
                AND pixel_sha256 IN (SELECT pixel_sha256 FROM unsafe)
    """)


def is_barred(ledger: Ledger, db: duckdb.DuckDBPyConnection, sample_id: str) -> bool:
    """Return whether the picture of a sample must not be shown."""
    bar_pictures(ledger, db, f"({samples_query(ledger)})")
    return db.execute("SELECT 1 FROM barred WHERE sample_id = ?", [sample_id]).fetchone() is not None


def _hash_listed() -> str:
    return f"""
        hash_listed AS (
            SELECT sample_id FROM sample JOIN fetched_rejects ON fetch_id = image_id WHERE reason = '{HASH_LISTED}'
            UNION SELECT sample_id FROM labelled_image_rejects WHERE reason = '{HASH_LISTED}'
            UNION SELECT sample_id FROM sample JOIN ({listed_sql("image_id", "image")}) USING (image_id)
        )
    """


def write_picture(ledger: Ledger, sample_id: str, sources: Path | None, out: Path | None) -> tuple[Path, str]:
    """Write a sample's image file; return its path and a sentence on it.

    Args:
        ledger: the build.
        sample_id: the sample.
        sources: the SOURCES folder, where files of labelled corpora are.
        out: path to write; by default `<sample_id>` with the extension of its format in the current folder.

    Raises:
        InputError: the sample is unknown, was not fetched, has no file, or must not be shown.
    """
    with open_views(ledger) as db:
        names = names_of(ledger, db, sample_id)
        if not names:
            raise InputError(f"no sample {sample_id!r} in this build: `make explain ID=…` reads unmatched rows again")
        if is_barred(ledger, db, sample_id):
            raise InputError(f"{sample_id} {BARRED}: its picture is not shown")
        for table, key in _LOCATED:
            found = db.execute(
                f"SELECT body_file, body_offset, n_bytes FROM {table} WHERE {key} IN (SELECT unnest(?::VARCHAR[]))"
                " AND body_file IS NOT NULL LIMIT 1",
                [names.get(key, [])],
            ).fetchone()
            if found:
                break
        else:
            raise InputError(
                f"{sample_id} has no image file: `make explain ID={sample_id}` shows the stage that rejected it"
            )
        formats = db.execute(
            "SELECT image_format, width_px, height_px FROM image WHERE image_id IN (SELECT unnest(?::VARCHAR[]))",
            [names.get("image_id", [])],
        ).fetchone()
    address, offset, n_bytes = found
    data = ledger.store.read_located(address, offset, n_bytes, sources or Path())
    ending = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif", None: "bin"}.get(*[formats[0] if formats else None] * 2)
    path = out or Path(f"{_UNSAFE.sub('_', sample_id)}.{(ending or 'bin').lower()}")
    path.write_bytes(data)
    size = f"{formats[0]}, {formats[1]} x {formats[2]} px, " if formats else "screen has not accepted it, "
    return path, f"{size}{n_bytes:,} bytes, as {'fetched' if table == 'fetched' else 'its corpus has it'}"
