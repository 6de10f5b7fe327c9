"""``%config AiMagics``: settings of jupyter-ai, so that its notebooks run unchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from traitlets import Any as AnyTrait
from traitlets.config import Configurable

if TYPE_CHECKING:
    from ainb.magics.shell import NotebookShell


# Names here, and in %config Ainb.
OPTIONS = {"default_language_model": "model", "initial_language_model": "model", "aliases": "aliases"}


class AiMagics(Configurable):
    """Settings of jupyter-ai, forwarded to those of ainb.

    Args:
        get_shell: Returns the notebook shell, made on first use.
        kwargs: For `Configurable`.
    """

    default_language_model = AnyTrait(None, allow_none=True, help="same as %config Ainb.model").tag(
        config=True
    )
    initial_language_model = AnyTrait(None, allow_none=True, help="same as %config Ainb.model").tag(
        config=True
    )
    aliases = AnyTrait({}, help="added to %config Ainb.aliases").tag(config=True)
    max_history = AnyTrait(None, allow_none=True, help="has no effect; see %ai help chat").tag(config=True)

    def __init__(self, get_shell: Callable[[], NotebookShell], **kwargs: Any) -> None:
        self._get_shell = get_shell
        super().__init__(**kwargs)
        self.observe(self._hand_on)

    def _hand_on(self, change: Any) -> None:
        if change.name in OPTIONS:
            self._get_shell().settings.set_option(OPTIONS[change.name], change.new)
        elif change.name == "max_history":
            self._get_shell().print_line(
                "a cell sends only its own prompt; earlier turns are sent with %%ai --chat NAME"
            )
