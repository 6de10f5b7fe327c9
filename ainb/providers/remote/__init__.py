"""Shared parts of HTTP providers: endpoint and attempt, request body, cache layout, batches."""
