"""Stores: where answers, balances and recordings live between calls."""
