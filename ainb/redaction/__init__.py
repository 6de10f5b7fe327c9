"""Redaction: one filter that removes secrets from everything ainb writes."""
