"""Compare pictures with evaluation pictures by the stages of contamination, without a build."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from schemas.fields import FIELD
from schemas.tables import PICTURE, SAMPLE
from stages.checks import check_outcome
from stages.contamination.between_sets import COMPARE_SETS, FIND_SET_PAIRS
from stages.contamination.candidates import COMPARE_CANDIDATES, FIND_CANDIDATES
from stages.contamination.description import DESCRIBE_EVALUATION, PLAN_GALLERY, SUMMARISE_GALLERY
from stages.contamination.marks import FIND_CONTAMINATED, FIND_OVERLAP
from stages.contamination.stage import HASH_EVALUATION, LIST_EVALUATION
from stages.contract import Context, Stage
from stages.screen.perceptual_hash import hash_grey
from tests.contract.handmade import samples_of

Tables = dict[str, pa.Table]


@dataclass(frozen=True)
class Bodies:
    """The bytes of pictures by number, as the store's files give them."""

    bodies: list[bytes]

    def read(self, address: str, offset: int, n_bytes: int) -> bytes:
        return self.bodies[offset]


def encode_png(picture: Image.Image) -> bytes:
    """Return a picture as PNG."""
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1)
    return out.getvalue()


def digest_pixels(picture: Image.Image) -> str:
    """Return a name of the pixels, equal for equal ones."""
    return hashlib.sha256(np.asarray(picture.convert("RGB")).tobytes()).hexdigest()


def write_set(folder: Path, pictures: Mapping[str, Image.Image]) -> None:
    """Write pictures as PNG files of an evaluation set, by path below the folder."""
    for name, picture in pictures.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(picture))


def run_stage(stage: Stage, tables: Tables, files: Any = None, tools: Any = None, **params: Any) -> pa.Table:
    """Return the kept rows of a stage, which also join the tables, and check the outcome."""
    empty = {reads.name: _schema(reads.columns).empty_table() for reads in stage.reads}
    inputs = {
        reads.name: tables[reads.table].select(list(reads.columns)) if reads.table in tables else empty[reads.name]
        for reads in stage.reads
    }
    known = {name: value for name, value in params.items() if name in stage.params.model_fields}
    context = Context("p", stage.params(**known), stage.resources(), tools or {}, files, Path())
    outcome = stage.run(inputs, context)
    check_outcome(stage, inputs, outcome)
    tables[stage.writes.name] = outcome.kept
    return outcome.kept


def as_tables(stage: Stage, rows: Mapping[str, list[dict[str, Any]]]) -> Tables:
    """Return rows as the tables that a stage reads."""
    return {reads.table: pa.Table.from_pylist(rows[reads.table], _schema(reads.columns)) for reads in stage.reads}


def describe_sets(evaluation: Path, **params: Any) -> Tables:
    """Return the tables that list, hash and describe the evaluation sets of a folder."""
    tables: Tables = {}
    run_stage(LIST_EVALUATION, tables, evaluation=str(evaluation))
    with HASH_EVALUATION.tools[0].open(HASH_EVALUATION.params(), HASH_EVALUATION.resources()) as decoder:
        run_stage(HASH_EVALUATION, tables, tools={"evaluation_decoder": decoder}, **params)
    run_stage(DESCRIBE_EVALUATION, tables, **params)
    return tables


@dataclass
class Gallery:
    """Pictures of the corpora, as screen finds them; names have letters, digits and spaces."""

    images: list[dict[str, Any]] = field(default_factory=list)
    located: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    summaries: pa.Table | None = None
    n_compared: int = 0  # pairs of the last search that were compared by keypoints

    def add(self, name: str, picture: Image.Image) -> None:
        """Add a picture."""
        picture = picture.convert("RGB")
        body = encode_png(picture)
        digest = digest_pixels(picture)
        about = {"image_id": name, "pixel_sha256": digest, "image_format": "PNG", "n_bytes": len(body)}
        where = {"body_sha256": hashlib.sha256(body).hexdigest(), "body_file": "tar", "body_offset": len(self.bodies)}
        size = {"width_px": picture.width, "height_px": picture.height, "partition": "p"}
        self.located.append({**about, **where, **size})
        self.images.append({**about, **hash_grey(picture.convert("L"))})
        self.bodies.append(body)

    def copy(self) -> "Gallery":
        """Return a gallery with the same pictures, to which others may be added."""
        return Gallery(list(self.images), list(self.located), list(self.bodies), self.summaries)

    def tables(self) -> Tables:
        """Return the tables that list the pictures, and summaries that are known already."""
        unique = {row["pixel_sha256"]: row for row in reversed(self.located)}
        spine = samples_of({f"cc3m_0_{row['image_id']}": row["image_id"] for row in self.images})
        found = {
            "picture": pa.Table.from_pylist([unique[name] for name in sorted(unique)], PICTURE.schema),
            "image": pa.Table.from_pylist(self.images, _schema(("image_id", "pixel_sha256", "phash", "phash_detail"))),
            "sample": pa.Table.from_pylist(spine, SAMPLE.schema),
        }
        return found if self.summaries is None else {**found, "keypoint_summary": self.summaries}


def find_marks(sets: Tables, pictures: Gallery | Mapping[str, Image.Image], **params: Any) -> dict[str, Any]:
    """Return the rows of `contaminated` by the name of the picture; a gallery keeps its summaries.

    Args:
        sets: of describe_sets.
        pictures: pictures of the corpora.
        params: settings of contamination.
    """
    gallery = pictures if isinstance(pictures, Gallery) else Gallery()
    if not isinstance(pictures, Gallery):
        for name, picture in pictures.items():
            gallery.add(name, picture)
    tables, files = {**sets, **gallery.tables()}, Bodies(gallery.bodies)
    run_stage(PLAN_GALLERY, tables, files, **params)
    if params.get("method") != "hashes":
        gallery.summaries = run_stage(SUMMARISE_GALLERY, tables, files, **params)
    run_stage(FIND_CANDIDATES, tables, files, **params)
    gallery.n_compared = run_stage(COMPARE_CANDIDATES, tables, files, **params).num_rows
    found: dict[str, Any] = {}
    for row in run_stage(FIND_CONTAMINATED, tables, files, **params).to_pylist():
        found.setdefault(row["sample_id"].removeprefix("cc3m_0_"), []).append(row)
    return found


def find_overlap(sets: Tables, **params: Any) -> list[dict[str, Any]]:
    """Return the rows of `evaluation_overlap`."""
    tables = dict(sets)
    run_stage(FIND_SET_PAIRS, tables, **params)
    run_stage(COMPARE_SETS, tables)
    rows: list[dict[str, Any]] = run_stage(FIND_OVERLAP, tables, **params).to_pylist()
    return rows


def _schema(names: tuple[str, ...]) -> pa.Schema:
    return pa.schema([(name, FIELD[name].type) for name in names])
