"""Show a run: progress in the terminal, and in the Prefect UI where one is served."""
