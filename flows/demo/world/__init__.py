"""The generated world: a miniature of every corpus, its images and faults, and the planned fate of each sample."""
