"""Reader of tab-separated corpora (CC3M, CC12M)."""
