"""Print a line on a damaged file of a cache; not through sys.stderr, which is suppressed while img2dataset runs."""

import sys
from pathlib import Path


def report_damage(path: str | Path, error: Exception, effect: str) -> None:
    """Print that a file is damaged, why, and what follows from it."""
    print(f"{path} is damaged ({error}): {effect}", file=sys.__stderr__, flush=True)
