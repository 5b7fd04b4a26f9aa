"""Crosswalk, a stage of shard: each sample's names in its corpus and in other releases of the corpus."""

from schemas.tables import CROSSWALK
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.rows import run_sql


def write_crosswalk(inputs: Inputs, context: Context) -> Outcome:
    """Return one row per candidate and labelled image; url is empty for labelled ones, path for web ones."""
    return Outcome(run_sql(_NAMES, inputs).cast(CROSSWALK.schema), no_rejects(CROSSWALK))


# A labelled image's name is the last element of its path without extension: FMoW's view, MillionAID's number, or
# BigEarthNet's patch, always by its name in version 1.
_NAMES = r"""
    SELECT sample_id, corpus,
           coalesce(native_id, v1_patch, regexp_extract(path, '([^/]+?)(?:\.[A-Za-z]{1,4})?$', 1)) AS original_name,
           native_hash, part, source_row, coalesce(url, '') AS url,
           coalesce(path, '') AS path, v2_patch
    FROM sample LEFT JOIN candidate USING (sample_id) LEFT JOIN labelled_image USING (sample_id)
    LEFT JOIN patch USING (sample_id)
    WHERE half = 'pub11' OR image_id IS NOT NULL ORDER BY sample_id
"""

WRITE_CROSSWALK = Stage(
    name="write_crosswalk",
    module="shard",
    version=3,
    does="Writes the corpus's own names of each candidate and labelled image.",
    reads=(
        Reads("candidate", ("sample_id", "part", "source_row", "native_id", "native_hash", "url")),
        Reads("labelled_image", ("sample_id", "path")),
        Reads("sample", ("sample_id", "corpus", "half", "image_id")),
        Reads("patch", ("sample_id", "v1_patch", "v2_patch")),
    ),
    writes=CROSSWALK,
    grain="map",
    given=Given(query="SELECT sample_id FROM sample WHERE half = 'pub11' OR image_id IS NOT NULL", inputs=("sample",)),
    run=write_crosswalk,
    partitions_from=("sample",),
)
