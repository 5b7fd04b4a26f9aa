"""Reader of parquet corpora (LAION, COYO, DataComp)."""
