"""Runs of a batch through a provider's batch API: submission of rows, collecting of answers, merge into results."""
