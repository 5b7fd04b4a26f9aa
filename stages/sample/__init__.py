"""Target sample: the table of all samples."""
