"""Schemas and names as protocols accept them: forms, names of keys and tools, replies mapped back."""
