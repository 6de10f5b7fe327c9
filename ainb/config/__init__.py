"""Options of a session: one frozen tree, read from arguments, ``%config``, environment and pyproject.toml.

`tree` holds the options, `values` the parsers of single values, `sources` the reading of each source,
`project` the rules for options in a project's file, and `trust` the folders whose file may set every option.
"""

from ainb.config.project import stays_inside
from ainb.config.sources import load_config, needs_trust, read_arguments, read_settings
from ainb.config.tree import DISPLAYS, OPTIONS, REPLAYS, Config
from ainb.config.trust import VARIABLE, find_pyproject, is_trusted, trust, trusted_folders, untrust
from ainb.config.values import read_models

__all__ = [
    "DISPLAYS", "OPTIONS", "REPLAYS", "VARIABLE", "Config", "find_pyproject", "is_trusted", "load_config",
    "needs_trust", "read_arguments", "read_models", "read_settings", "stays_inside", "trust",
    "trusted_folders", "untrust",
]  # fmt: skip
