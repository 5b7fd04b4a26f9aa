"""Run the due partitions of stages in supervised processes."""
