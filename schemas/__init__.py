"""What every table, column, reason and manifest is: types, units and meanings; no behaviour."""
