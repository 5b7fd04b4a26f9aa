"""Target dedup: cluster duplicates, keep one sample of each cluster."""
