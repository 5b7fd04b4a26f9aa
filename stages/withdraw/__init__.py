"""Target withdraw: entries of what must no longer be requested or published."""
