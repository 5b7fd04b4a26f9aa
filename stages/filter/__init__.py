"""Target filter: keep rows whose caption has a keyword."""
