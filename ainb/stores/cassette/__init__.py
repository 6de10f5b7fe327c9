"""Cassettes: recorded answers in a text file beside a notebook.

`line` is the format of one record, `file` reads and writes a whole cassette.
"""
