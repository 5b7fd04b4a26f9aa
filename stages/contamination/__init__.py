"""Target contamination: find samples whose picture or caption is in an evaluation set."""
