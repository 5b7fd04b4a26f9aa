"""Readers of source files, a folder per format."""
