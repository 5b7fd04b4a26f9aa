"""A gap: something that a build will need and that is missing, with the command that gets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["model", "list", "gpu", "disk", "setting", "source", "tool", "memory"]


@dataclass(frozen=True)
class Gap:
    """Something missing or wrong. In its texts a line that begins with four spaces is a command.

    Attributes:
        kind: its subject, such as "model" or "setting".
        name: a model, a file, a stage or a corpus.
        problem: the expected and the found state.
        remedy: what to do; "" if the problem says it.
        is_fatal: a stage would fail without it, so `make build` refuses to start. Otherwise the build runs and only
            lacks something, such as machine tags.
    """

    kind: Kind
    name: str
    problem: str
    remedy: str = ""
    is_fatal: bool = True


def with_less(profile: str) -> str:
    """Return the profiles that need less than the one in use, as the end of a remedy; "" if there is none."""
    smaller, light = "smaller models (PROFILE=workstation)", "a build without a GPU (PROFILE=light)"
    return {"workstation": f", or choose {light}", "light": ""}.get(profile, f", or choose {smaller} or {light}")


def without_gpu(profile: str) -> str:
    """Return the profile whose models run on a CPU, as the end of a remedy; "" if it is the one in use."""
    return "" if profile == "light" else ", or choose a build without a GPU (PROFILE=light)"
