"""A gap: something that a build will need and that is not there, with the command that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["model", "list", "gpu", "disk", "setting", "source", "tool", "memory"]


@dataclass(frozen=True)
class Gap:
    """Something missing or wrong.

    Attributes:
        kind: what it concerns.
        name: a model, a file, a stage or a corpus.
        problem: what was expected and what was found.
        remedy: what to do; "" where the problem says it.
        is_fatal: a stage would fail without it, so `make build` refuses to start; otherwise rows would only lack
            something, and the build runs.
    """

    kind: Kind
    name: str
    problem: str
    remedy: str = ""
    is_fatal: bool = True
