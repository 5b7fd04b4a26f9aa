"""Shard: decide which samples are published and where, and write the tars; `metafile.py` writes the metafiles."""

from collections.abc import Mapping

import pyarrow as pa

from schemas.tables import SHARD, SHARD_PLAN
from stages.contract import (
    Context,
    Given,
    Inputs,
    Outcome,
    Reads,
    Stage,
    rejects_table,
)
from stages.rows import map_rows, query_rows
from stages.screen.strip_metadata import published_format
from stages.shard.bodies import CODECS, LOCATED, PUBLICATION, strip_body
from stages.shard.dealing import DEALT, ShardParams, add_texts, deal_out
from stages.shard.layouts import MEMBERS, LayoutParams, found_at, tar_key
from stages.shard.refusals import NEAREST, REASONS, refuse
from stages.shard.rights import REDISTRIBUTION, instead_of_texts
from stages.shard.tar_writer import open_tar
from stages.stated import STATED, StatedResources, with_columns


def plan_shards(inputs: Inputs, context: Context) -> Outcome:
    """Return the text, split and tar of each published sample of both halves; reject others with a reason.

    The split depends only on a hash of the group's key, and the tar number on a hash of the sample's image or scene.
    Without ranks or quotas, a further sample moves only samples that it joins to another group.
    """
    params: ShardParams = context.params
    spine = query_rows(_SPINE, inputs)
    stated = with_columns(context.tools.get("stated"), ("sample_id", "published_sha256", *_AS_IN))
    refused = refuse(spine, inputs, params, stated)
    # Dealt out by their keys alone, and sorted once, with all columns. In separate queries: joining and sorting wide
    # rows in one query needs several times the memory.
    chosen = {"spine": spine, "refused": refused}
    keys = query_rows(_KEYS, {**chosen, **{name: inputs[name] for name in ("labelled_image", "split_group")}})
    dealt = map_rows(keys, lambda some: deal_out(some, params), DEALT)
    chosen = {"spine": spine, "dealt": dealt, "instead": instead_of_texts(params, inputs)}
    located = query_rows(_LOCATED, {**chosen, **{name: inputs[name] for name in _BODIES}})
    rows = query_rows(_PUBLISHED, {"located": located, "image": inputs["image"], "geometa": inputs["geometa"]})
    kept = map_rows(rows, lambda some: add_texts(some, params), SHARD_PLAN.schema)
    if stated.num_rows:
        kept = query_rows(_AS_STATED, {"planned": kept, "stated": stated})
    kept = kept.cast(SHARD_PLAN.schema)
    ids = {"sample_id": refused["sample_id"]}
    return Outcome(kept, rejects_table(SHARD_PLAN, ids, refused["reason"], refused["detail"]))


_SPINE = """
    SELECT 'pub11' AS half, r.sample_id, r.image_id, f.body_sha256
    FROM relevant r JOIN fetched f ON f.fetch_id = r.image_id
    UNION ALL SELECT 'rs3', sample_id, sample_id, body_sha256 FROM caption JOIN labelled_image USING (sample_id)
"""
_GIVEN = "SELECT sample_id FROM relevant UNION ALL SELECT sample_id FROM caption"
_KEYS = """
    WITH chosen AS (FROM spine ANTI JOIN refused USING (sample_id))
    SELECT half, sample_id, coalesce(scene_id, image_id) AS own_key, group_key, is_train_group
    FROM chosen JOIN split_group USING (sample_id) LEFT JOIN labelled_image USING (sample_id)
"""
# Labelled images keep their released names with extension; web images are named by their sample_id.
_LOCATED = f"""
    WITH chosen AS (
        SELECT spine.* EXCLUDE (body_sha256), split, random_split, shard, instead.text, text_source
        FROM spine JOIN dealt USING (sample_id) LEFT JOIN instead USING (sample_id)
    )
    SELECT s.* EXCLUDE (text), coalesce(s.text, c.caption) AS text, sample_id AS img_name, {", ".join(LOCATED)}
    FROM chosen s JOIN candidate c USING (sample_id) JOIN fetched f ON f.fetch_id = s.image_id WHERE half = 'pub11'
    UNION ALL
    SELECT s.* EXCLUDE (text), coalesce(s.text, c.generated_caption), sample_id || '.jpg', {", ".join(LOCATED)}
    FROM chosen s JOIN caption c USING (sample_id) JOIN labelled_image l USING (sample_id) WHERE half = 'rs3'
"""
_BODIES = ("candidate", "fetched", "caption", "labelled_image")
# In the order of the file, which is written tar by tar.
_PUBLISHED = f"""
    SELECT located.* EXCLUDE (image_id), {", ".join(PUBLICATION)}, g.meta_caption
    FROM located JOIN image i USING (image_id) JOIN geometa g USING (sample_id)
    ORDER BY shard, sample_id
"""
_AS_IN = ("published_text", "split", "shard", "caption_sources")
_AS_STATED = f"""
    SELECT {
    ", ".join(
        f"coalesce(stated.{n}, planned.{n}) AS {n}" if n in _AS_IN else f"planned.{n}" for n in SHARD_PLAN.schema.names
    )
}
    FROM planned LEFT JOIN stated USING (sample_id) ORDER BY shard, sample_id
"""


def write_shards(inputs: Inputs, context: Context) -> Outcome:
    """Write the tar of a partition: `KEY.img_name`, `KEY.img_content`, `KEY.caption`, in the order of sample_id.

    Without the layout rs5m the published files are only compared, and no tar is written. Metadata is removed from the
    image files as in screen, which compared their pixels. A file whose digest differs from the one that screen
    recorded is rejected: another version of the stripper or, for a TIFF, of the codecs made it.

    Raises:
        InputError: a body is missing, or is not the one that was fetched.
    """
    tar = context.files.new_file("tar") if "rs5m" in context.params.layouts else None
    kept: list[dict[str, object]] = []
    rejects: list[tuple[str, str]] = []
    rows = sorted(inputs["shard_plan"].to_pylist(), key=lambda row: str(row["sample_id"]))
    with open_tar(tar) as writer:
        for n_done, row in enumerate(rows):
            data = context.files.read(row["body_file"], row["body_offset"], row["n_bytes"])
            published, problem = strip_body(data, row)
            if problem:
                rejects.append((row["sample_id"], problem))
                continue
            if writer is not None:
                members = _members(row, published)
                row |= found_at(members, writer.write(tar_key(row["sample_id"]), members), *MEMBERS["rs5m"])
            of_file = {"published_n_bytes": len(published), "published_format": published_format(row["image_format"])}
            kept.append({**row, **of_file})
            context.advance(n_done + 1)
    table = pa.Table.from_pylist(kept, schema=SHARD.schema)
    ids, details = zip(*rejects, strict=True) if rejects else ([], [])
    refused = rejects_table(
        SHARD, {"sample_id": ids}, pa.array(["publication_changed"] * len(ids), pa.string()), details
    )
    return Outcome(table, refused, files=(tar,) if tar is not None else ())


def _members(row: Mapping[str, str], published: bytes) -> dict[str, bytes]:
    return {
        "img_name": row["img_name"].encode(),
        "img_content": published,
        "caption": row["published_text"].encode(),
    }


PLAN_SHARDS = Stage(
    name="plan_shards",
    module="shard",
    version=17,
    does="Assigns text, split and tar to each sample of both halves by hash; removes unsafe and contaminated ones.",
    reads=(
        Reads("relevant", ("sample_id", "image_id"), is_whole=True),
        Reads("candidate", ("sample_id", "corpus", "caption", "nsfw", "punsafe", "image_licence"), is_whole=True),
        Reads("fetched", ("fetch_id", *LOCATED), is_whole=True),
        Reads("caption", ("sample_id", "generated_caption"), is_whole=True),
        Reads("labelled_image", ("sample_id", "corpus", "scene_id", *LOCATED), is_whole=True),
        Reads("image", ("image_id", "pixel_sha256", "phash", "body_md5", *PUBLICATION), is_whole=True),
        Reads("geometa", ("sample_id", "meta_caption"), is_whole=True),
        Reads("planned", ("sample_id", "fetch_id", "normalised_url", "host"), is_whole=True),
        Reads("withdrawal", ("entry_kind", "entry"), is_whole=True, is_optional=True),
        Reads("listed_hash", ("hash_kind", "hash"), is_whole=True, is_optional=True),
        Reads(
            "contaminated",
            ("sample_id", "evaluation_split", *NEAREST),
            is_whole=True,
        ),
        Reads("split_group", ("sample_id", "group_key", "is_train_group"), is_whole=True),
        Reads("caption_rank", ("sample_id", "caption_cos", "caption_top_share"), is_whole=True),
        Reads("sample", ("sample_id", "corpus"), is_whole=True),
        Reads("further_text", ("text_id", "sample_id", "text_source", "further_text", "text_licence"), is_whole=True),
    ),
    writes=SHARD_PLAN,
    grain="map",
    given=Given(query=_GIVEN, inputs=("relevant", "caption")),
    run=plan_shards,
    is_queried=True,
    params=ShardParams,
    resources=StatedResources,
    tools=(STATED,),
    reasons=REASONS,
    depends=(REDISTRIBUTION,),
    split_by="shard",
)

WRITE_SHARDS = Stage(
    name="write_shards",
    module="shard",
    version=7,
    does="Writes the tars; removes metadata from the image files without re-encoding them.",
    reads=(
        Reads("shard_plan", ("sample_id", "published_text", "shard", "img_name", *PUBLICATION, *LOCATED)),
    ),
    writes=SHARD,
    grain="map",
    given=Given("shard_plan", ("sample_id",)),
    run=write_shards,
    params=LayoutParams,
    has_files=lambda params: "rs5m" in params.layouts,
    reasons=("publication_changed",),
    depends=(CODECS,),
    partitions_from=("shard_plan",),
    bytes_per_row=120_000,
)  # fmt: skip
