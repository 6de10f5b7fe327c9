"""DataFrames and aggregates computed from the usage log."""
