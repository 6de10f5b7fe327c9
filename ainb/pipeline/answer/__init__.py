"""Answer check: validate a reply against the schema and ask once more."""
