"""Assign samples to splits and tars by hash; `stage.py` selects the samples."""

import hashlib
from typing import Literal

import pyarrow as pa
from pydantic import Field

from schemas.tables import SHARD_PLAN
from stages.safety.unsafe import UnsafeParams
from stages.shard.emails import EmailParams, masked
from stages.shard.published_text import TextOrder, caption_sources, published_text
from stages.shard.rights import RightsParams


class ShardParams(UnsafeParams, EmailParams, RightsParams):
    """Which samples are refused last, and how the published ones are split and distributed over tars."""

    split_rule: Literal["groups", "random"] = Field(
        "groups", description="what goes to one split: groups of alike samples, or each sample by itself (as published)"
    )
    n_shards: int = Field(32, ge=1, le=9999, description="tars per split")  # RS5M: 0000 to 0031
    val_share: float = Field(0.05, ge=0, lt=1, description="share of the validation split")  # RS5M: 5 %
    seed: str = Field("split", description="seed of the split, hashed with the key of the sample or its group")
    text_order: TextOrder = Field("meta_first", description="place of the meta caption, if any")  # as released
    text_separator: str = Field(" ", description="separator between meta caption and caption")
    contaminated: Literal["mark", "remove"] = Field(
        "remove", description="samples whose picture is in an evaluation set: remove, or mark (publish all the same)"
    )
    contaminated_splits: tuple[Literal["train", "val", "test", "all"], ...] = Field(
        ("train", "val", "test", "all"),
        description="splits of evaluation sets whose pictures are removed; all: of a set that is not split",
    )
    caption_top_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of samples to publish, those whose image and caption match best; 1: all, compared or not",
    )  # SkyScript and ScoreRS gain by the top .3; here no training has shown a gain yet


def deal_out(rows: pa.Table, params: ShardParams) -> pa.Table:
    """Return rows of shard_plan: samples with their text, split and tar."""
    numbers = [deal(key, params)[1] for key in rows["own_key"].to_pylist()]
    at_random = [deal(key, params)[0] for key in rows["sample_id"].to_pylist()]
    splits = at_random if params.split_rule == "random" else _split_groups(rows, params)
    halves = rows["half"].to_pylist()
    shards = [f"{half}-{split}-{number:04d}" for half, split, number in zip(halves, splits, numbers, strict=True)]
    text = masked(rows["text"]) if params.mask_emails else rows["text"]
    columns = {
        **{name: rows[name] for name in rows.column_names},
        "published_text": published_text(rows["meta_caption"], text, params.text_order, params.text_separator),
        "caption_sources": pa.array(caption_sources(rows, params.text_order), pa.list_(pa.string())),
        "split": pa.array(splits, pa.string()),
        "random_split": pa.array(at_random, pa.string()),
        "shard": pa.array(shards, pa.string()),
    }
    return pa.table({name: columns[name] for name in SHARD_PLAN.schema.names}).cast(SHARD_PLAN.schema)


def _split_groups(rows: pa.Table, params: ShardParams) -> list[str]:
    keys, for_train = rows["group_key"].to_pylist(), rows["is_train_group"].to_pylist()
    return [
        "train" if is_for_train else deal(key, params)[0] for key, is_for_train in zip(keys, for_train, strict=True)
    ]


def deal(key: str, params: ShardParams) -> tuple[str, int]:
    """Return a key's split and tar number, from two independent 64-bit words of its sha256."""
    digest = hashlib.sha256(f"{params.seed}:{key}".encode()).digest()
    share = int.from_bytes(digest[:8]) / 2**64
    number = int.from_bytes(digest[8:16]) % params.n_shards
    return ("val" if share < params.val_share else "train"), number
