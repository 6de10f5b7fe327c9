"""Where state lives between calls."""
