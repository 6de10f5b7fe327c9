"""Schemas and names that protocols accept: forms, names of keys and tools, replies converted back."""
