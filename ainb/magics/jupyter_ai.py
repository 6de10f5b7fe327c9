"""``%config AiMagics``: jupyter-ai's settings, so that a notebook that was written for it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from traitlets import Any as AnyTrait
from traitlets.config import Configurable

if TYPE_CHECKING:
    from ainb.magics.shell import Front


class AiMagics(Configurable):
    """Settings of jupyter-ai, handed on to those of ainb.

    Args:
        front: Gives the front of the shell, which is made when it is first needed.
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

    def __init__(self, front: Callable[[], Front], **kwargs: Any) -> None:
        self._front = front
        super().__init__(**kwargs)
        self.observe(self._hand_on)

    def _hand_on(self, change: Any) -> None:
        if change.name in {"default_language_model", "initial_language_model"}:
            self._front().settings.put("model", change.new)
        elif change.name == "aliases":
            self._front().settings.put("aliases", change.new)
        elif change.name == "max_history":
            self._front().say("cells send themselves alone; earlier turns go along with %%ai --chat NAME")
