"""Usage log on disk: one row per call in SQLite, written by one thread per file.

`log` is the log of one session; it queues finished calls at the `writer` of its file, which makes rows and
commits them in groups to a `log_file` (`store`, `schema`, `rollups`). `reading` opens the file for queries,
`recorder` makes rows of calls made elsewhere, `packing` speeds up fetching, and `jsonlog` writes rows to the
logger `ainb`.
"""
