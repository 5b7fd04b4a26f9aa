"""What both kinds of scorers do to features: to float32, and to unit length where asked."""

from typing import Any

import numpy as np

from stages.models.protocols import Floats


def to_rows(features: Any, *, is_normalised: bool) -> Floats:
    """Return a torch tensor [n, dim] as float32 rows, of unit length where asked; NaN, and no length, become NaN."""
    rows: Floats = features.detach().float().cpu().numpy().astype(np.float32)
    if not is_normalised:
        return rows
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
