"""Display of replies in a notebook and in a terminal."""
