"""Crosswalk, a stage of shard: each sample's names in its corpus and in other releases of the corpus."""

import pyarrow as pa

from schemas.tables import CROSSWALK
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, rejects_table
from stages.rows import run_sql
from stages.safety.hash_lists import HASH_LISTED


def write_crosswalk(inputs: Inputs, context: Context) -> Outcome:
    """Return one row per candidate and labelled image; url is empty for labelled ones, path for web ones.

    Withdrawn and listed samples are rejected: a published URL or name would lead to them.
    """
    names = run_sql(_NAMES, inputs)
    barred = run_sql(_BARRED, inputs)
    rejects = rejects_table(
        CROSSWALK, barred, barred["barred_by"], pa.repeat("its names are left out", barred.num_rows)
    )
    return Outcome(names.cast(CROSSWALK.schema), rejects)


_NAMED = "half = 'pub11' OR image_id IS NOT NULL"
_BARRED = f"""
    SELECT sample_id, barred_by FROM sample JOIN barred_sample USING (sample_id) WHERE {_NAMED} ORDER BY sample_id
"""
# A labelled image's name is the last element of its path without extension: FMoW's view, MillionAID's number, or
# BigEarthNet's patch, always by its name in version 1.
_NAMES = rf"""
    SELECT sample_id, corpus,
           coalesce(native_id, v1_patch, regexp_extract(path, '([^/]+?)(?:\.[A-Za-z]{{1,4}})?$', 1)) AS original_name,
           native_hash, part, source_row, coalesce(url, '') AS url,
           coalesce(path, '') AS path, v2_patch
    FROM sample LEFT JOIN candidate USING (sample_id) LEFT JOIN labelled_image USING (sample_id)
    LEFT JOIN patch USING (sample_id) ANTI JOIN barred_sample USING (sample_id)
    WHERE {_NAMED} ORDER BY sample_id
"""

WRITE_CROSSWALK = Stage(
    name="write_crosswalk",
    module="shard",
    version=4,
    does="Writes the corpus's own names of each candidate and labelled image.",
    reads=(
        Reads("candidate", ("sample_id", "part", "source_row", "native_id", "native_hash", "url")),
        Reads("labelled_image", ("sample_id", "path")),
        Reads("sample", ("sample_id", "corpus", "half", "image_id")),
        Reads("patch", ("sample_id", "v1_patch", "v2_patch")),
        Reads("barred_sample", ("sample_id", "barred_by"), is_whole=True),
    ),
    writes=CROSSWALK,
    grain="map",
    given=Given(query=f"SELECT sample_id FROM sample WHERE {_NAMED}", inputs=("sample",)),
    run=write_crosswalk,
    reasons=("withdrawn", HASH_LISTED),
    decides=False,
    partitions_from=("sample",),
)
