"""List the samples whose picture or URL is withdrawn or on a hash list, so that nothing published names them.

Not for refusing them: download and shard decide by the same records.
"""

from schemas.tables import BARRED_SAMPLE
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.rows import query_rows
from stages.safety.hash_lists import HASH_LISTED, listed_sql
from stages.withdraw.matching import withdrawn_query


def list_barred(inputs: Inputs, context: Context) -> Outcome:
    """Return each withdrawn or listed sample, of both halves, with the record that names it."""
    found = query_rows(_BARRED, inputs)
    return Outcome(found.cast(BARRED_SAMPLE.schema), no_rejects(BARRED_SAMPLE))


# A body that screen refused has no image: its digest is in `fetched` alone. A listed file is a final refusal there.
_BARRED = f"""
    WITH found AS (
        SELECT sample_id, 'withdrawn' AS barred_by FROM ({withdrawn_query()})
        UNION ALL SELECT sample_id, 'withdrawn' FROM sample JOIN fetched ON fetch_id = image_id
                  JOIN withdrawal ON entry = body_sha256 WHERE entry_kind = 'sha256'
        UNION ALL SELECT sample_id, '{HASH_LISTED}' FROM sample JOIN fetched_rejects ON fetch_id = image_id
                  WHERE reason = '{HASH_LISTED}'
        UNION ALL SELECT sample_id, '{HASH_LISTED}'
                  FROM sample JOIN ({listed_sql("image_id", "image")}) USING (image_id)
    )
    SELECT sample_id, min(barred_by) AS barred_by FROM found SEMI JOIN sample USING (sample_id)
    GROUP BY sample_id ORDER BY sample_id
"""

LIST_BARRED = Stage(
    name="list_barred",
    module="shard",
    version=2,
    does="Lists all samples that a withdrawal or a hash list names, kept or rejected.",
    reads=(
        Reads("sample", ("sample_id", "image_id"), is_whole=True),
        Reads("planned", ("sample_id", "normalised_url", "host"), is_whole=True),
        Reads("fetched", ("fetch_id", "body_sha256"), is_whole=True),
        Reads("fetched", ("fetch_id", "reason"), is_whole=True, section="rejects"),
        Reads(
            "image",
            ("image_id", "body_sha256", "body_md5", "published_sha256", "pixel_sha256", "phash"),
            is_whole=True,
        ),
        Reads("withdrawal", ("entry_kind", "entry"), is_whole=True, is_optional=True),
        Reads("listed_hash", ("hash_kind", "hash"), is_whole=True, is_optional=True),
    ),
    writes=BARRED_SAMPLE,
    grain="observe",
    given=Given(),
    run=list_barred,
    is_queried=True,
)
