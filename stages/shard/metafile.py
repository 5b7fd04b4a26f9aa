"""Metafile, a stage of shard: one row per sample of a tar, with its name, its text and its origin."""

from schemas.tables import METAFILE, ORIGIN
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.rows import run_sql


def write_metafile(inputs: Inputs, context: Context) -> Outcome:
    """Return one row per sample of a tar, in the order of the tar: its name and text, its origin, its bytes."""
    rows = run_sql(_ROWS, inputs)
    return Outcome(rows.select(METAFILE.schema.names).cast(METAFILE.schema), no_rejects(METAFILE))


_ROWS = """
    FROM shard JOIN shard_plan USING (sample_id) JOIN origin USING (sample_id) ORDER BY sample_id
"""
_OF_SHARD = ("sample_id", "shard", "published_sha256")
_OF_PLAN = ("sample_id", "img_name", "published_text", "split", "body_sha256")

WRITE_METAFILE = Stage(
    name="write_metafile",
    module="shard",
    version=2,
    does="Writes the origin, position and time of each sample of a tar.",
    reads=(
        Reads("shard", _OF_SHARD),
        Reads("shard_plan", _OF_PLAN),
        Reads("origin", tuple(name for name in ORIGIN.schema.names if name != "shard")),
    ),
    writes=METAFILE,
    grain="map",
    given=Given("shard", ("sample_id",)),
    run=write_metafile,
    partitions_from=("shard",),
)
