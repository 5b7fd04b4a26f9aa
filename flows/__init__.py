"""The command line, the ledger, the store and the executors; the only place that knows an orchestrator."""

import gc

# Python's own 700 costs each process a twentieth of its start: imports make objects that stay.
gc.set_threshold(10_000)
