"""The labelled corpora: which of their files make a sample, and what is read of them. Not for judging images."""
