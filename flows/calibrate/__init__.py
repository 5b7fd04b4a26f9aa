"""Choose the thresholds of the outlier scores from images that the user has labelled."""
