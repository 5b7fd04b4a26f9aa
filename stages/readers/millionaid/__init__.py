"""Reader of MillionAID."""
