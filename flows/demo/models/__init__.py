"""Trains the small models of the demo profile on what this project generates itself."""
