"""Configuration: every option in one frozen tree, read from arguments, ``%config``, environment and pyproject.toml."""
