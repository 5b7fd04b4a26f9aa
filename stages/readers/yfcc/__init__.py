"""Reader of YFCC100M's metadata and YFCC15M's list."""
