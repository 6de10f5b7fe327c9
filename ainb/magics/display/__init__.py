"""Display of replies, dry runs and images in a notebook and in a terminal.

`reply` makes the MIME bundle of a reply with the HTML of `markup`, `streaming` shows a reply while it is
generated, and `dry_run` makes the report of ``--dry-run``; `numbers` formats the values in the tables of
``%ai``.
"""
