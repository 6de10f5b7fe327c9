"""Every call is a row: a log on disk, frames out of it, one JSON line a call for those who log.

Nothing heavy is imported here; ``log`` opens SQLite, ``frames`` opens pandas.
"""

from __future__ import annotations

import logging

# A library that nobody configured stays silent; an application that wants the lines adds its own handler.
logging.getLogger("ainb").addHandler(logging.NullHandler())
