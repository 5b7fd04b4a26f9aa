"""Target shard: texts, splits, tars, metafiles."""
