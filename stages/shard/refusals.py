"""Find the remaining samples that are not published, with reasons; a change here only rewrites tars."""

from typing import Any

import pyarrow as pa

from schemas.reasons import DETAIL_MAX_CHARACTERS
from stages.contract import InputError, Inputs
from stages.rows import query_rows, run_sql
from stages.safety.hash_lists import DETAIL, HASH_LISTED, listed
from stages.safety.unsafe import unsafe_samples
from stages.shard.dealing import ShardParams
from stages.shard.rights import LICENCE, not_redistributable
from stages.withdraw.matching import named

LOW_MATCH = "low_caption_match"
CHANGED = "publication_changed"
NEAREST = ("evaluation_set", "evaluation_path", "measure", "match_distance", "n_inliers")
# In this order: a withdrawn sample gets no other reason, and neither does a listed file.
REASONS = (HASH_LISTED, "withdrawn", "nsfw", "contaminated", LICENCE, LOW_MATCH, CHANGED)
# Not pa.table, which imports pandas: half a second for every command.
_NONE = pa.Table.from_batches([], pa.schema([("sample_id", pa.string()), ("detail", pa.string())]))


def refuse(located: Any, inputs: Inputs, params: ShardParams, stated: pa.Table) -> pa.Table:
    """Return sample_id, reason and detail of the samples that are not published, each with its first reason.

    Args:
        located: the remaining samples: half, sample_id, image_id, body_sha256.
        inputs: the inputs of plan_shards.
        params: settings that decide which samples are rejected.
        stated: sample_id and published_sha256 that release metadata states; empty if nothing is stated.
    """
    tables = {**inputs, "located": located}
    splits = params.contaminated_splits if params.contaminated == "remove" else ()
    causes = {
        HASH_LISTED: _illegal(tables) if inputs["listed_hash"].num_rows else _NONE,
        "withdrawn": run_sql("SELECT sample_id, entry AS detail FROM t", {"t": named(inputs["withdrawal"], tables)}),
        "nsfw": unsafe_samples(params, tables) if params.nsfw == "remove" else _NONE,
        "contaminated": run_sql(
            _CONTAMINATED,
            {"located": located, "contaminated": inputs["contaminated"]},
            splits=list(splits),
            longest=DETAIL_MAX_CHARACTERS,
        ),
        LICENCE: not_redistributable(params, tables) if params.rights == "redistributable" else _NONE,
        LOW_MATCH: _unlike(tables, params.caption_top_share) if params.caption_top_share < 1 else _NONE,
        CHANGED: _changed(tables, stated) if stated.num_rows else _NONE,
    }
    found = pa.concat_tables(
        [
            pa.table({**dict(zip(_NONE.column_names, table.select(_NONE.column_names).columns, strict=True)),
                      "reason": pa.repeat(reason, table.num_rows), "n": pa.repeat(n, table.num_rows)})
            for n, (reason, table) in enumerate(causes.items())
        ]
    )  # fmt: skip
    first = "QUALIFY row_number() OVER (PARTITION BY sample_id ORDER BY n) = 1 ORDER BY sample_id"
    return run_sql(f"SELECT sample_id, reason, detail FROM found {first}", {"found": found})


def _unlike(tables: Inputs, top_share: float) -> pa.Table:
    """Return the samples outside the tier, those that were not compared among them.

    Raises:
        InputError: no sample was compared with its caption, so that none would be published.
    """
    found = run_sql(_UNLIKE, {name: tables[name] for name in ("located", "caption_rank")}, top_share=top_share)
    if found.num_rows and not run_sql(_ANY_MATCH, {"caption_rank": tables["caption_rank"]}).num_rows:
        raise InputError(
            f"shard.caption_top_share = {top_share:g} needs images that were compared with their captions, but none"
            " was: set embed.match_captions = true and an embed.model, or shard.caption_top_share = 1"
        )
    return found


_ANY_MATCH = "SELECT 1 FROM caption_rank WHERE caption_cos IS NOT NULL LIMIT 1"
_UNLIKE = """
    SELECT sample_id,
           CASE WHEN caption_cos IS NULL THEN 'not compared'
                ELSE format('cosine {:.4f}, in the top {:.2f} %', caption_cos, 100 * caption_top_share) END AS detail
    FROM located LEFT JOIN caption_rank USING (sample_id)
    WHERE caption_top_share IS NULL OR caption_top_share > $top_share ORDER BY sample_id
"""


def _illegal(tables: Inputs) -> pa.Table:
    names = ("located", "image")
    query = """SELECT sample_id, located.body_sha256, published_sha256, body_md5
               FROM located JOIN image USING (image_id)"""
    hashes = query_rows(query, {name: tables[name] for name in names})
    found = listed("sample_id", tables["listed_hash"], hashes)
    return found.append_column("detail", pa.repeat(DETAIL, found.num_rows))


def _changed(tables: Inputs, stated: pa.Table) -> pa.Table:
    return run_sql(_CHANGED, {"located": tables["located"], "image": tables["image"], "stated": stated})


_CHANGED = """
    SELECT sample_id, format('sha256 without metadata {}, stated {}', left(image.published_sha256, 16),
                             left(stated.published_sha256, 16)) AS detail
    FROM located JOIN image USING (image_id) JOIN stated USING (sample_id)
    WHERE image.published_sha256 <> stated.published_sha256
"""
# Of several matches, one in a test split is stated.
_CONTAMINATED = """
    WITH found AS (
        SELECT sample_id, count(*) - 1 AS n_more,
               first(format('{} {}: {} by {}', evaluation_set, evaluation_split, right(evaluation_path, 120), measure)
                     || CASE WHEN match_distance IS NULL THEN format(' in {} places', n_inliers)
                             ELSE format(' at {}', match_distance) END
                     ORDER BY evaluation_split = 'test' DESC, evaluation_set, evaluation_split) AS nearest
        FROM contaminated WHERE list_contains($splits, evaluation_split) GROUP BY sample_id
    )
    SELECT sample_id,
           left(nearest || CASE WHEN n_more > 0 THEN format(', and {} more', n_more) ELSE '' END, $longest) AS detail
    FROM located JOIN found USING (sample_id)
"""
