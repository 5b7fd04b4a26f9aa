"""Answer questions about a build from its tables: explain, fates, reports, comparison, published dataset."""
