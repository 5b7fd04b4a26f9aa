"""Reader of WIT."""
