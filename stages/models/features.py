"""Convert features of both kinds of scorers to float32, and on request to unit length."""

from typing import Any

import numpy as np

from stages.models.protocols import Floats


def to_rows(features: Any, *, is_normalised: bool) -> Floats:
    """Return a torch tensor [n, dim] as float32 rows, of length 1 if is_normalised (NaN for NaN or length 0)."""
    rows: Floats = features.detach().float().cpu().numpy().astype(np.float32)
    if not is_normalised:
        return rows
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
