"""Every call is a row, and what can be read from the rows."""
