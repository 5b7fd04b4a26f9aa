"""Statistics over the splits: groups, the largest of each corpus, and the leakage of a random split."""

from schemas.statistic_tables import SPLIT_COUNT
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.rows import run_sql
from stages.stats.stage import TOTAL


def count_splits(inputs: Inputs, context: Context) -> Outcome:
    """Return one row per corpus and one for the total, beside the split that RS5M describes: 5 % at random."""
    found = run_sql(f"SELECT {', '.join(SPLIT_COUNT.schema.names)} FROM ({_SPLITS})", inputs)
    return Outcome(found.cast(SPLIT_COUNT.schema), no_rejects(SPLIT_COUNT))


# A validation sample leaks if its group has a training sample too.
_SPLITS = f"""
    WITH placed AS (
        SELECT corpus, group_key, is_caption_shared, is_train_group, split, random_split
        FROM shard JOIN shard_plan USING (sample_id) JOIN split_group USING (sample_id) JOIN sample USING (sample_id)
    ), grouped AS (
        SELECT group_key, bool_or(split = 'train') AS is_in_train, bool_or(random_split = 'train') AS is_in_random_train
        FROM placed GROUP BY group_key
    ), counted AS (
        SELECT corpus, group_key, count(*) AS n, count_if(is_caption_shared) AS shared,
               count_if(is_train_group) AS for_train, count_if(split = 'val') AS val,
               count_if(split = 'val' AND is_in_train) AS leaked, count_if(random_split = 'val') AS random_val,
               count_if(random_split = 'val' AND is_in_random_train) AS random_leaked,
               count_if(random_split = 'val' AND is_caption_shared) AS random_shared
        FROM placed JOIN grouped USING (group_key) GROUP BY GROUPING SETS ((corpus, group_key), (group_key))
    )
    SELECT coalesce(corpus, '{TOTAL}') AS source, sum(n) AS samples, count(*) AS n_groups,
           max(n) AS largest_group_samples, round(max(n) / sum(n), 4) AS largest_group_share,
           sum(shared) AS n_shared_caption, sum(for_train) AS n_in_train_groups, sum(val) AS n_val,
           round(sum(val) / sum(n), 4) AS val_share, sum(leaked) AS n_val_leaked, sum(random_val) AS n_random_val,
           sum(random_leaked) AS n_random_val_leaked, sum(random_shared) AS n_random_val_shared_caption
    FROM counted GROUP BY corpus ORDER BY source = '{TOTAL}', source
"""

COUNT_SPLITS = Stage(
    name="count_splits",
    module="stats",
    version=1,
    does="Counts groups and splits by corpus, beside the leaks of a random split.",
    reads=(
        Reads("shard", ("sample_id",), is_whole=True),
        Reads("shard_plan", ("sample_id", "split", "random_split"), is_whole=True),
        Reads("split_group", ("sample_id", "group_key", "is_caption_shared", "is_train_group"), is_whole=True),
        Reads("sample", ("sample_id", "corpus"), is_whole=True),
    ),
    writes=SPLIT_COUNT,
    grain="reduce",
    given=Given(
        query="SELECT DISTINCT corpus AS source FROM sample SEMI JOIN shard USING (sample_id)"
        f" UNION SELECT '{TOTAL}' FROM shard",
        inputs=("sample", "shard"),
    ),
    run=count_splits,
    is_queried=True,
)
