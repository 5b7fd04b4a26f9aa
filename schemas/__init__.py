"""The declarations of every table, column, reason and manifest: types, units and meanings; no behaviour."""
