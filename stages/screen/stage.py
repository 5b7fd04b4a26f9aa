"""Screen: decode every image once, in a guarded child; size, format, digests and perceptual hash of the valid ones."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from schemas.fields import FIELD
from schemas.manifests import load_placeholders
from schemas.reasons import DETAIL_MAX_CHARACTERS
from schemas.tables import IMAGE
from stages.checks import check_body
from stages.contract import (
    Context,
    Given,
    Inputs,
    Outcome,
    Params,
    Reads,
    Resources,
    Stage,
    Tool,
    TransientError,
    rejects_table,
)
from stages.geometa.positions import is_position
from stages.identity import digest_json
from stages.purged import PURGED_DETAIL, is_purged
from stages.safety.hash_lists import md5_of
from stages.screen.decoding import Decoded, DecodeLimits, Decoder, Refused, decoder_identity
from stages.screen.silence import DecoderUnavailable

# Images sent to the decoding child together: waking it for each takes a sixth of the time of one of 20 kB.
BATCH_IMAGES, BATCH_BYTES = 16, 1 << 19

Image = tuple[str, Mapping[str, Any]]  # image_id and row


class ScreenParams(Params):
    """Which images are valid, and the limits of decoding: an image beyond them is refused."""

    max_pixels: int = Field(64_000_000, gt=0, description="maximum width x height, px")
    formats: tuple[Literal["JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF"], ...] = Field(
        ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF"), description="allowed formats, as Pillow names them"
    )

    labelled_max_pixels: int = Field(
        500_000_000, gt=0, description="the same for labelled corpora, px"
    )  # FMoW has images of about 20,000 x 20,000 px
    cpu_s: float = Field(20.0, gt=0, description="CPU time of one image, s")
    decoder_memory_gb: float = Field(2.0, gt=0.2, description="address space of the decoding child, GB")
    labelled_decoder_memory_gb: float = Field(6.0, gt=0.2, description="the same for labelled corpora, GB")


def screen(inputs: Inputs, context: Context) -> Outcome:
    """Return the facts on each image that decodes; reject the others for the fault of their file."""
    kept: dict[str, list[Any]] = {name: [] for name in IMAGE.schema.names}
    rejects: list[tuple[str, str, str]] = []
    fetched = [("decoder", (row["fetch_id"], row)) for row in inputs["fetched"].to_pylist()]
    labelled = [("labelled_decoder", (row["sample_id"], row)) for row in inputs["labelled_image"].to_pylist()]
    n_done = 0
    for tool, images in _batches(fetched + labelled):
        for (image_id, row), (data, found) in zip(images, _judge(images, tool, context), strict=True):
            if isinstance(found, Decoded):
                for name, value in {"image_id": image_id, **_facts(row, data, found)}.items():
                    kept[name].append(value)
            else:
                rejects.append((image_id, found.reason, found.detail))
        n_done += len(images)
        context.advance(n_done)
    ids, reasons, details = zip(*rejects, strict=True) if rejects else ([], [], [])
    table = pa.table({name: pa.array(values, FIELD[name].type) for name, values in kept.items()}, schema=IMAGE.schema)
    return Outcome(table, rejects_table(IMAGE, {"image_id": ids}, reasons, details))


def _batches(images: Sequence[tuple[str, Image]]) -> Iterator[tuple[str, list[Image]]]:
    """Yield neighbouring images of one decoder: several small ones, or a large one."""
    batch: list[Image] = []
    n_bytes, last_tool = 0, ""
    for tool, image in images:
        n_more = image[1]["n_bytes"]
        if batch and (tool != last_tool or len(batch) == BATCH_IMAGES or n_bytes + n_more > BATCH_BYTES):
            yield last_tool, batch
            batch, n_bytes = [], 0
        batch.append(image)
        n_bytes, last_tool = n_bytes + n_more, tool
    if batch:
        yield last_tool, batch


def _judge(images: list[Image], tool: str, context: Context) -> Iterator[tuple[bytes, Decoded | Refused]]:
    """Return the bytes of each image, and the facts on it or why it is refused."""
    refused: dict[int, Refused] = {}
    bodies = [b""] * len(images)
    for n, (_, row) in enumerate(images):
        if (note := context.tools["placeholders"].get(row["body_sha256"])) is not None:
            refused[n] = Refused("placeholder", f"known picture: {note}"[:DETAIL_MAX_CHARACTERS])
            continue
        bodies[n] = context.files.read(row["body_file"], row["body_offset"], row["n_bytes"])
        if is_purged(bodies[n]):
            refused[n] = Refused("purged", PURGED_DETAIL)
        else:
            check_body(bodies[n], row)
    waiting = [data for n, data in enumerate(bodies) if n not in refused]
    decoded = iter(_decode(waiting, context.tools[tool]) if waiting else ())
    return ((data, refused[n] if n in refused else next(decoded)) for n, data in enumerate(bodies))


def _decode(bodies: list[bytes], decoder: Decoder) -> list[Decoded | Refused]:
    try:
        return decoder.decode_all(bodies)
    except DecoderUnavailable as error:
        raise TransientError(str(error)) from error


def _facts(row: Mapping[str, Any], data: bytes, found: Decoded) -> dict[str, Any]:
    latitude_deg, longitude_deg = found.exif_latitude_deg, found.exif_longitude_deg
    if latitude_deg is None or longitude_deg is None or not is_position(latitude_deg, longitude_deg):
        latitude_deg = longitude_deg = None
    return {
        "body_sha256": row["body_sha256"],
        "body_md5": md5_of(data),
        "n_bytes": row["n_bytes"],
        "width_px": found.width_px,
        "height_px": found.height_px,
        "image_format": found.format,
        "image_mode": found.mode,
        "n_frames": found.n_frames,
        "pixel_sha256": found.pixel_sha256,
        "phash": found.phash,
        "phash_orientations": found.phash_orientations,
        "phash_detail": found.phash_detail,
        "exif_datetime": found.exif_datetime,
        "exif_latitude_deg": latitude_deg,
        "exif_longitude_deg": longitude_deg,
        "exif_orientation": found.exif_orientation,
        "published_sha256": found.published_sha256,
        "published_n_bytes": found.published_n_bytes,
        "published_format": found.published_format,
    }


def _identity(params: ScreenParams) -> Mapping[str, str]:
    return decoder_identity()


def _placeholders_identity(params: ScreenParams) -> Mapping[str, str]:
    return {"sha256": digest_json(sorted(load_placeholders()))}


@contextmanager
def _open_placeholders(params: ScreenParams, resources: Resources) -> Iterator[Mapping[str, str]]:
    yield load_placeholders()


def _opener(pixels: str, memory: str) -> Callable[[Any, Any], AbstractContextManager[Decoder]]:
    def open_decoder(params: ScreenParams, resources: Resources) -> Decoder:
        limits = DecodeLimits(
            max_pixels=getattr(params, pixels),
            formats=params.formats,
            cpu_s=params.cpu_s,
            memory_bytes=int(getattr(params, memory) * 1e9),
        )
        return Decoder(limits)

    return open_decoder


DECODER = Tool("decoder", _identity, _opener("max_pixels", "decoder_memory_gb"))
PLACEHOLDERS = Tool("placeholders", _placeholders_identity, _open_placeholders)
LABELLED_DECODER = Tool("labelled_decoder", _identity, _opener("labelled_max_pixels", "labelled_decoder_memory_gb"))

SCREEN = Stage(
    name="screen",
    module="screen",
    version=18,
    does="Decodes each image in a guarded child: validity, size, digests, perceptual hash, EXIF and published file.",
    reads=(
        Reads("fetched", ("fetch_id", "n_bytes", "body_sha256", "body_file", "body_offset")),
        Reads("labelled_image", ("sample_id", "n_bytes", "body_sha256", "body_file", "body_offset")),
    ),
    writes=IMAGE,
    grain="map",
    given=Given(
        query="SELECT fetch_id AS image_id FROM fetched UNION ALL SELECT sample_id FROM labelled_image",
        inputs=("fetched", "labelled_image"),
    ),
    run=screen,
    params=ScreenParams,
    reasons=(
        "empty_file", "not_an_image", "format_not_allowed", "unsupported_variant", "truncated_image", "corrupt_image",
        "too_many_pixels", "decode_timeout", "decoder_died", "unpublishable_image", "placeholder", "purged",
    ),
    tools=(DECODER, LABELLED_DECODER, PLACEHOLDERS),
    partitions_from=("fetched", "labelled_image"),
    # Measured: 0.32 and, in the child, 0.13 to 0.46 for a PNG of 64 million px with alpha. A labelled picture of 484
    # million px takes 2.5 in the child; they are too few to keep memory free for in every worker.
    memory_gb=0.8,
)  # fmt: skip
