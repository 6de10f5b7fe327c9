"""DataFrames computed from the usage log.

`calls` reads rows and is the base of the others; `totals` sums in SQL; `spending`, `failures`, `hours`,
`summary` and `board` are what the panels and `Session` show. `status` and `batches` make frames of the
session's state and of its runs.
"""
