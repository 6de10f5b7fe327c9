"""Runs of a batch through a provider's batch API.

Submission of rows, collecting of answers, merge into results.
"""
