"""Input of a batch: rows of any table, read lazily, and the call that each row makes."""
