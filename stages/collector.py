"""Pause Python's garbage collector where millions of objects are made that stay.

Not for freeing memory: reference counts do that.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the garbage collector: it would walk objects that stay again and again.

    Those made meanwhile count as old afterwards, so that it does not walk them at once.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.unfreeze()  # into the oldest generation
            gc.enable()
