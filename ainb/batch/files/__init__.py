"""Table files: rows are read one at a time, results are written in row order to a file that appears complete.

`file_source` opens a file and checks all of it before anything is sent; a class for each format reads it.
`OrderedFile` writes results to a temporary file beside the target. `OutputGuard` refuses a target that ainb
did not write.
"""

from ainb.batch.files.guard import OutputGuard
from ainb.batch.files.ordered import OrderedFile
from ainb.batch.files.source import file_source
from ainb.batch.files.suffixes import is_path

__all__ = ["OrderedFile", "OutputGuard", "file_source", "is_path"]
