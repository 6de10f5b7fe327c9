"""DataFrames computed from the usage log.

`calls` reads rows and is the base of the others; `totals` sums in SQL; `spending`, `billed`, `failures`,
`hours`, `summary` and `board` make the frames that panels and `Session` show. `status` and `batches` make
frames of the session's state and of its runs.
"""
