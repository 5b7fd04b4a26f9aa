"""Benchmarks: `make bench-<name>` runs `bench_<name>.py`. They measure and print, and no result fails a test."""

import os

# numpy reads this at import. A second BLAS thread would add CPU time to a case but not to its floor.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
