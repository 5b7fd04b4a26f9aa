"""Target plan: normalise URLs and plan what to fetch."""
