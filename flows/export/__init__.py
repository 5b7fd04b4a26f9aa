"""make export: the published images outside of tars, as plain folders or as parquet with embedded images."""
