"""Trains the small models of the demo profile on generated images and texts."""
