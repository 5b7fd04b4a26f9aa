"""Set the thresholds of the outlier scores by images that the user has labelled."""
