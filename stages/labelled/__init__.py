"""Target labelled: samples of the labelled corpora."""
