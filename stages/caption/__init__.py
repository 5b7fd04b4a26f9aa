"""Target caption: draw, rank and choose captions for labelled images."""
