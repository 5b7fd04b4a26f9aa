from collections import defaultdict

from stages.stats.stage import TOTAL
from tests.small_build import Build


def test_rows_of_corpora_add_up_to_the_total(finished: Build) -> None:
    rows = {row["source"]: row for row in finished.rows("split_count")}
    corpora = [row for source, row in rows.items() if source != TOTAL]
    assert len(corpora) > 3
    for name in ("samples", "n_val", "n_val_leaked", "n_random_val", "n_random_val_leaked", "n_in_train_groups"):
        assert sum(row[name] for row in corpora) == rows[TOTAL][name]
    assert rows[TOTAL]["samples"] == len(finished.rows("shard"))


def test_no_group_is_in_both_splits_and_the_leaks_of_a_random_split_are_counted(finished: Build) -> None:
    plan = {row["sample_id"]: row for row in finished.rows("shard_plan")}
    group_of = {row["sample_id"]: row["group_key"] for row in finished.rows("split_group")}
    published = [row["sample_id"] for row in finished.rows("shard")]
    for rule in ("split", "random_split"):
        splits = defaultdict(set)
        for name in published:
            splits[group_of[name]].add(plan[name][rule])
        leaked = [n for n in published if plan[n][rule] == "val" and "train" in splits[group_of[n]]]
        (total,) = [row for row in finished.rows("split_count") if row["source"] == TOTAL]
        column = "n_val_leaked" if rule == "split" else "n_random_val_leaked"
        assert total[column] == len(leaked)
        assert (rule == "split") <= (leaked == [])


def test_the_share_of_a_corpuss_largest_group_is_stated(finished: Build) -> None:
    corpus_of = {row["sample_id"]: row["corpus"] for row in finished.rows("sample")}
    published = {row["sample_id"] for row in finished.rows("shard")}
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in finished.rows("split_group"):
        if row["sample_id"] in published:
            counts[corpus_of[row["sample_id"]]][row["group_key"]] += 1
    for row in finished.rows("split_count"):
        if row["source"] != TOTAL:
            found = counts[row["source"]]
            assert (row["largest_group_samples"], row["n_groups"]) == (max(found.values()), len(found))
            assert row["largest_group_share"] == round(max(found.values()) / sum(found.values()), 4)
