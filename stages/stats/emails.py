"""Count e-mail addresses in the captions of published web samples: those that `shard.mask_emails` masks."""

from schemas.statistic_tables import EMAIL_COUNT
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.rows import run_sql
from stages.shard.emails import addresses_sql
from stages.stats.stage import TOTAL


def count_emails(inputs: Inputs, context: Context) -> Outcome:
    """Return one row per web corpus and one for the total, counted in the captions before anything is masked."""
    found = run_sql(_EMAILS, inputs)
    return Outcome(found.select(EMAIL_COUNT.schema.names).cast(EMAIL_COUNT.schema), no_rejects(EMAIL_COUNT))


_EMAILS = f"""
    WITH counted AS (
        SELECT corpus, len({addresses_sql("caption")}) AS n
        FROM shard JOIN candidate USING (sample_id)
    )
    SELECT coalesce(corpus, '{TOTAL}') AS source, count(*) AS samples, count(*) FILTER (n > 0) AS n_with_email,
           coalesce(sum(n), 0)::BIGINT AS n_emails
    FROM counted GROUP BY ROLLUP (corpus) ORDER BY source = '{TOTAL}', source
"""

COUNT_EMAILS = Stage(
    name="count_emails",
    module="stats",
    version=2,
    does="Counts e-mail addresses in captions by web corpus.",
    reads=(
        Reads("shard", ("sample_id",), is_whole=True),
        Reads("candidate", ("sample_id", "corpus", "caption"), is_whole=True),
    ),
    writes=EMAIL_COUNT,
    grain="reduce",
    given=Given(
        query="SELECT DISTINCT corpus AS source FROM candidate SEMI JOIN shard USING (sample_id)"
        f" UNION SELECT '{TOTAL}'",
        inputs=("candidate", "shard"),
    ),
    run=count_emails,
    is_queried=True,
)
