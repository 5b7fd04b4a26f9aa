"""Target geometa: position, time, country, and the meta caption made of them."""
