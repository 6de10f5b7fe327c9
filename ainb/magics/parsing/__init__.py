"""Parsing of the lines of ``%%ai`` and ``%ai``.

`line_words` splits a line into words, `arguments` sorts them into options and words by the table of `flags`,
whose values are parsed by `readers`; `schemas` resolves ``--schema NAME``, and `completion` offers what may
stand at the cursor.
"""
