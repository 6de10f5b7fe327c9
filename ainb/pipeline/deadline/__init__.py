"""Deadline: one time limit for a whole call and one for each attempt.

`stage` holds the options and the two stages; `time_limit` is the timer that all calls of one loop share.
"""
