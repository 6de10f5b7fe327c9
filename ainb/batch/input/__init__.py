"""Input of a batch: rows of any table, read lazily, and the call of each row."""
