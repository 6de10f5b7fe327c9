"""Many prompts, one DataFrame: a table's rows through the same pipeline as a cell, nothing lost."""
