"""Prompts: messages, placeholders, tables, images and conversations."""
