"""Code shared by several readers: lines, JSON, CSV records, archives, texts."""
