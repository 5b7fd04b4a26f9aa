"""Source files as the corpora publish them: readers, the keyword search, and what becomes of each row."""
