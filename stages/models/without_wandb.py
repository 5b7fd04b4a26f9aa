"""Keep wandb out of the import of timm, also by open_clip: it takes 0.8 s of CPU in each process with such a model.

timm imports it if installed, to log training runs; img2dataset installs it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_NAME = "wandb"


@contextmanager
def without_wandb() -> Iterator[None]:
    """Let imports within a with block find no wandb, unless this process has it already; later ones find it again."""
    if _NAME in sys.modules:
        yield
        return
    sys.modules[_NAME] = None  # type: ignore[assignment] # Python's way to say that a module cannot be imported
    try:
        yield
    finally:
        del sys.modules[_NAME]
