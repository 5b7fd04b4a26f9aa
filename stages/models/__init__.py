"""Model adapters for the protocols of `protocols.py`, one per file, imported lazily by `opening.py`."""
