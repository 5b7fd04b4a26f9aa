"""Rate captions and audit decisions: samples, a local page, labels, and their statistics."""
