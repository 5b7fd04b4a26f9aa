"""Crosswalk, a part of shard: each sample under the names that its corpus and other releases of it know it by."""

from schemas.tables import CROSSWALK
from stages.checks import run_sql
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects


def write_crosswalk(inputs: Inputs, context: Context) -> Outcome:
    """Return one row per candidate and labelled image; url is empty for labelled ones, path for web ones."""
    return Outcome(run_sql(_NAMES, inputs).cast(CROSSWALK.schema), no_rejects(CROSSWALK))


# A labelled image is known by the last name of its path, the ending left out: FMoW's view, MillionAID's number,
# BigEarthNet's patch; whichever version of it was read, the name is that of version 1.
_NAMES = r"""
    SELECT sample_id, corpus, native_id AS original_name, native_hash, part AS source_part,
           source_row AS row_in_source, url, '' AS path, NULL AS v2_patch
    FROM candidate
    UNION ALL
    SELECT sample_id, corpus, coalesce(v1_patch, regexp_extract(path, '([^/]+?)(?:\.[A-Za-z]{1,4})?$', 1)), NULL, NULL,
           NULL, '', path, v2_patch
    FROM labelled_image LEFT JOIN patch USING (sample_id)
    ORDER BY sample_id
"""

WRITE_CROSSWALK = Stage(
    name="write_crosswalk",
    module="shard",
    version=2,
    does="Writes each candidate and labelled image under the names that its corpus knows it by.",
    reads=(
        Reads(
            "candidate",
            ("sample_id", "corpus", "part", "source_row", "native_id", "native_hash", "url"),
            is_whole=True,
        ),
        Reads("labelled_image", ("sample_id", "corpus", "path"), is_whole=True),
        Reads("patch", ("sample_id", "v1_patch", "v2_patch"), is_whole=True),
    ),
    writes=CROSSWALK,
    grain="map",
    given=Given(query="SELECT sample_id FROM candidate UNION ALL SELECT sample_id FROM labelled_image"),
    run=write_crosswalk,
)
