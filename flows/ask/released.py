"""The images of a release to compare a build with: their digests, from released tars, another build, or its metadata.

The comparison is in `flows/ask/compare_release.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flows.ask.release_metadata import ROWS_QUERY, read_about
from flows.ask.views import open_views
from flows.corpora.release import is_release, tars_of
from flows.ledger.ledger import Ledger
from flows.options import make_word
from stages.contract import InputError
from stages.readers.rs5m_list.names import sample_id_of
from stages.readers.rs5m_tars.members import Body, PackedSample, TarDamage, read_body, walk_samples
from stages.readers.rs5m_tars.reader import labelled_id
from stages.readers.rs5m_tars.rows import MAX_NAME_BYTES
from stages.screen.decoding import Decoded, Decoder

UNREADABLE, AGAIN = "unreadable", "named again"
_FACTS = ("sample_id", "corpus", "published_sha256", "pixel_sha256", "phash")
SCHEMA = pa.schema(
    [
        *((name, pa.uint64() if name == "phash" else pa.string()) for name in _FACTS),
        ("fault", pa.string()),
        ("place", pa.string()),
        ("offset", pa.int64()),
        ("n_bytes", pa.int64()),
    ]
)


def read_release(path: Path, open_other: Callable[[Path], Ledger]) -> pa.Table:
    """Return one row per sample of a release; pixel digest and hash are null where an image is not decoded yet.

    Args:
        path: a folder of released tars, a build folder, or a file of release metadata.
        open_other: returns the ledger of a build folder.

    Raises:
        InputError: it is none of these, or the other build is not finished.
    """
    if path.is_file():
        read_about(path)
        return _with_places(pq.read_table(path, columns=list(_FACTS)))
    if is_release(path):
        return pa.Table.from_pylist(list(_packed(path)), schema=SCHEMA)
    if not (path / "metafile").is_dir():
        raise InputError(
            f"RELEASE={path}: expected a folder with released tars (train/pub11-train-0000.tar), a finished build, or a"
            " file of `make release-metadata`"
        )
    ledger = open_other(path)
    if not ledger.state(ledger.writer["metafile"]).is_complete:
        raise InputError(
            f"RELEASE={path}: the build is not finished by its settings: run `make build {make_word('build', path)}`"
        )
    with open_views(ledger) as db:
        return _with_places(db.sql(f"SELECT {', '.join(_FACTS)} FROM ({ROWS_QUERY})").to_arrow_table())


def decode_images(rows: pa.Table) -> pa.Table:
    """Return rows of tars with the pixel digest and the hash of their images; null if an image does not decode."""
    found: list[dict[str, Any]] = []
    with Decoder() as decoder:
        for row in rows.to_pylist():
            with Path(row["place"]).open("rb") as file:
                decoded = decoder.decode(read_body(file, Body(row["offset"], row["n_bytes"])))
            if isinstance(decoded, Decoded):
                row |= {"pixel_sha256": decoded.pixel_sha256, "phash": decoded.phash}
            found.append(row)
    return pa.Table.from_pylist(found, schema=SCHEMA)


def _with_places(rows: pa.Table) -> pa.Table:
    columns = {name: rows[name] for name in _FACTS} | {
        field.name: pa.nulls(rows.num_rows, field.type) for field in SCHEMA if field.name not in _FACTS
    }
    return pa.table(columns).cast(SCHEMA)


def _packed(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield a row per sample of the tars, and one for the rest of a tar that cannot be read."""
    seen: set[str] = set()
    for path in tars_of(folder):
        with path.open("rb") as file:
            try:
                for sample in walk_samples(file):
                    row = _row(file, sample, path)
                    if row["fault"] is None and row["sample_id"] in seen:
                        row["fault"] = AGAIN
                    seen.add(row["sample_id"])
                    yield row
            except TarDamage as damage:
                yield {"sample_id": f"{path.name}: {damage}"[:200], "fault": UNREADABLE, "place": str(path)}


def _row(file: Any, sample: PackedSample, path: Path) -> dict[str, Any]:
    body = sample.bodies.get("img_name")
    name = sample.key if body is None else read_body(file, body, MAX_NAME_BYTES).decode("utf-8", "replace").strip()
    found = labelled_id(name) if path.name.startswith("rs3-") else sample_id_of(name)
    image = sample.bodies.get("img_content")
    if not isinstance(found, str) or image is None:
        return {"sample_id": f"{path.name}: {name}"[:200], "fault": UNREADABLE, "place": str(path)}
    digest = hashlib.sha256(read_body(file, image)).hexdigest()
    return {
        "sample_id": found, "corpus": found.partition("_")[0], "published_sha256": digest, "fault": None,
        "place": str(path), "offset": image.offset, "n_bytes": image.n_bytes,
    }  # fmt: skip
