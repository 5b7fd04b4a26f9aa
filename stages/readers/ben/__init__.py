"""Reader of BigEarthNet."""
