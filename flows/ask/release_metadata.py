"""Write and read release metadata: URLs, texts, digests and splits, to make a dataset again without its images.

The dataset is made again by `flows/run/rebuild.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flows.ask.views import open_views
from flows.card.identity import build_id
from flows.ledger.ledger import Ledger
from stages.contract import InputError
from stages.readers.rs5m_tars.located import SCHEME
from stages.rows import parquet_sql, quote_text
from stages.stated import CARRIED, COLUMNS, SCORES

FORMAT = "rs5m release metadata 1"
RENDERED_BY = ("ben_clip_reflectance", "ben_jpeg_quality", "ben_has_full_chroma")  # settings of labelled
# The place of an image in a released tar is no URL for others.
ROWS_QUERY = f"""
    SELECT m.sample_id, m.half, m.corpus, m.img_name, CASE WHEN starts_with(m.url, '{SCHEME}') THEN '' ELSE m.url END
           AS url, m.published_text, m.split, m.shard, m.body_sha256, m.published_sha256, i.n_bytes, i.pixel_sha256,
           i.phash, i.width_px, i.height_px, i.published_format, v.vlm_score_cos, d.detector_prob,
           {", ".join(f"m.{name}" for name in CARRIED if name not in SCORES)}
    FROM metafile m JOIN sample s USING (sample_id) JOIN image i USING (image_id)
    LEFT JOIN vlm_score v USING (pixel_sha256) LEFT JOIN detector_score d USING (pixel_sha256)
    ORDER BY m.sample_id
"""


def write_release_metadata(ledger: Ledger, out: Path) -> tuple[int, int, int]:
    """Write one row per published sample; return the numbers of rows, of RS3 rows, and of other rows without a URL.

    Raises:
        InputError: the build is not finished.
    """
    for name in ("metafile", "image", "sample"):
        if not ledger.state(ledger.writer[name]).is_complete:
            raise InputError(f"{ledger.store.root} is not finished: {name} is missing. Run `make build` first")
    params: Any = ledger.settings.params(ledger.writer["shard_plan"])
    labelled = ledger.settings.params(ledger.writer["labelled_image"]).model_dump()
    about = {
        "format": FORMAT,
        "build_id": build_id(ledger) or "",
        "n_shards": params.n_shards,
        "labelled": {name: labelled[name] for name in RENDERED_BY},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    path, said = quote_text(str(out)), quote_text(json.dumps(about))
    with open_views(ledger) as db:
        db.execute(f"COPY ({ROWS_QUERY}) TO {path} (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{rs5m: {said}}})")
        counts = db.execute(f"{_COUNTS} FROM {parquet_sql([out])}").fetchall()
    return counts[0]


_COUNTS = """SELECT count(*), count(*) FILTER (half = 'rs3'), count(*) FILTER (half = 'pub11' AND url = '')"""


def read_about(path: Path) -> dict[str, Any]:
    """Return the build facts in a file of release metadata: build_id, n_shards, and how patches were rendered.

    Raises:
        InputError: the file cannot be read or is not release metadata.
    """
    try:
        schema = pq.read_schema(path)
        about: dict[str, Any] = json.loads((schema.metadata or {}).get(b"rs5m", b"{}"))
    except (OSError, pa.ArrowInvalid, ValueError) as error:
        raise InputError(f"FROM={path} cannot be read: {error}. Expected a file of `make release-metadata`") from error
    missing = [name for name in (*COLUMNS, "img_name", "published_text", "url") if name not in schema.names]
    if missing or about.get("format") != FORMAT:
        found = f"columns {missing} are missing" if missing else f"its format is {about.get('format')!r}"
        raise InputError(f"FROM={path}: expected a file of `make release-metadata` ({FORMAT}); {found}")
    return about
