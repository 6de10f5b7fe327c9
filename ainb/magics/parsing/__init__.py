"""Parsing of the lines of ``%%ai`` and ``%ai``.

`line_words` splits a line into words; `arguments` parses them by the table of `flags`, with the value parsers
of `readers`; `schemas` resolves ``--schema NAME``; `completion` completes the word at the cursor.
"""
