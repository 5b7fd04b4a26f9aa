"""Target inventory: list the source files and hash them."""
