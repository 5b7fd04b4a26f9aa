"""Assign samples to splits and tars by hash; `stage.py` selects the samples."""

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from schemas.tables import SHARD_PLAN
from stages.safety.unsafe import UnsafeParams
from stages.shard.emails import EmailParams, masked
from stages.shard.published_text import TextOrder, caption_sources, published_text
from stages.shard.rights import RightsParams


class ShardParams(UnsafeParams, EmailParams, RightsParams):
    """Which samples are refused last, and how the published ones are split and distributed over tars."""

    split_rule: Literal["groups", "random"] = Field(
        "groups", description="unit of the split: groups of similar samples, or single samples (as published)"
    )
    n_shards: int = Field(32, ge=1, le=9999, description="tars per split")  # RS5M: 0000 to 0031
    val_share: float = Field(0.05, ge=0, lt=1, description="share of the validation split")  # RS5M: 5 %
    seed: str = Field("split", description="seed of the split, hashed with the key of the sample or its group")
    text_order: TextOrder = Field("meta_first", description="place of the meta caption, if any")  # as released
    text_separator: str = Field(" ", description="separator between meta caption and caption")
    contaminated: Literal["mark", "remove"] = Field(
        "remove", description="samples whose picture is in an evaluation set: remove, or mark (publish them too)"
    )
    contaminated_splits: tuple[Literal["train", "val", "test", "all"], ...] = Field(
        ("train", "val", "test", "all"),
        description="splits of evaluation sets whose pictures are removed; all: the whole of a set without splits",
    )
    caption_top_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of samples to publish, best matches of image and caption first; 1: all, compared or not",
    )  # SkyScript and ScoreRS gain by the top .3; here no training has shown a gain yet


DEALT = pa.schema([SHARD_PLAN.schema.field(name) for name in ("sample_id", "split", "random_split", "shard")])


def deal_out(rows: pa.Table, params: ShardParams) -> pa.Table:
    """Return split and tar of samples, rows of DEALT.

    Args:
        rows: samples with half, own_key, group_key and is_train_group.
        params: the rule, the shares and the number of tars.
    """
    own_is_val, numbers = deal_all(rows["own_key"].to_pylist(), params)
    is_random_val, _ = deal_all(rows["sample_id"].to_pylist(), params)
    is_val = is_random_val if params.split_rule == "random" else _is_val_group(rows, own_is_val, params)
    columns = {
        "sample_id": rows["sample_id"],
        "split": _SPLITS.take(pa.array(is_val.astype(np.int8))),
        "random_split": _SPLITS.take(pa.array(is_random_val.astype(np.int8))),
        "shard": _shards(rows["half"], is_val, numbers),
    }
    return pa.table(columns).cast(DEALT)


def add_texts(rows: pa.Table, params: ShardParams) -> pa.Table:
    """Return rows of shard_plan: dealt samples with their published text and its sources.

    Args:
        rows: columns of shard_plan, and meta_caption, text, half and text_source.
        params: order of the texts, and whether addresses in them are masked.
    """
    text = masked(rows["text"]) if params.mask_emails else rows["text"]
    columns = {
        **{name: rows[name] for name in rows.column_names},
        "published_text": published_text(rows["meta_caption"], text, params.text_order, params.text_separator),
        "caption_sources": caption_sources(rows, params.text_order),
    }
    return pa.table({name: columns[name] for name in SHARD_PLAN.schema.names}).cast(SHARD_PLAN.schema)


_SPLITS = pa.StringArray.from_buffers(2, pa.py_buffer(np.array([0, 5, 8], np.int32)), pa.py_buffer(b"trainval"))


def _is_val_group(rows: pa.Table, own_is_val: NDArray[np.bool_], params: ShardParams) -> NDArray[np.bool_]:
    is_val: NDArray[np.bool_] = own_is_val & ~rows["is_train_group"].to_numpy()
    # Most groups are of one picture or scene, and are named by it.
    has_other_key = ~(rows["is_train_group"].to_numpy() | pc.equal(rows["group_key"], rows["own_key"]).to_numpy())
    is_val[has_other_key], _ = deal_all(rows["group_key"].filter(pa.array(has_other_key)).to_pylist(), params)
    return is_val


def _shards(half: pa.ChunkedArray, is_val: NDArray[np.bool_], numbers: NDArray[np.int64]) -> pa.Array:
    halves = half.combine_chunks().dictionary_encode()
    splits = [f"{name}-{split}" for name in halves.dictionary.to_pylist() for split in ("train", "val")]
    known, place = np.unique((halves.indices.to_numpy() * 2 + is_val) * 10_000 + numbers, return_inverse=True)
    names = [f"{splits[code // 10_000]}-{code % 10_000:04d}" for code in known.tolist()]
    return pa.array(names, pa.string()).take(pa.array(place))


def deal(key: str, params: ShardParams) -> tuple[str, int]:
    """Return a key's split and tar number; see `deal_all`."""
    is_val, numbers = deal_all([key], params)
    return ("val" if is_val[0] else "train"), int(numbers[0])


def deal_all(keys: Sequence[str], params: ShardParams) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return whether each key is in the validation split, and its tar number.

    They are decided by two independent 64-bit words of the key's sha256.
    """
    digests = b"".join([hashlib.sha256(f"{params.seed}:{key}".encode()).digest() for key in keys])
    words = np.frombuffer(digests, ">u8").reshape(-1, 4)
    is_val = words[:, 0].astype(np.float64) / 2.0**64 < params.val_share
    return is_val, (words[:, 1] % params.n_shards).astype(np.int64)
