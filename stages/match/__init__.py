"""Match: the cosine of each image with its own caption, and tiers of it."""
