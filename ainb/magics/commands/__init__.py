"""Subcommands of ``%ai``: one file per subcommand, and the table of all of them in `table`.

`line` finds the `Command` of a line in `table` and runs its function with the notebook shell and the parsed
arguments; the function returns a line, a `Report`, or a `FrameReport` whose frame becomes the value of the
line.
"""
