"""Target outliers: score images by two models, and drop those that either refuses."""
