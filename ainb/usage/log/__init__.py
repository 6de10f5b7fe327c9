"""Usage log: one row per call in SQLite, appended by one writer thread."""
