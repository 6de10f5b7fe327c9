"""Budget: reserve an estimate before a call, settle at its real cost."""
