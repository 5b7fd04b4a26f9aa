"""Parts that several readers share: lines, JSON, CSV records, archives, texts."""
