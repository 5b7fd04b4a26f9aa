"""Read the digest of the weights, and a detector's threshold, from the folder of a user's own model.

Not for reading the weights, which are compared with the digest when the model is opened.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from stages.contract import InputError
from stages.models.opening import find_model
from stages.models.weights import stated_digest

METRICS = "metrics.json"  # written by `make train-detector`


def own_weights(name: str, models: str) -> Mapping[str, str] | None:
    """Return the digest of the weights of a user's own model, as its folder states it.

    Args:
        name: a model of manifests/models.toml.
        models: folder of the models.

    Returns:
        Empty for a model that models.toml pins; None if the folder is missing or states no digest.
    """
    model = find_model(name)
    if model.revision != "own" or model.weights_sha256:
        return {}
    digest = stated_digest(Path(models) / model.name)
    return None if digest is None else {"stated_sha256": digest}


def stated_threshold(name: str, models: str) -> float:
    """Return the threshold that a detector's metrics.json states, a probability.

    Args:
        name: a detector of manifests/models.toml.
        models: folder of the models.

    Raises:
        InputError: the file is missing, or states no threshold.
    """
    path = Path(models) / find_model(name, "detector").name / METRICS
    try:
        threshold = float(json.loads(path.read_text(encoding="utf-8"))["threshold"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        fault = "it is missing" if isinstance(error, FileNotFoundError) else str(error)
        raise InputError(
            f'outliers.min_detector_prob = "stated": expected {path} with a threshold, as `make train-detector` writes'
            f" it: {fault}. Train the detector, or set the threshold to a number from 0 to 1"
        ) from error
    if not 0 <= threshold <= 1:
        raise InputError(f"{path} states the threshold {threshold:g}: expected a probability. Train the detector again")
    return threshold
