"""Pairs, stages of shard: tars of image, text and JSON that common loaders read without configuration.

Not for the layout of RS5M's own tars (`write_shards`).
"""

import hashlib
import io
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from schemas.tables import DESCRIPTION, PAIR
from stages.checks import check_body
from stages.contract import Context, Given, InputError, Inputs, Outcome, Reads, Stage, TransientError, no_rejects
from stages.images.not_decoded import NotDecoded
from stages.images.rgb import open_rgb
from stages.rows import run_sql
from stages.screen.strip_metadata import published_format
from stages.shard.bodies import CODECS, LOCATED, PUBLICATION, strip_body
from stages.shard.collecting import collect
from stages.shard.emails import EmailParams, masked_sql
from stages.shard.layouts import MEMBERS, LayoutParams, found_at, tar_key
from stages.shard.rights import REDISTRIBUTION, RightsParams, without_texts_of_others
from stages.shard.tar_writer import TarWriter

EXTENSIONS = ("jpg", "png", "webp")  # image formats that webdataset, open_clip and Hugging Face decode by extension
_OF_ORIGIN = (
    "half", "corpus", "url", "path", "native_id", "keywords", "width_px", "height_px", "latitude_deg", "longitude_deg",
    "utm_epsg", "country_code", "taken_at", "month", "annotation_licence", "image_licence", "caption_model_licence",
    "meta_caption", "nsfw", "punsafe", "pwatermark", "published_width_px", "published_height_px", "vlm_score_cos",
    "detector_prob", "cluster_id", "cluster_n_samples", "places", "group_key", "caption_cos",
    "caption_top_share",
)  # fmt: skip
_OF_PLAN = ("split", "shard", "published_text", "caption_sources")
_OF_DESCRIPTION = tuple(name for name in DESCRIPTION.columns if name != "shard")
# The JSON has them in this order; the last three describe the image file in the tar.
MEMBER_COLUMNS = ("sample_id", *_OF_PLAN, *_OF_DESCRIPTION, *_OF_ORIGIN, "pair_format", "pair_n_bytes", "pair_sha256")


def describe_samples(inputs: Inputs, context: Context) -> Outcome:
    """Return all captions of each sample to publish, sorted by tar; of "redistributable" those that may be."""
    params: DescriptionParams = context.params
    steps = [*_STEPS]
    if params.rights == "redistributable":
        steps.append((without_texts_of_others(params), ("sample",)))
    if params.mask_emails:
        steps.append((_MASKED, ()))
    return collect(inputs, DESCRIPTION, _SPINE, steps)


_SPINE = "SELECT sample_id, shard, image_id FROM shard_plan JOIN sample USING (sample_id)"
# Each query adds the columns of one table to the rows of the query before.
_STEPS = (
    ("SELECT rows.*, caption FROM rows LEFT JOIN candidate USING (sample_id)", ("candidate",)),
    (
        "SELECT rows.*, generated_caption, invariant_caption FROM rows LEFT JOIN caption USING (sample_id)",
        ("caption",),
    ),
    (
        """
        WITH ranked AS (
            SELECT sample_id, n, candidate_caption, first_score_cos, first_rank, second_rank
            FROM caption_score JOIN caption_candidate USING (sample_id, n)
            WHERE first_rank IS NOT NULL
            QUALIFY row_number() OVER (PARTITION BY sample_id, candidate_caption ORDER BY n) = 1
        ), listed AS (
            SELECT sample_id,
                   list(candidate_caption ORDER BY second_rank NULLS LAST, first_rank, n) AS generated_captions,
                   list(first_score_cos ORDER BY second_rank NULLS LAST, first_rank, n) AS generated_scores_cos
            FROM ranked GROUP BY sample_id
        )
        SELECT rows.*, coalesce(generated_captions, []) AS generated_captions,
               coalesce(generated_scores_cos, []) AS generated_scores_cos
        FROM rows LEFT JOIN listed USING (sample_id)
        """,
        ("caption_score", "caption_candidate"),
    ),
    ("SELECT rows.*, country_name, city FROM rows JOIN geometa USING (sample_id)", ("geometa",)),
    (
        """
        WITH listed AS (
            SELECT sample_id, list(further_text ORDER BY text_id) AS further_texts,
                   list(text_source ORDER BY text_id) AS further_sources,
                   list(text_licence ORDER BY text_id) AS further_licences
            FROM further_text GROUP BY sample_id
        )
        SELECT rows.*, coalesce(further_texts, []) AS further_texts, coalesce(further_sources, []) AS further_sources,
               coalesce(further_licences, []) AS further_licences
        FROM rows LEFT JOIN listed USING (sample_id)
        """,
        ("further_text",),
    ),
)

_MASKED = f"""
    SELECT * REPLACE ({masked_sql("caption")} AS caption,
                      list_transform(further_texts, lambda t: {masked_sql("t")}) AS further_texts) FROM rows
"""


class DescriptionParams(LayoutParams, EmailParams, RightsParams):
    """Whether the layout is written, and which texts and addresses it leaves out."""


def write_pairs(inputs: Inputs, context: Context) -> Outcome:
    """Write the tar of a partition: `KEY.jpg` (or png, webp), `KEY.json`, `KEY.txt`, in the order of sample_id.

    The image is the published file; a GIF or BMP, which loaders do not support, becomes a PNG of its first frame. Every
    JSON has all columns of `MEMBER_COLUMNS`, null if unknown.

    Raises:
        InputError: a body is missing, or its published file is not the one that `write_shards` recorded.
        TransientError: a picture that screen decoded cannot be decoded now, for lack of memory.
    """
    tar = context.files.new_file("pairs.tar")
    rows = run_sql(_ROWS, inputs).to_pylist()
    with tar.open("wb") as file, TarWriter(file) as writer:
        for n_done, row in enumerate(rows):
            data = context.files.read(row["body_file"], row["body_offset"], row["n_bytes"])
            extension, image = _image(data, row)
            row |= {"pair_format": extension, "pair_n_bytes": len(image)}
            row["pair_sha256"] = hashlib.sha256(image).hexdigest()
            stated = json.dumps({name: row[name] for name in MEMBER_COLUMNS}, ensure_ascii=False, allow_nan=False)
            members = {extension: image, "txt": row["published_text"].encode(), "json": stated.encode()}
            row |= found_at(members, writer.write(tar_key(row["sample_id"]), members), extension, *MEMBERS["pairs"][1:])
            context.advance(n_done + 1)
    return Outcome(pa.Table.from_pylist(rows, schema=PAIR.schema), no_rejects(PAIR), files=(tar,))


_ROWS = """
    SELECT shard_plan.*, description.* EXCLUDE (sample_id), origin.* EXCLUDE (sample_id),
           shard.published_sha256 AS written_sha256
    FROM shard JOIN shard_plan USING (sample_id) JOIN description USING (sample_id) JOIN origin USING (sample_id)
    ORDER BY shard_plan.sample_id
"""


def _image(data: bytes, row: Mapping[str, Any]) -> tuple[str, bytes]:
    """Return the extension and the bytes of the image in the tar."""
    published, problem = strip_body(data, row)
    if problem or row["written_sha256"] != row["published_sha256"]:
        raise InputError(
            f"{row['sample_id']}: expected the published file {row['written_sha256']}, found another ({problem}):"
            " run `make stage-screen`, then `make stage-shard`"
        )
    extension = published_format(row["image_format"])
    if extension in EXTENSIONS:
        return extension, published
    check_body(data, row)  # decoded without the limits of screen's child
    try:
        shown = open_rgb(published, row["image_format"])
    except NotDecoded as fault:
        raise TransientError(
            f"{row['sample_id']} cannot be decoded now, although screen decoded it: {fault}"
        ) from fault
    out = io.BytesIO()
    shown.save(out, "PNG")
    return "png", out.getvalue()


def _off(params: LayoutParams) -> str:
    return "" if "pairs" in params.layouts else "shard.layouts without pairs"


_SCORES = ("sample_id", "n", "first_score_cos", "first_rank", "second_rank")

DESCRIBE_SAMPLES = Stage(
    name="describe_samples",
    module="shard",
    version=5,
    does="Collects, tar by tar, all captions of each sample to publish.",
    reads=(
        Reads("shard_plan", ("sample_id", "shard"), is_whole=True),
        Reads("sample", ("sample_id", "corpus", "image_id"), is_whole=True),
        Reads("candidate", ("sample_id", "caption"), is_whole=True),
        Reads("caption", ("sample_id", "invariant_caption", "generated_caption"), is_whole=True),
        Reads("caption_score", _SCORES, is_whole=True),
        Reads("caption_candidate", ("sample_id", "n", "candidate_caption"), is_whole=True),
        Reads("geometa", ("sample_id", "country_name", "city"), is_whole=True),
        Reads("further_text", ("text_id", "sample_id", "text_source", "further_text", "text_licence"), is_whole=True),
    ),
    writes=DESCRIPTION,
    grain="map",
    given=Given("shard_plan", ("sample_id",)),
    run=describe_samples,
    is_queried=True,
    params=DescriptionParams,
    off=_off,
    depends=(REDISTRIBUTION,),
    split_by="shard",
)

WRITE_PAIRS = Stage(
    name="write_pairs",
    module="shard",
    version=6,
    does="Writes the tars of image, text and JSON that ordinary loaders read.",
    reads=(
        Reads("shard", ("sample_id", "published_sha256")),
        Reads("shard_plan", ("sample_id", *_OF_PLAN, *PUBLICATION, *LOCATED)),
        Reads("description", ("sample_id", *_OF_DESCRIPTION)),
        Reads("origin", ("sample_id", *_OF_ORIGIN)),
    ),
    writes=PAIR,
    grain="map",
    given=Given("shard", ("sample_id",)),
    run=write_pairs,
    params=LayoutParams,
    off=_off,
    depends=(CODECS,),
    partitions_from=("shard",),
    memory_gb=0.5,  # peak of a worker in the demo: 0.45
    bytes_per_row=121_000,
)
