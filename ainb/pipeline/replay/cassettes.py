"""Cassettes of a notebook: its own file, or all in the folder when its name is unknown."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ainb.errors import ConfigError
from ainb.pipeline.replay.miss import Nearest, explain_miss
from ainb.pipeline.replay.request import Asked
from ainb.stores.cassette import Cassette, Line, shared_cassette
from ainb.stores.notebook import SUFFIX, cassette_path


class Library:
    """The cassettes that answer a notebook's requests.

    Args:
        notebook: Returns the path of the notebook or script; None while it is unknown.
        may_use: Whether the real path of a cassette may be read and written; a repository may ship a symbolic
            link in its place.
    """

    def __init__(self, notebook: Callable[[], Path | None], *, may_use: Callable[[Path], bool]) -> None:
        self._notebook = notebook
        self._may_use = may_use
        self._own: Cassette | None = None
        self._known: list[Cassette] | None = None
        self._indexed: list[Mapping[bytes, Line]] = []
        self._nearest = Nearest(())

    def own(self) -> Cassette:
        """The cassette to record into.

        Raises:
            ConfigError: The notebook's name is not known.
        """
        own = self._find_own()
        if own is None:
            raise ConfigError(
                "this notebook's name is not known here (not saved yet, or not reported by the front end), "
                "so there is no cassette to record into; save it, or give a name with "
                "%ai replay record NAME or AINB_NOTEBOOK"
            )
        return own

    def cassettes(self) -> list[Cassette]:
        """Cassettes to search: the notebook's own, or all of the folder where there is none."""
        own = self._find_own()
        if own is not None and own.size_bytes():
            return [own]
        if self._known is None:
            folder = Path.cwd() if own is None else own.path.parent
            self._known = [self._open(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]
        return self._known

    def find(self, asked: Asked) -> tuple[Cassette, Line] | None:
        """The record of a request and its cassette, or None.

        Raises:
            ConfigError: A cassette is damaged; the message names file and line.
        """
        for cassette in self.cassettes():
            line = cassette.find(asked.key)
            if line is not None and asked.fits(line.fields):
                return cassette, line
        self._known = None  # another kernel may have created a cassette meanwhile
        return None

    def usual_model(self) -> str | None:
        """The most frequent model of the records, ``provider:model``; None where there are none."""
        models = (cassette.usual_model() for cassette in self.cassettes())
        return next((model for model in models if model is not None), None)

    def explain(self, asked: Asked) -> str:
        """Explain in one line why there is no record of a request."""
        cassettes = [cassette for cassette in self.cassettes() if cassette.size_bytes()]
        lines = [cassette.lines() for cassette in cassettes]
        if list(map(id, lines)) != list(map(id, self._indexed)):
            self._indexed = lines
            self._nearest = Nearest(line for some in lines for line in some.values())
        return explain_miss(
            asked,
            self._nearest.find(asked),
            [cassette.name for cassette in cassettes],
            has_notebook=self._find_own() is not None,
        )

    def _find_own(self) -> Cassette | None:
        if self._own is None:
            notebook = self._notebook()
            self._own = None if notebook is None else self._open(cassette_path(notebook))
        return self._own

    def _open(self, path: Path) -> Cassette:
        if not self._may_use(path):
            raise ConfigError(
                f"{path.name} is a link out of its project, to {os.path.realpath(path)}, and is not used; "
                "if you trust the project type %ai trust or set AINB_TRUST, else delete the link"
            )
        return shared_cassette(path)
