"""Output of a panel in a cell: live as widgets, refreshed while calls arrive, then static."""
