"""Benchmarks: `make bench-<name>` runs `bench_<name>.py`. They measure and print; they never fail a test."""
