"""Shared state on a Redis server: rate limits, circuits, budgets and the cache of all processes of a namespace."""
