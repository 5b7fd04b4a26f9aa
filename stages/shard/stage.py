"""Shard: decide what is published and where, and write the tars; `metafile.py` beside it writes the metafiles."""

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
from stages.shard.dealing import ShardParams, deal_out
from stages.shard.layouts import MEMBERS, LayoutParams, found_at, tar_key
from stages.shard.refusals import NEAREST, REASONS, refuse
from stages.shard.rights import REDISTRIBUTION, instead_of_texts
from stages.shard.stated import STATED, StatedResources
from stages.shard.tar_writer import open_tar


def plan_shards(inputs: Inputs, context: Context) -> Outcome:
    """Return the text, split and tar of each published sample of both halves; reject others with a reason.

    The split depends only on a hash of the group's key, and the tar number on a hash of the sample's image or scene.
    Without ranks or quotas, a further sample moves only samples that it joins to another group.
    """
    params: ShardParams = context.params
    # In separate queries: joining and sorting wide rows in one query needs several times the memory.
    located = query_rows(_SAMPLES, inputs)
    stated = _stated(context)
    refused = refuse(located, inputs, params, stated)
    located = query_rows("FROM located ANTI JOIN refused USING (sample_id)", {"located": located, "refused": refused})
    instead = {"located": located, "instead": instead_of_texts(params, inputs)}
    located = query_rows(_WITH_TEXTS, instead)
    rows = query_rows(_PUBLISHED, {"located": located, **{name: inputs[name] for name in _JOINED}})
    dealt = map_rows(rows, lambda some: deal_out(some, params), SHARD_PLAN.schema)
    kept = query_rows(_AS_STATED, {"dealt": dealt, "stated": stated}).cast(SHARD_PLAN.schema)
    ids = {"sample_id": refused["sample_id"]}
    return Outcome(kept, rejects_table(SHARD_PLAN, ids, refused["reason"], refused["detail"]))


# Labelled images keep their released names with extension; web images are named by their sample_id.
_SAMPLES = """
    SELECT 'pub11' AS half, r.sample_id, r.image_id, r.image_id AS own_key, c.caption AS text,
           r.sample_id AS img_name, f.n_bytes, f.body_sha256, f.body_file, f.body_offset
    FROM relevant r JOIN candidate c USING (sample_id) JOIN fetched f ON f.fetch_id = r.image_id
    UNION ALL
    SELECT 'rs3', l.sample_id, l.sample_id, l.scene_id, c.generated_caption,
           l.sample_id || '.jpg', l.n_bytes, l.body_sha256, l.body_file, l.body_offset
    FROM caption c JOIN labelled_image l USING (sample_id)
"""
_GIVEN = "SELECT sample_id FROM relevant UNION ALL SELECT sample_id FROM caption"
_WITH_TEXTS = """
    SELECT located.* REPLACE (coalesce(instead.text, located.text) AS text), text_source
    FROM located LEFT JOIN instead USING (sample_id)
"""
_PUBLISHED = """
    SELECT located.*, i.image_format, i.exif_orientation, i.published_sha256, i.published_n_bytes, g.meta_caption,
           s.group_key, s.is_train_group
    FROM located JOIN image i USING (image_id) JOIN geometa g USING (sample_id)
    JOIN split_group s USING (sample_id)
"""
_AS_IN = ("published_text", "split", "shard")
_AS_STATED = f"""
    SELECT {
    ", ".join(
        f"coalesce(stated.{n}, dealt.{n}) AS {n}" if n in _AS_IN else f"dealt.{n}" for n in SHARD_PLAN.schema.names
    )
}
    FROM dealt LEFT JOIN stated USING (sample_id) ORDER BY sample_id
"""
_JOINED = ("image", "geometa", "split_group")


def _stated(context: Context) -> pa.Table:
    """Return the stated id, digest, text, split and tar of samples; no rows if none are stated."""
    names = ["sample_id", "published_sha256", *_AS_IN]
    stated = context.tools.get("stated")
    return pa.table({name: pa.array([], pa.string()) for name in names}) if stated is None else stated.select(names)


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
    version=15,
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
