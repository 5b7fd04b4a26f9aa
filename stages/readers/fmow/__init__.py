"""Reader of FMoW."""
