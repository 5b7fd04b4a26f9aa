"""Reader of RedCaps."""
