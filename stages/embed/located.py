"""Open the pictures of stages that need pixels, each by the location of its body.

A picture that cannot be decoded again becomes a reject row.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import pyarrow as pa
from PIL import Image

from schemas.tables import Table
from stages.checks import check_body
from stages.contract import (
    Context,
    Files,
    rejects_table,
)
from stages.images.ahead import cut, load_ahead
from stages.images.not_decoded import NotDecoded
from stages.purged import PURGED_DETAIL, is_purged

T = TypeVar("T")
Row = Mapping[str, Any]
Refusal = tuple[str, str, str]  # pixel_sha256, reason, detail
BODY = ("n_bytes", "body_sha256", "body_file", "body_offset")
FOUND = ("image_format", "width_px", "height_px")  # as found by screen; later openings use it too
LOCATED = ("pixel_sha256", *FOUND, *BODY)


def prepare_ahead(
    pictures: pa.Table, context: Context, prepare: Callable[[Image.Image], Any], size: int
) -> Iterator[tuple[list[Row], list[Any], list[Refusal]]]:
    """Yield rows, their prepared pictures, and the refusals of those not decoded, in the order of pixel_sha256.

    Batches never cross partitions.
    """
    rows = sorted(pictures.to_pylist(), key=lambda row: str(row["pixel_sha256"]))

    def load(row: Row) -> Any:
        return load_located(row, context.files, prepare)

    for batch, loaded in load_ahead(cut(rows, size), load, context.resources.loaders):
        pairs = list(zip(batch, loaded, strict=True))
        sound = [pair for pair in pairs if not isinstance(pair[1], NotDecoded)]
        faults = [
            (row["pixel_sha256"], "decoding_failed", str(fault))
            for row, fault in pairs
            if isinstance(fault, NotDecoded)
        ]
        yield [row for row, _ in sound], [prepared for _, prepared in sound], faults


def load_located(row: Row, files: Files, prepare: Callable[[Image.Image], T]) -> T | NotDecoded:
    """Return the picture at a row's location, prepared by `prepare`, or why it cannot be decoded.

    Args:
        row: has the columns of BODY, and those that screen found (FOUND).
        files: reader of the body.
        prepare: receives the picture as RGB, with a longer side of at most LONGEST_PX.
    """
    from stages.images.rgb import open_rgb

    data = files.read(row["body_file"], row["body_offset"], row["n_bytes"])
    if is_purged(data):
        return NotDecoded(PURGED_DETAIL)
    check_body(data, row)
    try:
        image = open_rgb(data, row["image_format"], LONGEST_PX, row["width_px"] * row["height_px"])
    except NotDecoded as fault:
        return NotDecoded(*fault.args)  # without its traceback, which would keep the picture in memory
    return prepare(image)


def refuse(table: Table, refused: Sequence[Refusal]) -> pa.Table:
    """Return the reject rows of refused pictures."""
    ids, reasons, details = zip(*refused, strict=True) if refused else ((), (), ())
    keys = {"pixel_sha256": pa.array(ids, pa.string())}
    return rejects_table(table, keys, pa.array(reasons, pa.string()), list(details))


LONGEST_PX = 1024  # models see at most 448 px, so a picture of 400 megapixels is decoded small
