"""Models behind the protocols of `protocols.py`, one adapter a file, imported lazily by `opening.py`."""
