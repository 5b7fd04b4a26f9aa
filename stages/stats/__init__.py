"""Target stats: the published statistics tables."""
