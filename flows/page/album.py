"""Small pictures of samples for the pages of a build."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flows.ask.picture import LOCATED
from flows.ask.report import Row, query_report
from flows.ledger.store import Store
from flows.page.section import Picture
from stages.contract import InputError
from stages.images.not_decoded import NotDecoded
from stages.images.rgb import open_rgb

if TYPE_CHECKING:
    import duckdb

SIDE_PX = 128
_QUALITY = 70


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
            image = open_rgb(data, row["image_format"], longest_px=SIDE_PX)
        except (InputError, NotDecoded) as error:
            return Picture("", [*lines, f"cannot be read: {str(error)[:80]}"])
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=_QUALITY)
        return Picture(f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}", lines)


def located(db: duckdb.DuckDBPyConnection, sample_ids: Sequence[str]) -> dict[str, Row]:
    """Return the locations of samples' pictures by sample_id, without pictures that must not be shown.

    Args:
        db: a database with views of `PICTURE_TABLES` and the table of `bar_pictures`.
        sample_ids: the samples.
    """
    db.register("asked", pa.table({"sample_id": pa.array(sample_ids, pa.string())}))
    samples = "(FROM sample SEMI JOIN asked USING (sample_id))"
    rows = query_report(db, "located", LOCATED.format(samples=samples)).rows
    return {str(row["sample_id"]): row for row in rows}
