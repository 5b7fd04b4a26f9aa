"""Target outliers: score images by two models, drop what both or one refuses."""
