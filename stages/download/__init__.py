"""Target download: fetch images in passes, under guard."""
