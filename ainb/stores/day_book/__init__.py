"""The day book: spent and reserved money per day in SQLite, shared by all kernels of a home folder.

`book` decides in memory, with money drawn in advance; `file` holds the transactions, `sql` their statements;
`trace` is the record from which other processes settle for a process that was killed; `courier` is the
background thread that writes to the file.
"""

from ainb.stores.day_book.book import DayBook

__all__ = ["DayBook"]
