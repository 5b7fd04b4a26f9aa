"""Inspect the corpora under SOURCES: inventory report, preview of a file, RS5M's lists."""
