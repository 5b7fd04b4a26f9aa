"""What a full build lacks and what it will cost, before anything runs."""
