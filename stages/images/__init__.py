"""Image files: decoding in a guarded child, hashes and their neighbours, metadata out of published files."""
