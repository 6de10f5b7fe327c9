"""Files of tables: rows read one at a time, results written in row order and put in place whole.

`open_table` reads the head of a file and checks all of it before anything is sent; each format is a
`TableFile` in a module of its own. `OrderedFile` writes results to a temporary file beside the target.
`OutputGuard` refuses a target that holds somebody else's data.
"""

from ainb.batch.files.guard import OutputGuard
from ainb.batch.files.ordered import OrderedFile
from ainb.batch.files.source import file_source
from ainb.batch.files.suffixes import is_path

__all__ = ["OrderedFile", "OutputGuard", "file_source", "is_path"]
