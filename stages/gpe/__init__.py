"""Target gpe: place names in captions."""
