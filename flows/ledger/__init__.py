"""What is done and due: build paths, receipts, digests, the lease, verification."""
