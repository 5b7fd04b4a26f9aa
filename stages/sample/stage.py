"""Sample: one row per candidate and labelled image, with the id of its image in later tables.

Global stages and queries join it. Partitioned stages keep their own key and never read the full table: a new sample
would make all of their partitions stale.
"""

from schemas.tables import SAMPLE
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.rows import run_sql

# Also used for a build whose table is not written yet.
SAMPLES_QUERY = """
    SELECT sample_id, corpus, 'pub11' AS half, fetch_id AS image_id FROM candidate LEFT JOIN planned USING (sample_id)
    UNION ALL SELECT sample_id, corpus, 'rs3', sample_id FROM labelled_image
    UNION ALL SELECT sample_id, corpus, 'rs3', NULL FROM labelled_image_rejects
"""


def list_samples(inputs: Inputs, context: Context) -> Outcome:
    """Return a row per candidate and labelled image; image_id is null if plan or labelled refused it."""
    rows = run_sql(f"SELECT {', '.join(SAMPLE.schema.names)} FROM ({SAMPLES_QUERY}) ORDER BY sample_id", inputs)
    return Outcome(rows.cast(SAMPLE.schema), no_rejects(SAMPLE))


LIST_SAMPLES = Stage(
    name="list_samples",
    module="sample",
    version=1,
    does="Lists the samples of both halves with the id of their image in later tables.",
    reads=(
        Reads("candidate", ("sample_id", "corpus")),
        Reads("planned", ("sample_id", "fetch_id")),
        Reads("labelled_image", ("sample_id", "corpus")),
        Reads("labelled_image", ("sample_id", "corpus"), section="rejects"),
    ),
    writes=SAMPLE,
    grain="map",
    given=Given(
        query="SELECT sample_id FROM candidate UNION ALL SELECT sample_id FROM labelled_image"
        " UNION ALL SELECT sample_id FROM labelled_image_rejects",
        inputs=("candidate", "labelled_image", "labelled_image_rejects"),
    ),
    run=list_samples,
    partitions_from=("planned", "labelled_image"),
    bytes_per_row=60,
)
