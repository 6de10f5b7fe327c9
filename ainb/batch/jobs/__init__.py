"""Runs of a batch through a provider's batch API: submission of rows, collection and merging of results."""
