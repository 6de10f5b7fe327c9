"""Output of a panel in a cell: live as widgets, refreshed while calls come in, then static."""
