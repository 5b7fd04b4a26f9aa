from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stages.contract import Context, ContractError, InputError
from stages.match.stage import MATCH_CAPTIONS, RANK_MATCHES, MatchParams, TierParams, match_captions, rank_matches
from stages.rows import run_sql
from stages.shard.dealing import ShardParams
from stages.shard.refusals import refuse
from tests.contract.handmade import ColourScorer
from tests.small_build import Build


class Counting(ColourScorer):
    """Counts texts and batches."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def text_features(self, texts: Any, *, is_normalised: bool = True) -> Any:
        self.batches.append(list(texts))
        found = super().text_features(texts, is_normalised=is_normalised)
        return np.where(np.array(texts)[:, None] == "not finite", np.nan, found)


def _match(captions: list[tuple[str, str]], features: dict[str, list[float]], batch_size: int = 64) -> Any:
    own = [
        {"sample_id": f"s{n}", "pixel_sha256": picture, "own_caption": text}
        for n, (picture, text) in enumerate(captions)
    ]
    inputs = {
        "own_caption": pa.Table.from_pylist(own),
        "embedding": pa.table(
            {
                "pixel_sha256": pa.array(list(features), pa.string()),
                "image_feature": pa.array([np.array(f, np.float16) for f in features.values()], pa.list_(pa.float16())),
            }
        ),
    }
    scorer = Counting()
    context = Context(
        "p", MatchParams.model_validate({"batch_size": batch_size}), None, {"scorer": scorer}, None, Path()
    )  # type: ignore[arg-type]
    return match_captions(inputs, context).kept["caption_cos"].to_pylist(), scorer.batches


def test_a_match_is_the_cosine_of_picture_and_own_caption() -> None:
    texts = ["a", "eee eee", "a"]
    features = {"p": [0.6, 0.8, 0.0], "q": [0.0, 3.0, 4.0]}  # the second is not of unit length
    found, _ = _match(list(zip(("p", "q", "q"), texts, strict=True)), features)
    own = ColourScorer().text_features(texts)
    expected = [own[0] @ [0.6, 0.8, 0.0], own[1] @ [0.0, 0.6, 0.8], own[2] @ [0.0, 0.6, 0.8]]
    assert found == pytest.approx(expected, abs=1e-3)


def test_each_distinct_caption_is_encoded_once_in_bounded_batches() -> None:
    texts = [f"caption {n % 20}" for n in range(60)]
    found, batches = _match([("p", text) for text in texts], {"p": [1.0, 0.0, 0.0]}, batch_size=1)
    assert [len(batch) for batch in batches] == [8, 8, 4] and {text for batch in batches for text in batch} == set(
        texts
    )
    assert found[:20] == found[20:40] and None not in found


def test_a_missing_or_infinite_feature_gives_a_row_without_cosine() -> None:
    found, _ = _match(
        [("p", "a"), ("gone", "a"), ("p", "not finite"), ("nan", "a")], {"p": [1, 0, 0], "nan": [np.nan] * 3}
    )
    assert [cosine is None for cosine in found] == [False, True, True, True]
    assert _match([("gone", "a")], {})[0] == [None]


def test_features_of_another_length_stop_the_run() -> None:
    with pytest.raises(ContractError, match="image features have 2 values, caption features 3"):
        _match([("p", "a")], {"p": [1.0, 0.0]})


def _rank(scope: str) -> dict[str, float | None]:
    cosines = [0.4, 0.3, 0.3, None, 0.1, 0.9]
    corpora = ["a", "a", "a", "a", "b", "b"]
    ids = [f"s{n}" for n in range(6)]
    inputs = {
        "caption_match": pa.table({"sample_id": ids, "caption_cos": cosines}),
        "sample": pa.table({"sample_id": ids, "corpus": corpora}),
    }
    context = Context("whole", TierParams.model_validate({"tier_scope": scope}), None, {}, None, Path())  # type: ignore[arg-type]
    rows = rank_matches(inputs, context).kept.to_pylist()
    assert [row["caption_cos"] for row in rows] == cosines
    return {row["sample_id"]: row["caption_top_share"] for row in rows}


def test_tiers_are_shares_of_a_corpus_or_of_all_scored_samples() -> None:
    of_corpus = {"s0": 1 / 3, "s1": 1.0, "s2": 1.0, "s3": None, "s4": 1.0, "s5": 0.5}
    assert _rank("corpus") == pytest.approx(of_corpus)
    assert _rank("all") == pytest.approx({"s0": 0.4, "s1": 0.8, "s2": 0.8, "s3": None, "s4": 1.0, "s5": 0.2})


def _left_out(build: Build, **params: Any) -> dict[str, tuple[str, str]]:
    stage = build.stage("plan_shards")
    inputs = {reads.name: build.ledger().read(reads, "whole") for reads in stage.reads}
    located = run_sql(
        "SELECT 'pub11' AS half, sample_id, image_id, body_sha256 FROM relevant JOIN fetched ON fetch_id = image_id",
        {name: inputs[name] for name in ("relevant", "fetched")},
    )
    if params.pop("is_off", False):
        inputs["caption_rank"] = inputs["caption_rank"].slice(0, 0)
    stated = pa.table({"sample_id": pa.array([], pa.string()), "published_sha256": pa.array([], pa.string())})
    rows = refuse(located, inputs, ShardParams.model_validate({"contaminated": "mark", **params}), stated).to_pylist()
    return {row["sample_id"]: (row["reason"], row["detail"]) for row in rows}


def test_only_a_tier_is_published_on_demand(finished: Build) -> None:
    ranks = {row["sample_id"]: row for row in finished.rows("caption_rank")}
    before, after = _left_out(finished), _left_out(finished, caption_top_share=0.3)
    web = {row["sample_id"] for row in finished.rows("relevant")}
    low = {name for name in web if ranks[name]["caption_top_share"] > 0.3}
    assert 0 < len(low) < len(web) and not low <= set(before)
    assert {name for name, (reason, _) in after.items() if reason == "low_caption_match"} == low - set(before)
    assert all(after[name] == fate for name, fate in before.items())
    detail = after[min(low - set(before))][1]
    assert detail.startswith(f"cosine {ranks[min(low - set(before))]['caption_cos']:.4f}, in the top ")


def test_a_tier_without_scores_is_an_error_that_names_the_settings(finished: Build) -> None:
    with pytest.raises(InputError, match=r"set embed\.match_captions = true and an embed\.model"):
        _left_out(finished, caption_top_share=0.3, is_off=True)
    assert _left_out(finished, is_off=True) == _left_out(finished)


def test_scores_are_published_with_every_sample(finished: Build) -> None:
    ranks = {row["sample_id"]: row for row in finished.rows("caption_rank")}
    rows = finished.rows("metafile")
    assert len(rows) > 20 and {row["half"] for row in rows} == {"pub11", "rs3"}
    for row in rows:
        own = ranks[row["sample_id"]]
        assert -1 <= row["caption_cos"] <= 1 and row["caption_cos"] == own["caption_cos"]
        assert row["caption_top_share"] == own["caption_top_share"]
    assert MATCH_CAPTIONS.settings_section == RANK_MATCHES.settings_section == "embed"
