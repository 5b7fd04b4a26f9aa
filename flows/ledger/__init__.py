"""The finished and due work of a build: its paths, receipts, digests, lease and verification."""
