"""Main memory that a partition needs, so that no more begin than fit; `make preflight` asks the same.

Not for stopping workers that hold too much: that is the policy.
"""

from __future__ import annotations

from flows.run.machine import memory_bytes
from flows.settings import RunSettings, Settings
from schemas.manifests import load_models
from stages.contract import Stage

WORKER_GB = 0.3  # of a worker with the libraries of any stage and a partition's rows: download's, measured in the demo
_SHARE_OF_MEMORY = 0.9  # of the machine, for all workers together, if run.total_memory_gb is not set


def total_bytes(settings: RunSettings) -> float:
    """Return the memory that all workers together may hold."""
    return settings.total_memory_gb * 1e9 or _SHARE_OF_MEMORY * memory_bytes()


def needed_gb(stage: Stage, settings: Settings) -> float:
    """Return the memory to keep free for a partition of a stage, GB; a worker may never hold more than run.memory_gb.

    Raises:
        InputError: a setting names no model.
    """
    limit_gb = settings.run.memory_gb
    if stage.is_whole and not stage.memory_gb:
        return limit_gb  # it reads whole tables, and spills rows that do not fit
    return min(limit_gb, most_gb(stage, settings))


def least_gb(stage: Stage, settings: Settings) -> float:
    """Return the least that a partition needs whatever its rows, GB: with weights at half precision.

    Raises:
        InputError: a setting names no model.
    """
    return max(stage.memory_gb, WORKER_GB) + weights_gb(stage, settings) / 2


def most_gb(stage: Stage, settings: Settings) -> float:
    """Return the same with weights in float32.

    Raises:
        InputError: a setting names no model.
    """
    return max(stage.memory_gb, WORKER_GB) + weights_gb(stage, settings)


def weights_gb(stage: Stage, settings: Settings) -> float:
    """Return the memory through which the weights of a stage's models pass, GB: 4 bytes a parameter.

    Raises:
        InputError: a setting names no model.
    """
    params = settings.params(stage)
    if not stage.has_model or stage.off(params):
        return 0.0
    facts = [tool.identity(params) for tool in stage.tools]
    models = load_models()
    return sum(models[str(one["name"])].download_gb for one in facts if "library" in one and one["name"] in models)
