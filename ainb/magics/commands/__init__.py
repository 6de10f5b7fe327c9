"""Subcommands of ``%ai``: one file per subcommand; `ainb.magics.commands.table` lists them."""
