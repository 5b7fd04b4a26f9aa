"""Benchmarks: `make bench-<name>` runs `bench_<name>.py`. They measure and print; they never fail a test."""

import os

# Read once, when numpy is imported: of a second thread of its products a case would pay and its floor would not.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
