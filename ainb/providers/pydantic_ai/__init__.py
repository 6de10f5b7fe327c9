"""Adapter for the models of pydantic-ai (``pydantic:PROVIDER:MODEL``)."""
