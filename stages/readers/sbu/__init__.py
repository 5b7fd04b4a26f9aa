"""Reader of SBU Captions."""
