"""Deadline: one time limit for a whole call and one for each attempt."""
