"""Which cassettes belong to a notebook: the one beside it, or every one of the folder where its name is not known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ainb.errors import ConfigError
from ainb.pipeline.replay.miss import Nearest, explain_miss
from ainb.pipeline.replay.request import Asked
from ainb.stores.cassette.file import Cassette, shared_cassette
from ainb.stores.cassette.line import Line
from ainb.stores.notebook import SUFFIX, cassette_path


class Library:
    """The cassettes that answer a notebook's requests.

    Args:
        notebook: Path of the notebook or script; None while nobody can tell.
    """

    def __init__(self, notebook: Callable[[], Path | None]) -> None:
        self._notebook = notebook
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
                "this notebook's name is not known here (not saved yet, or the front end does not tell it), so there is no cassette to "
                "record into; save it, or give a name with %ai replay record NAME or AINB_NOTEBOOK"
            )
        return own

    def cassettes(self) -> list[Cassette]:
        """Where answers are looked for: the notebook's own cassette, or all of the folder where there is none."""
        own = self._find_own()
        if own is not None and own.size_bytes():
            return [own]
        if self._known is None:
            folder = Path.cwd() if own is None else own.path.parent
            self._known = [shared_cassette(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]
        return self._known

    def find(self, asked: Asked) -> tuple[Cassette, Line] | None:
        """The record of a request and where it stands, or None.

        Raises:
            ConfigError: A cassette is not what ainb writes; the message names file and line.
        """
        for cassette in self.cassettes():
            line = cassette.find(asked.key)
            if line is not None and asked.fits(line.fields):
                return cassette, line
        self._known = None  # another kernel may have begun a cassette meanwhile
        return None

    def usual_model(self) -> str | None:
        """The model that most records are of, ``provider:model``; None where there are none."""
        models = (cassette.usual_model() for cassette in self.cassettes())
        return next((model for model in models if model is not None), None)

    def explain(self, asked: Asked) -> str:
        """Why there is no record of a request, in one line."""
        cassettes = [cassette for cassette in self.cassettes() if cassette.size_bytes()]
        lines = [cassette.lines() for cassette in cassettes]
        if list(map(id, lines)) != list(map(id, self._indexed)):
            self._indexed = lines
            self._nearest = Nearest(line for some in lines for line in some.values())
        return explain_miss(asked, self._nearest.find(asked), [cassette.name for cassette in cassettes])

    def _find_own(self) -> Cassette | None:
        if self._own is None:
            notebook = self._notebook()
            self._own = None if notebook is None else shared_cassette(cassette_path(notebook))
        return self._own
