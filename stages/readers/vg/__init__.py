"""Reader of Visual Genome."""
