"""Reader of RS5M's published lists."""
