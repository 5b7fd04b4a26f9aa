"""Features of both kinds of scorers as float32 rows; those that overflow in half precision are computed again."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from stages.models.halving import Halving
from stages.models.protocols import Floats

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")

_FLOAT32_BYTES = 4


def to_rows(features: Any, *, is_normalised: bool) -> Floats:
    """Return a torch tensor [n, dim] as float32 rows, of length 1 if is_normalised (NaN for NaN or length 0)."""
    rows: Floats = features.detach().float().cpu().numpy().astype(np.float32)
    if not is_normalised:
        return rows
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def finite_rows(
    model: torch.nn.Module, items: Sequence[Item], halving: Halving, compute: Callable[[Sequence[Item]], Floats]
) -> Floats:
    """Return the rows of all items; rows with NaN or infinity are computed again by the model in float32.

    float16 ends at 65,504. Where a value inside a model exceeds it, the feature is NaN, although the weights are sound.
    The first time, a process warns: where this is common, each batch takes several times as long.

    Args:
        model: the model that `compute` runs, in any precision.
        items: images or texts, one a row, at least one.
        halving: the batches of this model.
        compute: returns float32 [n, dim]; it gives the model inputs of the precision that its weights have.
    """
    rows = np.concatenate(halving.run(compute, items))
    failed = np.flatnonzero(~np.isfinite(rows).all(axis=1)).tolist()
    if failed and (precision := lowest_precision(model)).itemsize < _FLOAT32_BYTES:
        warnings.warn(
            f"{len(failed)} of {len(items)} features of this batch are not finite in"
            f" {str(precision).removeprefix('torch.')} and are computed again in float32. If many are, another"
            " precision in manifests/models.toml is faster",
            stacklevel=2,
        )
        with _in_float32(model):
            rows[failed] = np.concatenate(halving.run(compute, [items[n] for n in failed]))
    return rows


def lowest_precision(model: torch.nn.Module) -> torch.dtype:
    """Return the precision of the weights, the lower one where layers differ: models take inputs of this one."""
    return min((weights.dtype for weights in _floats(model)), key=lambda dtype: dtype.itemsize)


@contextmanager
def _in_float32(model: torch.nn.Module) -> Iterator[None]:
    """Hold the weights in float32; those in half precision come back with the same bits."""
    held = [(weights, weights.dtype) for weights in _floats(model)]
    try:
        for weights, _ in held:
            weights.data = weights.data.float()
        yield
    finally:
        for weights, dtype in held:
            weights.data = weights.data.to(dtype)


def _floats(model: torch.nn.Module) -> list[torch.Tensor]:
    return [weights for weights in chain(model.parameters(), model.buffers()) if weights.is_floating_point()]
