"""Target plan: normalise URLs and plan the fetches."""
