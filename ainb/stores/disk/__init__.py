"""The disk store: one diskcache database of plain texts."""
