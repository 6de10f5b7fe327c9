"""Batch jobs of providers: rows that are answered later, at half the price.

`state_machine` decides what is next, `store` keeps it on disk, `driver` acts through an adapter's `BatchService`, `results` matches the
lines that come back to their requests, and `delivery` takes each of them through the pipeline.
"""
